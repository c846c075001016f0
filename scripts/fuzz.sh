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

if [ $# = 3 ]; then
	package=$2 target=$3
	# Without the race detector, which takes most of the time.
	if output=$($go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 5s -parallel 1 "$package" 2>&1); then
		echo "fuzz: $package $target: $(echo "$output" | grep '^fuzz: elapsed' | tail -n 1 | cut -d, -f 2-)"
		exit 0
	fi
	input=$(echo "$output" | sed -n 's/^ *Failing input written to //p' | head -n 1)
	# Go itself fails now and then when the time is up, and has found nothing.
	if [ -z "$input" ] && echo "$output" | grep -qx '    context deadline exceeded' && ! echo "$output" | grep -q 'panic\|_test\.go:'; then
		echo "fuzz: $package $target: time is up"
		exit 0
	fi
	echo "$output"
	[ -z "$input" ] || cat "$package/$input"
	echo "fuzz: failed: $package $target"
	exit 1
fi

if [ "$seconds" = 0 ]; then
	if [ -z "${CI:-}" ]; then
		echo 'fuzz: left out, for FUZZ_SECONDS is 0'
		exit 0
	fi
	seconds=20
fi
targets=$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |')
[ -n "$targets" ] || exit 1
# One after the other: three builds at once would each compile what all of them need.
for package in $(echo "$targets" | cut -d ' ' -f 1 | sort -u); do
	$go test -c -fuzz . -o /dev/null "$package" || exit 1
done
echo "$targets" | sort -u | xargs -P 3 -n 2 scripts/fuzz.sh "$seconds"
