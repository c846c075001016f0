package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
)

const mask = "***"

// Text is a value that must not be seen: it prints as "***" whatever the verb,
// logger or encoder. The zero Text is empty.
//
// The value is behind a pointer, because fmt prints the unexported fields of a
// struct without asking their String methods.
type Text struct{ value *string }

// New returns s as a Text.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{value: &s}
}

// RandomLength is how many characters Random returns.
const RandomLength = 43

// Random returns 256 random bits as RandomLength characters of unpadded
// base64url.
func Random() Text {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return New(base64.RawURLEncoding.EncodeToString(b))
}

// Reveal returns the value itself, for the one place that must spend or seal it.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the Text is empty.
func (t Text) IsZero() bool { return t.value == nil }

// Equal reports whether both hold the same value, in constant time.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// Hash returns the SHA-256 of the value, under which a random secret may be
// stored and looked up.
func (t Text) Hash() []byte {
	sum := sha256.Sum256([]byte(t.Reveal()))
	return sum[:]
}

// Format implements fmt.Formatter for every verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.masked())) }

// String implements fmt.Stringer.
func (t Text) String() string { return t.masked() }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.masked()) }

// MarshalText implements encoding.TextMarshaler, and with it JSON.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.masked()), nil }

func (t Text) masked() string {
	if t.IsZero() {
		return ""
	}
	return mask
}
