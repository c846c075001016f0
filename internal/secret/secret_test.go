package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"galaxygate/internal/secret"
)

const canary = "canary-6c1f0e"

type holder struct {
	Public  secret.Text
	private secret.Text
	nested  struct{ list []secret.Text }
}

func TestTextIsNeverPrinted(t *testing.T) {
	t.Parallel()
	h := holder{Public: secret.New(canary), private: secret.New(canary)}
	h.nested.list = []secret.Text{secret.New(canary)}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.InfoContext(t.Context(), "m", "text", h.Public, "holder", h, "pointer", &h, "error", fmt.Errorf("x: %v", h))
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "m", "text", h.Public, "holder", h)
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{"slog": log.String(), "json": string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T%v"} {
		outputs[verb] = fmt.Sprintf(verb, h) + fmt.Sprintf(verb, &h) + fmt.Sprintf(verb, h.private)
	}
	for how, out := range outputs {
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the value: %s", how, out)
		}
	}
	if !strings.Contains(outputs["json"], `"Public":"***"`) {
		t.Errorf("json: got %s, want the mask", outputs["json"])
	}
}

func TestTextKeepsItsValue(t *testing.T) {
	t.Parallel()
	a, b := secret.New(canary), secret.New(canary)
	if a.Reveal() != canary || !a.Equal(b) || a.Equal(secret.New("other")) || a.IsZero() {
		t.Errorf("got %q, equal %v", a.Reveal(), a.Equal(b))
	}
	if z := (secret.Text{}); !z.IsZero() || z.Reveal() != "" || !z.Equal(secret.New("")) || z.String() != "" {
		t.Errorf("zero Text is not empty")
	}
	if r := secret.Random(); len(r.Reveal()) != 43 || r.Equal(secret.Random()) {
		t.Errorf("Random: got %d characters", len(r.Reveal()))
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"plain words stay", "You are not authorized!", "You are not authorized!"},
		{"a known secret is masked", "bad key hunter2, really", "bad key ***, really"},
		{"a JSON Web Token is masked", "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl expired", "token *** expired"},
		{"an unsecured token is masked", "got eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0. here", "got *** here"},
		{"a long opaque run is masked", "code Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6 used", "code *** used"},
		{"control characters become spaces", "a\r\nSet-Cookie: b", "a  Set-Cookie: b"},
		{"short identifiers stay", "client abc-123 unknown", "client abc-123 unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := secret.Scrub(tt.text, secret.New("hunter2"), secret.Text{}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	long := secret.Scrub(strings.Repeat("word ", 1000))
	if n := len([]rune(long)); n > 301 {
		t.Errorf("a long text has %d runes", n)
	}
}
