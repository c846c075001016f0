package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/keyring"
	"galaxygate/internal/vault"
)

// record is the log.
type record struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

// lines are the log's lines with that message.
func (r *record) lines(message string) []map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(r.all.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && strings.HasPrefix(fields["msg"].(string), message) {
			found = append(found, fields)
		}
	}
	return found
}

// watch runs a reloader of the file at that name until the test ends.
func (w *world) watch(t *testing.T, name string) (*vault.Vault, *record) {
	t.Helper()
	log, file := &record{}, &keyring.File{Name: name}
	keys, err := file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := keys.Vault()
	reloader := &keyring.Reloader{
		File: file, Vault: v, Check: w.db.AcceptsKeyset, Every: time.Millisecond,
		Logger: slog.New(slog.NewJSONHandler(log, nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = reloader.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return v, log
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(20 * time.Second); !condition(); {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestAChangedFileIsReloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, log := w.watch(t, w.file.Name)
	rotated, err := w.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new key is primary", func() bool { return v.KeyIDs()[0] == rotated.KeyID })
	lines := log.lines("keyset reloaded")
	if last := lines[len(lines)-1]; last["primary_key_id"] != float64(rotated.KeyID) || last["level"] != "INFO" {
		t.Errorf("the log says %v", last)
	}
}

func TestABadFileIsRefusedWithOneAlarmAndTheKeysetStays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		content func(t *testing.T, w *world) string
		want    string
	}{
		{"cut short", func(t *testing.T, w *world) string {
			text, err := w.load(t).Text(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return text.Reveal()[:len(text.Reveal())/2]
		}, "not a keyset"},
		{"empty", func(*testing.T, *world) string { return "" }, "not a keyset"},
		{"without a key in use", func(t *testing.T, w *world) string {
			other, err := vault.NewKeyset()
			if err != nil {
				t.Fatal(err)
			}
			return other.Reveal()
		}, "it lacks key"},
		{"with another key of the same name", func(t *testing.T, w *world) string {
			text, err := w.load(t).Text(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			other, err := vault.NewKeyset()
			if err != nil {
				t.Fatal(err)
			}
			const value = `"value":"`
			cut := func(s string) (before, within, after string) {
				at := strings.Index(s, value) + len(value)
				end := at + strings.IndexByte(s[at:], '"')
				return s[:at], s[at:end], s[end:]
			}
			before, _, after := cut(text.Reveal())
			_, foreign, _ := cut(other.Reveal())
			return before + foreign + after
		}, "does not open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good, err := os.ReadFile(w.file.Name)
			if err != nil {
				t.Fatal(err)
			}
			v, log := w.watch(t, w.file.Name)
			before := v.KeyIDs()[0]
			w.write(t, tt.content(t, w))
			eventually(t, "the alarm", func() bool { return len(log.lines("keyset not reloaded")) > 0 })

			// Back as it was, and then another: it is still watching.
			w.write(t, string(good))
			eventually(t, "the all-clear", func() bool { return len(log.lines("keyset file is good again")) > 0 })
			rotated, err := w.Rotate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "a good file is loaded", func() bool { return v.KeyIDs()[0] == rotated.KeyID })
			if clear := log.lines("keyset file is good again"); len(clear) != 1 || clear[0]["level"] != "INFO" {
				t.Errorf("the all-clear: %v", clear)
			}
			alarms := log.lines("keyset not reloaded")
			if alarms[0]["alarm"] != true || !strings.Contains(alarms[0]["error"].(string), tt.want) {
				t.Errorf("the alarm says %v, want %q", alarms[0], tt.want)
			}
			if reloads := log.lines("keyset reloaded"); reloads[0]["key_ids_before"].([]any)[0] != float64(before) {
				t.Errorf("the refused keyset was in use: %v", reloads[0])
			}
		})
	}
}

// TestARefusalIsLoggedOnce counts the alarms of a file that stays bad.
func TestARefusalIsLoggedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	looks := make(chan struct{}, 100)
	log, file := &record{}, &keyring.File{Name: w.file.Name}
	keys, err := file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reloader := &keyring.Reloader{
		File: file, Vault: keys.Vault(), Every: time.Millisecond, Logger: slog.New(slog.NewJSONHandler(log, nil)),
		Check: func(context.Context, *vault.Keyset) error {
			select {
			case looks <- struct{}{}:
			default:
			}
			return context.DeadlineExceeded
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = reloader.Run(ctx) })
	if err := w.file.Save(t.Context(), changed(t, w.loadInto(t).WithNewKey)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		<-looks
	}
	cancel()
	running.Wait()
	if alarms := log.lines("keyset not reloaded"); len(alarms) != 1 {
		t.Errorf("%d alarms, want 1", len(alarms))
	}
}

// loadInto loads the file, so that it may be saved.
func (w *world) loadInto(t *testing.T) *vault.Keyset {
	t.Helper()
	keys, err := w.file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestAFileIsSwappedAsKubernetesDoesIt changes a link to a directory.
func TestAFileIsSwappedAsKubernetesDoesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mount := t.TempDir()
	put := func(version string, keys *vault.Keyset) {
		text, err := keys.Text(t.Context(), nil)
		if err == nil {
			err = os.Mkdir(filepath.Join(mount, version), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(mount, version, "keyset.json"), []byte(text.Reveal()), 0o600)
		}
		if err == nil {
			err = os.Symlink(version, filepath.Join(mount, "..data_tmp"))
		}
		if err == nil {
			err = os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := w.load(t)
	put("..one", first)
	name := filepath.Join(mount, "keyset.json")
	if err := os.Symlink(filepath.Join("..data", "keyset.json"), name); err != nil {
		t.Fatal(err)
	}
	v, _ := w.watch(t, name)
	next := promoted(t, first)
	put("..two", next)
	eventually(t, "the swapped file is loaded", func() bool { return v.KeyIDs()[0] == next.Primary() })
}
