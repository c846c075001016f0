package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Token is what the engine lets in.
const Token = "hush-vault-token"

const keyPath = "/v1/transit/%s/galaxygate"

// Engine is a running transit engine with one key, served by https.
type Engine struct {
	*httptest.Server
	// URI names the key.
	URI  string
	aead cipher.AEAD
	fail atomic.Int64
}

// Start runs an engine with a key of its own until the test ends.
func Start(t testing.TB) *Engine {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{}
	if e.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST "+strings.Replace(keyPath, "%s", "encrypt", 1), e.serve(e.encrypt))
	routes.HandleFunc("POST "+strings.Replace(keyPath, "%s", "decrypt", 1), e.serve(e.decrypt))
	e.Server = httptest.NewTLSServer(routes)
	t.Cleanup(e.Close)
	e.URI = strings.Replace(e.URL, "https", "hcvault", 1) + "/transit/keys/galaxygate"
	return e
}

// Fail makes the engine answer every call with the status; 0: not any more.
func (e *Engine) Fail(status int) { e.fail.Store(int64(status)) }

// CertificateFile writes the engine's certificate for SSL_CERT_FILE, and returns
// the file's name.
func (e *Engine) CertificateFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "engine.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})
	if err := os.WriteFile(name, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

type message map[string]string

func (e *Engine) encrypt(m message) (message, error) {
	plain, err := base64.StdEncoding.DecodeString(m["plaintext"])
	sealed := e.aead.Seal(nil, nil, plain, []byte(m["associated_data"]))
	return message{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(sealed)}, err
}

func (e *Engine) decrypt(m message) (message, error) {
	sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m["ciphertext"], "vault:v1:"))
	if err != nil {
		return nil, err
	}
	plain, err := e.aead.Open(nil, nil, sealed, []byte(m["associated_data"]))
	return message{"plaintext": base64.StdEncoding.EncodeToString(plain)}, err
}

func (e *Engine) serve(do func(message) (message, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := int(e.fail.Load())
		if r.Header.Get("X-Vault-Token") != Token {
			status = http.StatusForbidden
		}
		var m, reply message
		err := json.NewDecoder(r.Body).Decode(&m)
		if err == nil {
			reply, err = do(m)
		}
		if err != nil && status == 0 {
			status = http.StatusBadRequest
		}
		if status != 0 { // it says what it was sent, as a careless proxy does
			w.Header().Set("Location", "https://evil.example.com/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"errors":["refused: ` + m["ciphertext"] + `"]}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]message{"data": reply})
	}
}
