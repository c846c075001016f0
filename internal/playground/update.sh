#!/bin/sh
# Fetches the playground's assets from npm, gathers the licences of all that the bundle
# contains, and writes their checksums. Raise a version here, run it, look at the page
# and at what labels.js and editors.js expect of GraphiQL, and review what has changed.
set -eu

graphiql=4.1.2
react=18.3.1

here=$(cd "$(dirname "$0")" && pwd)
assets=$here/assets
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

npm install --silent --prefix tree --ignore-scripts --no-audit --no-fund \
	"graphiql@$graphiql" "react@$react" "react-dom@$react" graphql-ws@6.0.6
node "$here/licences.mjs" graphiql/graphiql.min.js.map tree/node_modules >"$assets/LICENSES.txt"
chmod 644 "$assets"/*

cd "$assets"
LC_ALL=C sha256sum LICENSE* *.css *.js >SHA256SUMS
