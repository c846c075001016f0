package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"galaxygate/internal/secret"
)

// Scheme is how a URI of a key in HashiCorp Vault begins.
const Scheme = "hcvault"

const (
	callTimeout = 10 * time.Second
	maxReply    = 1 << 20
)

var errURI = errors.New("must be hcvault://host:port/mount/keys/name, a key of HashiCorp Vault's transit engine")

// Key is a key of a transit engine. It is safe for concurrent use.
type Key struct {
	encrypt, decrypt string
	token            func() (secret.Text, error)
	client           *http.Client
}

// New returns the key that a URI names, hcvault://host:port/mount/keys/name, as
// Tink writes it. It is asked for by https alone, through the transport, with the
// token that is returned at the time of the call: tokens are renewed.
func New(uri string, token func() (secret.Text, error), transport http.RoundTripper) (*Key, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != Scheme || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errURI
	}
	mount, name, ok := strings.Cut(u.EscapedPath(), "/keys/")
	if !ok || len(mount) < 2 || name == "" || strings.Contains(name, "/") {
		return nil, errURI
	}
	at := func(operation string) string {
		return "https://" + u.Host + "/v1" + mount + "/" + operation + "/" + name
	}
	return &Key{
		encrypt: at("encrypt"), decrypt: at("decrypt"), token: token,
		client: &http.Client{
			Transport: transport,
			Timeout:   callTimeout,
			// Another host is not to be given the token, nor the keyset.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// message is what is asked and answered; bytes are base64, as Vault has them,
// while a ciphertext is text of its own.
type message struct {
	Plaintext      []byte `json:"plaintext,omitempty"`
	Ciphertext     string `json:"ciphertext,omitempty"`
	AssociatedData []byte `json:"associated_data,omitempty"`
}

// EncryptWithContext returns the plaintext encrypted. Its errors quote neither
// what was sent nor what came back.
func (k *Key) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	reply, err := k.call(ctx, k.encrypt, message{Plaintext: plaintext, AssociatedData: associatedData})
	if err == nil && reply.Ciphertext == "" {
		err = errors.New("key-management service: no ciphertext in the reply")
	}
	return []byte(reply.Ciphertext), err
}

// DecryptWithContext returns the plaintext of what EncryptWithContext returned,
// with the same associated data.
func (k *Key) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	reply, err := k.call(ctx, k.decrypt, message{Ciphertext: string(ciphertext), AssociatedData: associatedData})
	if err == nil && len(reply.Plaintext) == 0 {
		err = errors.New("key-management service: no plaintext in the reply")
	}
	return reply.Plaintext, err
}

func (k *Key) call(ctx context.Context, address string, m message) (message, error) {
	token, err := k.token()
	if err != nil {
		return message{}, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return message{}, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return message{}, fmt.Errorf("key-management service: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("X-Vault-Token", token.Reveal())
	resp, err := k.client.Do(req)
	if err != nil {
		return message{}, fmt.Errorf("key-management service: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return message{}, refusal(resp.StatusCode)
	}
	var reply struct {
		Data message `json:"data"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(&reply) != nil {
		return message{}, errors.New("key-management service: the reply is not what a transit engine answers")
	}
	return reply.Data, nil
}

// refusal explains the status, and leaves the service's own words out: they may
// quote what they refuse.
func refusal(status int) error {
	why := map[int]string{
		http.StatusBadRequest:         "it does not take what was sent: is the keyset wrapped under this key?",
		http.StatusForbidden:          "VAULT_TOKEN has ended, or is not allowed to use this key",
		http.StatusNotFound:           "it has no such key: look at TOKEN_KEYSET_KMS_URI",
		http.StatusServiceUnavailable: "it is sealed or in maintenance",
	}[status]
	if why == "" {
		why = http.StatusText(status)
	}
	return fmt.Errorf("key-management service: status %d: %s", status, why)
}
