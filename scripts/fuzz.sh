#!/bin/sh
# fuzz.sh SECONDS: runs each fuzz target of the project for so long, and says for
# which input one fails. What was found to fail is kept in testdata/fuzz, and is
# tried by go test from then on.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
seconds=$1
if [ "$seconds" = 0 ]; then
	if [ -z "${CI:-}" ]; then
		echo 'fuzz: left out, for FUZZ_SECONDS is 0'
		exit 0
	fi
	seconds=20
fi

failed=
packages=$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u)
for package in $packages; do
	listed=$($go test -list '^Fuzz' "$package") || exit 1
	for target in $(echo "$listed" | grep '^Fuzz'); do
		# Without the race detector, which takes most of the time.
		if output=$($go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 5s "$package" 2>&1); then
			echo "fuzz: $package $target: $(echo "$output" | grep '^fuzz: elapsed' | tail -n 1 | cut -d, -f 2-)"
			continue
		fi
		echo "$output"
		failed="$failed $package:$target"
		# The input is also in the file that go test names.
		input=$(echo "$output" | sed -n 's/^ *Failing input written to //p' | head -n 1)
		[ -z "$input" ] || cat "$package/$input"
	done
done
if [ -n "$failed" ]; then
	echo "fuzz: failed:$failed" >&2
	exit 1
fi
