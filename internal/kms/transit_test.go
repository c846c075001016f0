package kms_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/tink"

	"galaxygate/internal/kms"
	"galaxygate/internal/kmstest"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

var _ tink.AEADWithContext = (*kms.Key)(nil)

// key is the engine's key, asked for with that token.
func key(t *testing.T, e *kmstest.Engine, token string) *kms.Key {
	t.Helper()
	key, err := kms.New(e.URI, func() (secret.Text, error) { return secret.New(token), nil }, e.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAWrappedKeysetOpensWithItsKeyAlone(t *testing.T) {
	t.Parallel()
	mine, other := kmstest.Start(t), kmstest.Start(t)
	clearText, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.ReadKeyset(t.Context(), clearText, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := keys.Text(t.Context(), key(t, mine, kmstest.Token))
	if err != nil || !strings.Contains(wrapped.Reveal(), "encryptedKeyset") {
		t.Fatalf("wrap: %v", err)
	}
	place := vault.Place{Table: "grants", Row: "1", Column: "access_token"}
	sealed, err := keys.Vault().Seal(secret.New("alice's token"), place)
	if err != nil {
		t.Fatal(err)
	}
	back, err := vault.ReadKeyset(t.Context(), wrapped, key(t, mine, kmstest.Token))
	if err != nil {
		t.Fatalf("unwrap: %v", err)
	}
	if opened, err := back.Vault().Open(sealed, place); err != nil || opened.Reveal() != "alice's token" {
		t.Fatalf("the unwrapped keyset opens %q, %v", opened.Reveal(), err)
	}
	_, err = vault.ReadKeyset(t.Context(), wrapped, key(t, other, kmstest.Token))
	if err == nil || !strings.Contains(err.Error(), "wrapped under this key?") || strings.Contains(err.Error(), "hush") {
		t.Errorf("with another key: got %v", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), wrapped, nil); !errors.Is(err, vault.ErrWrapped) {
		t.Errorf("wrapped, and no service named: got %v, want ErrWrapped", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), clearText, key(t, mine, kmstest.Token)); !errors.Is(err, vault.ErrClear) {
		t.Errorf("in clear, and a service named: got %v, want ErrClear", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), secret.New(`{"encryptedKeyset":{"hush":1}}`), key(t, mine, kmstest.Token)); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("not a keyset: got %v, want ErrKeyset", err)
	}
}

func TestRefusalsSayWhatToLookAtAndQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		token  string
		want   string
	}{
		{"a token that has ended", 0, "hush-other-token", "VAULT_TOKEN"},
		{"no such key", 404, kmstest.Token, "TOKEN_KEYSET_KMS_URI"},
		{"sealed", 503, kmstest.Token, "sealed"},
		{"a redirect to another host", 307, kmstest.Token, "status 307"},
		{"broken", 500, kmstest.Token, "status 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := kmstest.Start(t)
			e.Fail(tt.status)
			_, err := key(t, e, tt.token).DecryptWithContext(t.Context(), []byte("vault:v1:hush"), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := kmstest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := key(t, e, kmstest.Token).EncryptWithContext(ctx, []byte("x"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestURIThatNamesNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"", "transit/keys/x", "aws-kms://arn", "https://vault.example.com/transit/keys/x", "hcvault:///transit/keys/x",
		"hcvault://vault.example.com", "hcvault://vault.example.com/transit/x", "hcvault://vault.example.com/keys/x",
		"hcvault://vault.example.com/transit/keys/", "hcvault://vault.example.com/transit/keys/x/y",
		"hcvault://alice:hush@vault.example.com/transit/keys/x", "hcvault://vault.example.com/transit/keys/x?a=b",
	} {
		if _, err := kms.New(uri, nil, nil); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
	for _, uri := range []string{"hcvault://vault.example.com:8200/transit/keys/galaxygate", "hcvault://vault.example.com/ns/one/transit/keys/x"} {
		if _, err := kms.New(uri, nil, nil); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}
