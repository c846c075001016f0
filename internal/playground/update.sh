#!/bin/sh
# Fetches the playground's assets from npm and writes their checksums. Raise a
# version here, run it, look at the page, and review what has changed.
set -eu

graphiql=4.1.2
react=18.3.1

assets=$(cd "$(dirname "$0")" && pwd)/assets
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"

unpack() { # name, version
	npm pack --silent "$1@$2" >/dev/null
	mkdir "$1"
	tar -xzf "$1-$2.tgz" -C "$1" --strip-components=1
	cp "$1/LICENSE" "$assets/LICENSE.$1"
}

mkdir -p "$assets"
unpack graphiql "$graphiql"
unpack react "$react"
unpack react-dom "$react"
cp graphiql/graphiql.min.js graphiql/graphiql.min.css "$assets"
cp react/umd/react.production.min.js react-dom/umd/react-dom.production.min.js "$assets"
chmod 644 "$assets"/*

cd "$assets"
LC_ALL=C sha256sum LICENSE.* *.css *.js >SHA256SUMS
