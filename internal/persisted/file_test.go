package persisted_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/persisted"
)

// watched is a file that is watched until the test ends, and its log.
type watched struct {
	*persisted.File

	mu  sync.Mutex
	log []map[string]any
}

// Write implements io.Writer for the log.
func (w *watched) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fields)
	return len(line), nil
}

var _ io.Writer = (*watched)(nil)

// lines are those with that message.
func (w *watched) lines(message string) []map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []map[string]any
	for _, fields := range w.log {
		if text, _ := fields["msg"].(string); strings.HasPrefix(text, message) {
			found = append(found, fields)
		}
	}
	return found
}

func write(t *testing.T, name, content string) {
	t.Helper()
	// As editors and tools do it: whoever reads finds one content or the other.
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func watch(t *testing.T, name string) *watched {
	t.Helper()
	w := &watched{}
	w.File = &persisted.File{
		Name: name, Schema: schema(), Every: time.Millisecond,
		Logger: slog.New(slog.NewJSONHandler(w, nil)),
	}
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return w
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

// knows waits until the file's current manifest has these IDs and no others.
func (w *watched) knows(t *testing.T, ids ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q are known", ids), func() bool {
		m := w.Manifest()
		for _, id := range ids {
			if _, ok := m.Find(id); !ok {
				return false
			}
		}
		return m.Len() == len(ids)
	})
}

func TestAFileIsReloaded(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ops.json")
	write(t, name, `{"a":"{viewer{id}}","b":"{viewer{name}}"}`)
	w := watch(t, name)
	write(t, name, `{"b":"{viewer{id name}}","c":"{viewer{old}}","d":"{__typename}"}`)
	w.knows(t, "b", "c", "d")
	eventually(t, "it is logged", func() bool { return len(w.lines("trusted documents that")) == 1 })
	got := fmt.Sprint(w.lines("trusted documents loaded")[1])
	for _, want := range []string{"added:2", "changed:1", "removed:1", "documents:3"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log has %s, want %s", got, want)
		}
	}
	if got := fmt.Sprint(w.lines("trusted documents that")[0]["documents"]); got != "[c (FieldsOnCorrectType, line 1, column 9)]" {
		t.Errorf("not valid: got %s", got)
	}
}

func TestAFileThatIsSwappedByLinksIsReloaded(t *testing.T) {
	t.Parallel()
	// As Kubernetes has it: the file is a link through a link that is replaced.
	dir := t.TempDir()
	for version, content := range map[string]string{"..1": `{"a":"{viewer{id}}"}`, "..2": `{"b":"{viewer{id}}"}`} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "ops.json"), content)
	}
	link := func(from, to string) {
		t.Helper()
		beside := filepath.Join(dir, "..new")
		if err := os.Symlink(to, beside); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(beside, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	link("..data", "..1")
	link("ops.json", filepath.Join("..data", "ops.json"))
	w := watch(t, filepath.Join(dir, "ops.json"))
	w.knows(t, "a")
	link("..data", "..2")
	w.knows(t, "b")
}

func TestAFileThatIsNotGoodLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	const refused, better = "trusted documents not reloaded", "file of trusted documents is good again"
	tests := []struct {
		name string
		harm func(t *testing.T, name string)
	}{
		{"cut off", func(t *testing.T, name string) { write(t, name, `{"a":"{viewer{id}}"`) }},
		{"one bad operation of two", func(t *testing.T, name string) { write(t, name, `{"b":"{viewer{id}}","c":"{"}`) }},
		{"emptied", func(t *testing.T, name string) { write(t, name, "") }},
		{"removed", func(t *testing.T, name string) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const good = `{"a":"{viewer{id}}"}`
			name := filepath.Join(t.TempDir(), "ops.json")
			write(t, name, good)
			w := watch(t, name)
			tt.harm(t, name)
			eventually(t, "it is refused", func() bool { return len(w.lines(refused)) > 0 })
			w.knows(t, "a")
			write(t, name, good)
			eventually(t, "it is good again", func() bool { return len(w.lines(better)) == 1 })
			write(t, name, `{"b":"{viewer{id}}"}`)
			w.knows(t, "b")
			if alarms := w.lines(refused); len(alarms) != 1 || alarms[0]["alarm"] != true || strings.Contains(fmt.Sprint(alarms), "viewer") {
				t.Errorf("logged: %v, want one alarm without a document", alarms)
			}
		})
	}
}
