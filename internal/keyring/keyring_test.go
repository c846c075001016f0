package keyring_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"galaxygate/internal/keyring"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
	"galaxygate/internal/vault"
)

// world is a keyset in a file, and a database that was served from, with replicas.
type world struct {
	*keyring.Ring
	file *keyring.File
	db   *store.DB
	raw  *sql.DB

	waiting func() // what happens once replicas are waited for
}

func newWorld(t *testing.T) *world {
	t.Helper()
	text, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{file: &keyring.File{Name: filepath.Join(t.TempDir(), "keyset.json")}}
	w.write(t, text.Reveal())
	path := filepath.Join(t.TempDir(), "test.db")
	if err := testdb.Migrate(t.Context(), "sqlite://"+path); err != nil {
		t.Fatal(err)
	}
	if w.db, err = store.Open("sqlite://"+path, w.load(t).Vault(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	if err := w.db.CheckKeyset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.raw, err = sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.raw.Close() })
	w.Ring = &keyring.Ring{
		Keeper: w.file, Store: w.db, Timeout: 20 * time.Second, Poll: time.Millisecond,
		Waiting: func(lagging, all []keyring.Replica) {
			if w.waiting != nil {
				w.waiting()
			}
		},
	}
	return w
}

func (w *world) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(w.file.Name, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

// load reads the file as a new process does.
func (w *world) load(t *testing.T) *vault.Keyset {
	t.Helper()
	keys, err := (&keyring.File{Name: w.file.Name}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// replica reports, as a replica does, the keys of the file.
func (w *world) replica(t *testing.T, id string, keys *vault.Keyset) {
	t.Helper()
	text := strings.Trim(fmt.Sprint(keys.KeyIDs()), "[]")
	_, err := w.raw.ExecContext(t.Context(), `
INSERT INTO replicas (id, key_ids, expires_at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET key_ids = excluded.key_ids`,
		id, text, time.Now().Add(time.Hour).UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
}

// changed returns the keyset, changed.
func changed(t *testing.T, changes ...func() (*vault.Keyset, error)) *vault.Keyset {
	t.Helper()
	var keys *vault.Keyset
	for _, change := range changes {
		var err error
		if keys, err = change(); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// promoted returns the keyset with another key as the primary one.
func promoted(t *testing.T, keys *vault.Keyset) *vault.Keyset {
	t.Helper()
	return changed(t, changed(t, keys.WithNewKey).Promoted)
}
