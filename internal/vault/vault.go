package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"galaxygate/internal/secret"
)

// Errors that callers decide on. Neither quotes what was read.
var (
	// ErrKeyset means that a text is not a keyset.
	ErrKeyset = errors.New(`not a keyset in Tink's JSON format for authenticated encryption: "galaxygate keys new" makes one`)
	// ErrSealed means that a sealed value does not open: it was sealed under a
	// key that the keyset lacks, for another place, or it is damaged.
	ErrSealed = errors.New("sealed value does not open with this keyset at this place")
)

// format is the version of the sealed form: this byte, then Tink's ciphertext,
// whose first bytes name the key. It is part of the associated data.
const format = 1

// Place is where a sealed value is stored. A value opens only at the place that
// it was sealed for.
type Place struct {
	Table  string
	Row    string // the row's identifier
	Column string
}

// Vault seals and opens values. It is safe for concurrent use.
type Vault struct{ aead tink.AEAD }

// New returns a vault that seals under the primary key of the keyset and opens
// under any of its keys. The keyset is NewKeyset's, or any other of Tink's JSON
// form whose keys are for authenticated encryption with associated data; other
// text is ErrKeyset.
func New(keys secret.Text) (*Vault, error) {
	// Tink's errors may quote the text that they could not read, so none is kept.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(keys.Reveal())))
	if err != nil {
		return nil, ErrKeyset
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, ErrKeyset
	}
	return &Vault{aead: primitive}, nil
}

// NewKeyset returns a new keyset of one random AES-256-GCM key, as JSON.
func NewKeyset() (secret.Text, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return secret.Text{}, fmt.Errorf("generate key: %w", err)
	}
	var text strings.Builder
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return secret.Text{}, fmt.Errorf("write keyset: %w", err)
	}
	return secret.New(text.String()), nil
}

// Seal returns the value encrypted for that place. No two results are alike.
func (v *Vault) Seal(plain secret.Text, p Place) ([]byte, error) {
	ciphertext, err := v.aead.Encrypt([]byte(plain.Reveal()), p.associatedData())
	if err != nil {
		return nil, fmt.Errorf("seal %s.%s: %w", p.Table, p.Column, err)
	}
	return append([]byte{format}, ciphertext...), nil
}

// Open returns the value that was sealed for that place, or ErrSealed.
func (v *Vault) Open(sealed []byte, p Place) (secret.Text, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return secret.Text{}, fmt.Errorf("open %s.%s: %w", p.Table, p.Column, ErrSealed)
	}
	plain, err := v.aead.Decrypt(sealed[1:], p.associatedData())
	if err != nil {
		return secret.Text{}, fmt.Errorf("open %s.%s: %w", p.Table, p.Column, ErrSealed)
	}
	return secret.New(string(plain)), nil
}

// associatedData gives each part its length, so that no two places give the
// same bytes.
func (p Place) associatedData() []byte {
	data := []byte{format}
	for _, part := range []string{p.Table, p.Row, p.Column} {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
