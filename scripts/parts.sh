#!/bin/sh
# The parts that the tests need beside Go.
#
#   parts.sh install   installs what is missing, with apt-get and npm ci where they can
#   parts.sh report    says what is missing, and which tests were skipped for it
#
# With CI=true a missing part is an error.
set -u
cd "$(dirname "$0")/.." || exit 1
node_dirs="internal/e2e/node examples/spa"

have_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_redis() { command -v redis-server >/dev/null; }
have_chromium() { command -v chromium >/dev/null; }
have_node() {
	command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null
}
# What npm installed in a directory is what its lock file says: npm keeps a copy of it.
have_modules_in() { [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; }
have_modules() { for dir in $node_dirs; do have_modules_in "$dir" || return 1; done; }

root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

updated=no
apt() {
	command -v apt-get >/dev/null || return 1
	echo "installing $* with apt-get" >&2
	export DEBIAN_FRONTEND=noninteractive
	if [ "$updated" = no ]; then
		root apt-get -qq update >/dev/null 2>&1
		updated=yes
	fi
	root apt-get -qq install -y --no-install-recommends "$@" >/dev/null 2>&1
}

# stop_redis stops the service that the package starts: the tests start servers of
# their own.
stop_redis() {
	if [ -d /run/systemd/system ]; then
		root systemctl --quiet disable --now redis-server
	else
		root service redis-server stop
	fi >/dev/null 2>&1
}

install() {
	have_postgres || apt postgresql
	have_redis || { apt redis-server && stop_redis; }
	have_chromium || apt chromium
	have_node || apt nodejs npm
	have_node || return
	for dir in $node_dirs; do
		have_modules_in "$dir" && continue
		echo "installing the Node.js packages of $dir with npm ci" >&2
		(cd "$dir" && npm ci --silent --no-audit --no-fund)
	done
}

report() {
	missing=0
	have_postgres || lack "PostgreSQL" "every test on PostgreSQL"
	have_redis || lack "Redis" "every test on Redis"
	have_chromium || lack "Chromium" "the browser tests"
	have_node || lack "Node.js 20 or newer" "the browser tests, and those with npm's clients"
	have_modules || lack "the Node.js packages of $node_dirs" "the tests that need them"
	if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then
		echo "CI=true: a missing part is a failure" >&2
		exit 1
	fi
}

lack() {
	missing=1
	echo "MISSING: $1 is not here and could not be installed. SKIPPED for that: $2." >&2
}

case "${1:-}" in
install)
	install
	report
	;;
report) report ;;
*)
	sed -n '2,7p' "$0"
	exit 2
	;;
esac
