#!/bin/sh
# Fails where `go generate ./...` changes anything.
set -eu
cd "$(dirname "$0")/.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R graph "$before"
go generate ./...
if ! diff -r "$before/graph" graph; then
	echo "Generated code was not fresh. It is now: commit it." >&2
	exit 1
fi
