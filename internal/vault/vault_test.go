package vault_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"

	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	keys, err := vault.NewKeyset()
	if err != nil {
		t.Fatalf("NewKeyset: %v", err)
	}
	v, err := vault.New(keys)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return v
}

func TestSealedValueOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	home := vault.Place{Table: "grants", Row: "1", Column: "access_token"}
	plain := secret.New("alice's token")
	sealed, err := v.Seal(plain, home)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if bytes.Contains(sealed, []byte(plain.Reveal())) {
		t.Fatal("the sealed value holds the plain one")
	}
	changed := func(at int) []byte {
		c := bytes.Clone(sealed)
		c[at] ^= 1
		return c
	}
	tests := []struct {
		name   string
		vault  *vault.Vault
		sealed []byte
		place  vault.Place
		opens  bool
	}{
		{"at home", v, sealed, home, true},
		{"in another row", v, sealed, vault.Place{Table: "grants", Row: "2", Column: "access_token"}, false},
		{"in another column", v, sealed, vault.Place{Table: "grants", Row: "1", Column: "refresh_token"}, false},
		{"in another table", v, sealed, vault.Place{Table: "sessions", Row: "1", Column: "access_token"}, false},
		{"with the parts of its place shifted", v, sealed, vault.Place{Table: "grants1", Row: "", Column: "access_token"}, false},
		{"under another keyset", newVault(t), sealed, home, false},
		{"with another version of the format", v, changed(0), home, false},
		{"with another key's name", v, changed(2), home, false},
		{"with a bit changed", v, changed(len(sealed) - 1), home, false},
		{"cut short", v, sealed[:4], home, false},
		{"empty", v, nil, home, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.vault.Open(tt.sealed, tt.place)
			if tt.opens && (err != nil || !got.Equal(plain)) {
				t.Fatalf("Open: got %q, %v; want the value", got.Reveal(), err)
			}
			if !tt.opens && !errors.Is(err, vault.ErrSealed) {
				t.Fatalf("Open: got %v, want ErrSealed", err)
			}
		})
	}
}

func TestSealedValueOpensOnlyForItsKey(t *testing.T) {
	t.Parallel()
	v, plain := newVault(t), []byte("Alice's answer")
	sealed, err := v.SealValue(plain, "1")
	if err != nil {
		t.Fatalf("SealValue: %v", err)
	}
	if bytes.Contains(sealed, plain) {
		t.Fatal("the sealed value holds the plain one")
	}
	if got, err := v.OpenValue(sealed, "1"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v, want the value", got, err)
	}
	for name, open := range map[string]func() error{
		"for another key":       func() error { _, err := v.OpenValue(sealed, "2"); return err },
		"under another keyset":  func() error { _, err := newVault(t).OpenValue(sealed, "1"); return err },
		"cut short":             func() error { _, err := v.OpenValue(sealed[:4], "1"); return err },
		"empty":                 func() error { _, err := v.OpenValue(nil, "1"); return err },
		"in a row of that name": func() error { _, err := v.Open(sealed, vault.Place{Table: "grants", Row: "1"}); return err },
	} {
		if err := open(); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("%s: got %v, want ErrSealed", name, err)
		}
	}
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	t.Parallel()
	v, place := newVault(t), vault.Place{Table: "grants", Row: "1", Column: "access_token"}
	first, err := v.Seal(secret.New("token"), place)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	second, err := v.Seal(secret.New("token"), place)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if bytes.Equal(first, second) {
		t.Fatal("got the same bytes twice")
	}
}

func TestBadKeysetIsRefusedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	good, err := vault.NewKeyset()
	if err != nil {
		t.Fatalf("NewKeyset: %v", err)
	}
	handle, err := keyset.NewHandle(mac.HMACSHA256Tag256KeyTemplate())
	if err != nil {
		t.Fatalf("NewHandle: %v", err)
	}
	var macKeys strings.Builder
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&macKeys)); err != nil {
		t.Fatalf("Write: %v", err)
	}
	tests := []struct{ name, keyset string }{
		{"nothing", ""},
		{"no JSON", "hunter2hunter2"},
		{"JSON of another kind", `{"hunter2": "hunter2"}`},
		{"no keys", `{"primaryKeyId": 1, "key": []}`},
		{"cut short", good.Reveal()[:len(good.Reveal())/2]},
		{"without its primary key", strings.Replace(good.Reveal(), `"primaryKeyId":`, `"primaryKeyId":1`, 1)},
		{"disabled", strings.Replace(good.Reveal(), "ENABLED", "DISABLED", 1)},
		{"a broken key", strings.Replace(good.Reveal(), `"value":"`, `"value":"hunter2`, 1)},
		{"keys for another purpose", macKeys.String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := vault.New(secret.New(tt.keyset))
			if !errors.Is(err, vault.ErrKeyset) {
				t.Fatalf("New: got %v, want ErrKeyset", err)
			}
			if !strings.Contains(err.Error(), "galaxygate keys new") || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("New: error %q should name the remedy and quote nothing", err)
			}
		})
	}
}
