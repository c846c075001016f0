package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"galaxygate/internal/secret"
)

// Errors that callers decide on. None quotes what was read.
var (
	// ErrKeyset means that a text is not a keyset.
	ErrKeyset = errors.New(`not a keyset in Tink's JSON format for authenticated encryption: "galaxygate keys new" makes one`)
	// ErrWrapped means that a keyset is wrapped and no service was named.
	ErrWrapped = errors.New("the keyset is wrapped under a key of a key-management service: TOKEN_KEYSET_KMS_URI must name it")
	// ErrClear means that a keyset is in clear although a service was named.
	ErrClear = errors.New(`the keyset is in clear although TOKEN_KEYSET_KMS_URI is set: "galaxygate keys wrap" wraps it`)
	// ErrPrimary means that the key is the primary one, which seals.
	ErrPrimary = errors.New("the key is the primary one, under which values are sealed")
	// ErrNoKey means that the keyset has no such key.
	ErrNoKey = errors.New("the keyset has no such key")
)

// Wrapper wraps keysets under a key that a key-management service holds. It is
// Tink's AEADWithContext.
type Wrapper interface {
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

// Keyset is keys that open sealed values, of which one, the primary, seals them.
// It is never changed: changes return another keyset.
type Keyset struct {
	handle *keyset.Handle
	aead   tink.AEAD
}

// NewKeyset returns a new keyset of one random AES-256-GCM key, as JSON in clear.
func NewKeyset() (secret.Text, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return secret.Text{}, fmt.Errorf("generate key: %w", err)
	}
	return clearText(handle)
}

func clearText(handle *keyset.Handle) (secret.Text, error) {
	var text strings.Builder
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return secret.Text{}, fmt.Errorf("write keyset: %w", err)
	}
	return secret.New(text.String()), nil
}

// ReadKeyset returns the keyset that the text holds: NewKeyset's, or any other of
// Tink's JSON form whose keys are for authenticated encryption with associated
// data and have Tink's prefix, which names the key. Other text is ErrKeyset.
//
// Without a wrapper the text is in clear, else ErrWrapped; with one it is
// wrapped, else ErrClear. The wrapper's own errors are returned.
func ReadKeyset(ctx context.Context, text secret.Text, w Wrapper) (*Keyset, error) {
	if err := CheckForm(text, w != nil); err != nil {
		return nil, err
	}
	if w == nil {
		return parseClear(text)
	}
	kept := &keptError{Wrapper: w}
	handle, err := keyset.ReadWithContext(ctx, jsonReader(text), kept, nil)
	switch {
	case kept.err != nil:
		return nil, fmt.Errorf("unwrap keyset: %w", kept.err)
	case err != nil:
		return nil, ErrKeyset
	}
	return newKeyset(handle)
}

// CheckForm says what ReadKeyset says of a text at first sight, without asking a
// service.
func CheckForm(text secret.Text, wrapped bool) error {
	var form struct {
		Encrypted *json.RawMessage `json:"encryptedKeyset"`
		Keys      *json.RawMessage `json:"key"`
	}
	err := json.Unmarshal([]byte(text.Reveal()), &form)
	switch {
	case err != nil || form.Encrypted == nil && form.Keys == nil:
		return ErrKeyset
	case form.Encrypted != nil && !wrapped:
		return ErrWrapped
	case form.Encrypted == nil && wrapped:
		return ErrClear
	}
	return nil
}

// parseClear keeps none of Tink's errors: they may quote the text that they
// could not read.
func parseClear(text secret.Text) (*Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(jsonReader(text))
	if err != nil {
		return nil, ErrKeyset
	}
	return newKeyset(handle)
}

func newKeyset(handle *keyset.Handle) (*Keyset, error) {
	for _, key := range handle.KeysetInfo().GetKeyInfo() {
		if key.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, ErrKeyset // a value would not say which key it is under
		}
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, ErrKeyset
	}
	return &Keyset{handle: handle, aead: primitive}, nil
}

// Text returns the keyset as JSON, in clear or, with a wrapper, wrapped.
func (k *Keyset) Text(ctx context.Context, w Wrapper) (secret.Text, error) {
	if w == nil {
		return clearText(k.handle)
	}
	var text strings.Builder
	kept := &keptError{Wrapper: w}
	if err := k.handle.WriteWithContext(ctx, keyset.NewJSONWriter(&text), kept, nil); err != nil {
		if kept.err != nil {
			err = kept.err
		}
		return secret.Text{}, fmt.Errorf("wrap keyset: %w", err)
	}
	return secret.New(text.String()), nil
}

// Vault returns a vault of the keyset.
func (k *Keyset) Vault() *Vault {
	v := &Vault{}
	v.Replace(k)
	return v
}

// KeyIDs returns the IDs of the keys that open values, the primary's first.
func (k *Keyset) KeyIDs() []uint32 {
	ids := []uint32{k.Primary()}
	for _, key := range k.handle.KeysetInfo().GetKeyInfo() {
		if id := key.GetKeyId(); id != k.Primary() && key.GetStatus() == tinkpb.KeyStatusType_ENABLED {
			ids = append(ids, id)
		}
	}
	return ids
}

// Primary returns the ID of the key that seals.
func (k *Keyset) Primary() uint32 { return k.handle.KeysetInfo().GetPrimaryKeyId() }

// Pending returns the ID of the newest key, the last of the keyset, where that
// waits to be made the primary one.
func (k *Keyset) Pending() (keyID uint32, ok bool) {
	keys := k.handle.KeysetInfo().GetKeyInfo()
	last := keys[len(keys)-1]
	return last.GetKeyId(), last.GetKeyId() != k.Primary() && last.GetStatus() == tinkpb.KeyStatusType_ENABLED
}

// WithNewKey returns the keyset with another random key, which opens values and
// seals none: it is pending.
func (k *Keyset) WithNewKey() (*Keyset, error) {
	return k.changed(func(m *keyset.Manager) error {
		_, err := m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
}

// Promoted returns the keyset with its pending key as the primary one, or
// ErrNoKey where none is pending.
func (k *Keyset) Promoted() (*Keyset, error) {
	pending, ok := k.Pending()
	if !ok {
		return nil, ErrNoKey
	}
	return k.changed(func(m *keyset.Manager) error { return m.SetPrimary(pending) })
}

// Without returns the keyset without that key. The primary key is ErrPrimary, a
// key that is not there ErrNoKey.
func (k *Keyset) Without(keyID uint32) (*Keyset, error) {
	there := slices.ContainsFunc(k.handle.KeysetInfo().GetKeyInfo(), func(key *tinkpb.KeysetInfo_KeyInfo) bool {
		return key.GetKeyId() == keyID
	})
	switch {
	case keyID == k.Primary():
		return nil, ErrPrimary
	case !there:
		return nil, ErrNoKey
	}
	return k.changed(func(m *keyset.Manager) error { return m.Delete(keyID) })
}

func (k *Keyset) changed(change func(*keyset.Manager) error) (*Keyset, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	if err := change(manager); err != nil {
		return nil, fmt.Errorf("change keyset: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("change keyset: %w", err)
	}
	return newKeyset(handle)
}

func jsonReader(text secret.Text) *keyset.JSONReader {
	return keyset.NewJSONReader(strings.NewReader(text.Reveal()))
}

// keptError remembers the wrapper's own error, of which Tink passes on the text
// alone, mixed with its own.
type keptError struct {
	Wrapper
	err error
}

// EncryptWithContext implements Wrapper.
func (k *keptError) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) (out []byte, err error) {
	out, k.err = k.Wrapper.EncryptWithContext(ctx, plaintext, associatedData)
	return out, k.err
}

// DecryptWithContext implements Wrapper.
func (k *keptError) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) (out []byte, err error) {
	out, k.err = k.Wrapper.DecryptWithContext(ctx, ciphertext, associatedData)
	return out, k.err
}
