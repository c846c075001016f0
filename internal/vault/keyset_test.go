package vault_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

var home = vault.Place{Table: "grants", Row: "1", Column: "access_token"}

func newKeyset(t *testing.T) *vault.Keyset {
	t.Helper()
	text, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return read(t, text)
}

func read(t *testing.T, text secret.Text) *vault.Keyset {
	t.Helper()
	keys, err := vault.ReadKeyset(t.Context(), text, nil)
	if err != nil {
		t.Fatalf("ReadKeyset: %v", err)
	}
	return keys
}

// must returns the keyset, having been written and read again.
func must(t *testing.T) func(*vault.Keyset, error) *vault.Keyset {
	return func(keys *vault.Keyset, err error) *vault.Keyset {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := keys.Text(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, text)
	}
}

func seal(t *testing.T, v *vault.Vault) (sealed []byte, keyID uint32) {
	t.Helper()
	sealed, err := v.Seal(secret.New("token"), home)
	if err != nil {
		t.Fatal(err)
	}
	keyID, ok := vault.SealedUnder(sealed)
	if !ok {
		t.Fatal("a sealed value does not say its key")
	}
	return sealed, keyID
}

func TestAKeyIsAddedThenPromotedThenTheOldOneRemoved(t *testing.T) {
	t.Parallel()
	first := newKeyset(t)
	if _, pending := first.Pending(); pending {
		t.Fatal("a new keyset's only key is pending")
	}
	if _, err := first.Promoted(); !errors.Is(err, vault.ErrNoKey) {
		t.Fatalf("Promoted of nothing: got %v, want ErrNoKey", err)
	}
	added := must(t)(first.WithNewKey())
	pending, ok := added.Pending()
	if !ok || added.Primary() != first.Primary() || !slices.Equal(added.KeyIDs(), []uint32{first.Primary(), pending}) {
		t.Fatalf("after adding: primary %d, keys %v", added.Primary(), added.KeyIDs())
	}
	promoted := must(t)(added.Promoted())
	if _, again := promoted.Pending(); again || !slices.Equal(promoted.KeyIDs(), []uint32{pending, first.Primary()}) {
		t.Fatalf("after promotion: keys %v, want the primary %d first", promoted.KeyIDs(), pending)
	}
	old, _ := seal(t, first.Vault())
	if _, err := promoted.Vault().Open(old, home); err != nil {
		t.Fatalf("the old key does not open any more: %v", err)
	}
	if _, err := promoted.Without(pending); !errors.Is(err, vault.ErrPrimary) {
		t.Fatalf("removing the primary: got %v, want ErrPrimary", err)
	}
	if _, err := promoted.Without(pending + 1); !errors.Is(err, vault.ErrNoKey) {
		t.Fatalf("removing another: got %v, want ErrNoKey", err)
	}
	removed := must(t)(promoted.Without(first.Primary()))
	if _, err := removed.Vault().Open(old, home); !errors.Is(err, vault.ErrSealed) {
		t.Fatalf("under a removed key: got %v, want ErrSealed", err)
	}
}

func TestAValueSaysItsKeyWithoutBeingOpened(t *testing.T) {
	t.Parallel()
	keys := newKeyset(t)
	sealed, keyID := seal(t, keys.Vault())
	if keyID != keys.Primary() {
		t.Errorf("got key %d, want %d", keyID, keys.Primary())
	}
	if id, ok := vault.SealedUnder(sealed[:vault.KeyIDOffset+vault.KeyIDLength]); !ok || id != keyID {
		t.Errorf("its beginning: got %d, %v", id, ok)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "too short": sealed[:5], "another form": append([]byte{9}, sealed[1:]...), "no key's name": append([]byte{1, 9}, sealed[2:]...),
	} {
		if id, ok := vault.SealedUnder(bad); ok {
			t.Errorf("%s: got key %d", name, id)
		}
	}
}

func TestAKeysetIsReplacedWhileItServes(t *testing.T) {
	t.Parallel()
	first := newKeyset(t)
	both := must(t)(must(t)(first.WithNewKey()).Promoted())
	v := first.Vault()
	var group sync.WaitGroup
	replaced := make(chan struct{})
	for range 4 {
		group.Go(func() {
			for turn, after := 0, 0; after < 100; turn++ {
				sealed, err := v.Seal(secret.New("token"), home)
				if err != nil {
					t.Errorf("Seal: %v", err)
					return
				}
				if _, err := v.Open(sealed, home); err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				select {
				case <-replaced:
					after++
				default:
				}
			}
		})
	}
	v.Replace(both)
	close(replaced)
	group.Wait()
	if _, keyID := seal(t, v); keyID != both.Primary() {
		t.Errorf("sealed under %d, want the new primary %d", keyID, both.Primary())
	}
	if !slices.Equal(v.KeyIDs(), both.KeyIDs()) {
		t.Errorf("keys %v, want %v", v.KeyIDs(), both.KeyIDs())
	}
}
