package kms_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/tink"

	"galaxygate/internal/kms"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

var _ tink.AEADWithContext = (*kms.Key)(nil)

const token = "hush-vault-token"

// engine is a transit engine with one key, "galaxygate", as HashiCorp's API
// describes it. It encrypts.
type engine struct {
	*httptest.Server
	aead cipher.AEAD
	fail int // the status that it answers, where not 0
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{}
	if e.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/transit/encrypt/galaxygate", e.serve(func(m, reply map[string]string) error {
		plain, err := base64.StdEncoding.DecodeString(m["plaintext"])
		reply["ciphertext"] = "vault:v1:" + base64.StdEncoding.EncodeToString(e.aead.Seal(nil, nil, plain, []byte(m["associated_data"])))
		return err
	}))
	routes.HandleFunc("POST /v1/transit/decrypt/galaxygate", e.serve(func(m, reply map[string]string) error {
		sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m["ciphertext"], "vault:v1:"))
		if err != nil {
			return err
		}
		plain, err := e.aead.Open(nil, nil, sealed, []byte(m["associated_data"]))
		reply["plaintext"] = base64.StdEncoding.EncodeToString(plain)
		return err
	}))
	e.Server = httptest.NewTLSServer(routes)
	t.Cleanup(e.Close)
	return e
}

func (e *engine) serve(do func(m, reply map[string]string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, reply := map[string]string{}, map[string]string{}
		status := e.fail
		if r.Header.Get("X-Vault-Token") != token {
			status = http.StatusForbidden
		}
		if status == 0 && (json.NewDecoder(r.Body).Decode(&m) != nil || do(m, reply) != nil) {
			status = http.StatusBadRequest
		}
		if status != 0 {
			w.Header().Set("Location", "https://evil.example.com/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"errors":["hush: ` + m["ciphertext"] + `"]}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": reply})
	}
}

func (e *engine) uri(path string) string {
	return "hcvault://" + strings.TrimPrefix(e.URL, "https://") + path
}

func (e *engine) key(t *testing.T, token string) *kms.Key {
	t.Helper()
	key, err := kms.New(e.uri("/transit/keys/galaxygate"),
		func() (secret.Text, error) { return secret.New(token), nil }, e.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAWrappedKeysetOpensWithItsKeyAlone(t *testing.T) {
	t.Parallel()
	mine, other := newEngine(t), newEngine(t)
	clearText, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.ReadKeyset(t.Context(), clearText, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := keys.Text(t.Context(), mine.key(t, token))
	if err != nil || !strings.Contains(wrapped.Reveal(), "encryptedKeyset") {
		t.Fatalf("wrap: %v", err)
	}
	place := vault.Place{Table: "grants", Row: "1", Column: "access_token"}
	sealed, err := keys.Vault().Seal(secret.New("alice's token"), place)
	if err != nil {
		t.Fatal(err)
	}
	back, err := vault.ReadKeyset(t.Context(), wrapped, mine.key(t, token))
	if err != nil {
		t.Fatalf("unwrap: %v", err)
	}
	if opened, err := back.Vault().Open(sealed, place); err != nil || opened.Reveal() != "alice's token" {
		t.Fatalf("the unwrapped keyset opens %q, %v", opened.Reveal(), err)
	}
	_, err = vault.ReadKeyset(t.Context(), wrapped, other.key(t, token))
	if err == nil || !strings.Contains(err.Error(), "wrapped under this key?") || strings.Contains(err.Error(), "hush") {
		t.Errorf("with another key: got %v", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), wrapped, nil); !errors.Is(err, vault.ErrWrapped) {
		t.Errorf("wrapped, and no service named: got %v, want ErrWrapped", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), clearText, mine.key(t, token)); !errors.Is(err, vault.ErrClear) {
		t.Errorf("in clear, and a service named: got %v, want ErrClear", err)
	}
	if _, err := vault.ReadKeyset(t.Context(), secret.New(`{"encryptedKeyset":"hush"}`), mine.key(t, token)); !errors.Is(err, vault.ErrKeyset) {
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
		{"no such key", 404, token, "TOKEN_KEYSET_KMS_URI"},
		{"sealed", 503, token, "sealed"},
		{"a redirect to another host", 307, token, "status 307"},
		{"broken", 500, token, "status 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			e.fail = tt.status
			_, err := e.key(t, tt.token).DecryptWithContext(t.Context(), []byte("vault:v1:hush"), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.key(t, token).EncryptWithContext(ctx, []byte("x"), nil); !errors.Is(err, context.Canceled) {
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
