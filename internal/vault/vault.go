package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"galaxygate/internal/secret"
)

// ErrSealed means that a sealed value does not open: it was sealed under a key
// that the keyset lacks, for another place, or it is damaged. It quotes nothing.
var ErrSealed = errors.New("sealed value does not open with this keyset at this place")

// The sealed form is the version of the form, which is part of the associated
// data, and Tink's ciphertext: its own version, the key's ID in four bytes, and
// the rest.
const (
	format     = 1
	tinkFormat = 1

	// KeyIDOffset and KeyIDLength are where the key's ID is in a sealed value,
	// big-endian. SealedUnder reads it from the first KeyIDOffset+KeyIDLength
	// bytes.
	KeyIDOffset = 2
	KeyIDLength = 4
)

// Place is where a sealed value is stored. A value opens only at the place that
// it was sealed for.
type Place struct {
	Table  string
	Row    string // the row's identifier
	Column string
}

// Vault seals and opens values. Its keyset may be replaced while it serves. It
// is safe for concurrent use.
type Vault struct{ keys atomic.Pointer[Keyset] }

// New returns a vault of that keyset in clear, or ErrKeyset.
func New(keys secret.Text) (*Vault, error) {
	read, err := parseClear(keys)
	if err != nil {
		return nil, err
	}
	return read.Vault(), nil
}

// Replace makes the vault seal under the primary key of the keyset and open under
// any of its keys. Seals and opens under way end under the keyset of before.
func (v *Vault) Replace(keys *Keyset) { v.keys.Store(keys) }

// KeyIDs returns the IDs of the keys that open values, the primary's first: it is
// the key that values are sealed under.
func (v *Vault) KeyIDs() []uint32 { return v.keys.Load().KeyIDs() }

// Seal returns the value encrypted for that place. No two results are alike.
func (v *Vault) Seal(plain secret.Text, p Place) ([]byte, error) {
	ciphertext, err := v.keys.Load().aead.Encrypt([]byte(plain.Reveal()), p.associatedData())
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
	plain, err := v.keys.Load().aead.Decrypt(sealed[1:], p.associatedData())
	if err != nil {
		return secret.Text{}, fmt.Errorf("open %s.%s: %w", p.Table, p.Column, ErrSealed)
	}
	return secret.New(string(plain)), nil
}

// SealValue returns the value encrypted for that key of a store of values that are
// no rows. No two results are alike.
func (v *Vault) SealValue(value []byte, key string) ([]byte, error) {
	ciphertext, err := v.keys.Load().aead.Encrypt(value, valuePlace(key).associatedData())
	if err != nil {
		return nil, fmt.Errorf("seal value: %w", err)
	}
	return append([]byte{format}, ciphertext...), nil
}

// OpenValue returns the value that was sealed for that key, or ErrSealed.
func (v *Vault) OpenValue(sealed []byte, key string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != format {
		return nil, fmt.Errorf("open value: %w", ErrSealed)
	}
	value, err := v.keys.Load().aead.Decrypt(sealed[1:], valuePlace(key).associatedData())
	if err != nil {
		return nil, fmt.Errorf("open value: %w", ErrSealed)
	}
	return value, nil
}

// valuePlace is no row's: tables have names.
func valuePlace(key string) Place { return Place{Row: key} }

// SealedUnder returns the ID of the key that a sealed value, or the beginning of
// one, says it is under, and false where that is no sealed value.
func SealedUnder(sealed []byte) (keyID uint32, ok bool) {
	if len(sealed) < KeyIDOffset+KeyIDLength || sealed[0] != format || sealed[1] != tinkFormat {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[KeyIDOffset:]), true
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
