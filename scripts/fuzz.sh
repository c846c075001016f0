#!/bin/sh
# The fuzz targets of the project.
#
#   fuzz.sh SECONDS                  runs each for so long, three at a time
#   fuzz.sh SECONDS PACKAGE TARGET   runs that one, and says for which input it fails
#
# An input that fails is kept in testdata/fuzz, and is tried by go test from then on.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
seconds=$1

# build builds the test binary of a package, without the race detector, which takes most
# of the time. A fuzz_test.go that stands by itself is built by itself: other tests need
# databases, which take longer to compile than the fuzzing takes.
build() { # package, output
	(cd "$1" && $go test -c -fuzz . -o "$2" $($go list -f '{{join .GoFiles " "}}' .) fuzz_test.go) 2>/dev/null ||
		$go test -c -fuzz . -o "$2" "$1"
}

# run fuzzes one target, and says how it went.
run() { # package, target, binary
	if output=$(cd "$1" && "$3" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "${seconds}s" -test.fuzzminimizetime 5s \
		-test.parallel 1 -test.fuzzcachedir "$($go env GOCACHE)/fuzz/galaxygate/$1" 2>&1); then
		echo "fuzz: $1 $2: $(echo "$output" | grep '^fuzz: elapsed' | tail -n 1 | cut -d, -f 2-)"
		return 0
	fi
	input=$(echo "$output" | sed -n 's/^ *Failing input written to //p' | head -n 1)
	# Go itself fails now and then when the time is up, and has found nothing.
	if [ -z "$input" ] && echo "$output" | grep -qx '    context deadline exceeded' && ! echo "$output" | grep -q 'panic\|_test\.go:'; then
		echo "fuzz: $1 $2: time is up"
		return 0
	fi
	echo "$output"
	[ -z "$input" ] || cat "$1/$input"
	echo "fuzz: failed: $1 $2"
	return 1
}

if [ $# = 4 ]; then # fuzz.sh itself, below: the binary is there
	run "$2" "$3" "$4/$(echo "$2" | tr / -)"
	exit
fi
if [ "$seconds" = 0 ]; then
	if [ -z "${CI:-}" ]; then
		echo 'fuzz: left out, for FUZZ_SECONDS is 0'
		exit 0
	fi
	seconds=10
fi

binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT
if [ $# = 3 ]; then
	build "$2" "$binaries/one" && run "$2" "$3" "$binaries/one"
	exit
fi
targets=$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | sort -u)
[ -n "$targets" ] || exit 1
# One after the other: builds at once would each compile what all of them need.
for package in $(echo "$targets" | cut -d ' ' -f 1 | sort -u); do
	build "$package" "$binaries/$(echo "$package" | tr / -)" || exit 1
done
echo "$targets" | sed "s|\$| $binaries|" | xargs -P 3 -n 3 scripts/fuzz.sh "$seconds"
