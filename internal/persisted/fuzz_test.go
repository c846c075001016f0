package persisted_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"galaxygate/internal/persisted"
)

// FuzzManifest holds any file against what must be true of it: it does not panic,
// what it lists is found by each of its names and is GraphQL, and what is told of a
// bad one quotes no document.
func FuzzManifest(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) < 4 {
		f.Fatalf("got %d files, %v", len(files), err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, content := range []string{
		`{}`, `null`, `[]`, `{"a":`, `{"a":"{","a":"{"}`, `{"{viewer{id}}":"{viewer{id"}`, `{"a":"\ud800"}`, "\xef\xbb\xbf{}",
		`{"operations":[]}`, apollo(`{"id":"a","body":"{viewer{id}}"},{"id":"a","body":"{viewer{id}"}`), apollo(`{"id":"{b{"}`),
		`{"sha256:a":"{b}"}`, `{"` + hashed("{a}") + `":"{b}","a":"{a}"}`, `{"a":"query($a:B=[{c:\"d\"}]@e){f}"}`,
	} {
		f.Add([]byte(content))
	}
	known := schema()
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := persisted.Parse(content, known)
		listed := listedIn(content)
		if err != nil {
			for _, text := range listed {
				if strings.Contains(text, "{") && strings.Contains(err.Error(), text) {
					t.Errorf("the error quotes %q: %v", text, err)
				}
			}
			return
		}
		if m.Len() == 0 || m.Len() != len(listed) || len(m.Invalid()) > m.Len() {
			t.Errorf("got %d documents, %d invalid, of %d", m.Len(), len(m.Invalid()), len(listed))
		}
		for id, text := range listed {
			for _, name := range []string{id, hashed(text), "sha256:" + hashed(text)} {
				if got, ok := m.Find(name); !ok || got != text || !m.Knows(text) {
					t.Errorf("by %q: got %q, %v, want %q", name, got, ok, text)
				}
			}
		}
	})
}

// listedIn are the texts in the file by their IDs, as encoding/json reads them.
func listedIn(content []byte) map[string]string {
	var (
		members    map[string]json.RawMessage // whose names are matched exactly
		operations []map[string]json.RawMessage
	)
	_ = json.Unmarshal(content, &members)
	listed := make(map[string]string)
	if members["format"] == nil && members["operations"] == nil {
		_ = json.Unmarshal(content, &listed)
		return listed
	}
	_ = json.Unmarshal(members["operations"], &operations)
	for _, o := range operations {
		var id, body string
		_, _ = json.Unmarshal(o["id"], &id), json.Unmarshal(o["body"], &body)
		listed[id] = body
	}
	return listed
}
