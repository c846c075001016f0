package telemetry

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNoTextIsPlainThatWouldBeMasked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"Bearer", "basic", " ", "\t", "\n", "eyJabc", ".", "x1Y", "://", "alice", ":", "@", "token", "code", "=", "urn:", "0x", "/path", "-",
		}), 0, 12).Draw(t, "pieces"), "")
		if plain(text) && (userinfo.MatchString(text) || credential.MatchString(text) || random.MatchString(text)) {
			t.Fatalf("%q is plain, and would be masked", text)
		}
	})
}
