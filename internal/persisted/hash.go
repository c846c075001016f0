package persisted

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// hashPrefix begins an identifier that is a hash (GraphQL over HTTP, appendix A).
const hashPrefix = "sha256:"

// Hash is the SHA-256 of a document's text.
type Hash [sha256.Size]byte

// HashOf returns the hash of the text.
func HashOf(text string) Hash { return sha256.Sum256([]byte(text)) }

// ParseHash reads a hash of 64 hexadecimal digits, in upper or lower case.
func ParseHash(s string) (h Hash, ok bool) {
	if len(s) != hex.EncodedLen(len(h)) {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

// ParsePrefixed reads a hash that begins with "sha256:".
func ParsePrefixed(s string) (h Hash, ok bool) {
	digits, prefixed := strings.CutPrefix(s, hashPrefix)
	if !prefixed {
		return h, false
	}
	return ParseHash(digits)
}
