package persisted

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/background"
)

// maxFile is how many bytes a file may have.
const maxFile = 32 << 20

// errTooLarge means that a file has more bytes than maxFile.
var errTooLarge = fmt.Errorf("it has more than %d MiB", maxFile>>20)

// ReadFile reads the file of known operations with that name; see Parse.
func ReadFile(name string, schema *ast.Schema) (*Manifest, error) {
	content, err := contentOf(name)
	if err != nil {
		return nil, err
	}
	return Parse(content, schema)
}

func contentOf(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errTooLarge
	}
	return content, err
}

// File is the manifest of a file, and of what the file becomes: one that is swapped
// as Kubernetes does it is noticed like any other, by what it holds. Load it before
// it is used.
type File struct {
	Name   string
	Schema *ast.Schema
	Every  time.Duration // how often the file is read
	Logger *slog.Logger

	current atomic.Pointer[Manifest]

	// What was read last, and what is wrong with it.
	seen    Hash
	problem error
}

// Manifest returns what is known now. An operation asks once, so that it has one
// answer to all its questions.
func (f *File) Manifest() *Manifest { return f.current.Load() }

// Run watches the file until ctx ends. While it is missing or malformed the last
// good one stays, which is logged once, and so is the end of it.
func (f *File) Run(ctx context.Context) error {
	background.Poll(ctx, f.Every, f.Load, func(err error) {
		if err != nil {
			f.Logger.ErrorContext(ctx, "trusted documents not reloaded: those in use stay",
				"alarm", true, "variable", "TRUSTED_DOCUMENTS", "error", err)
			return
		}
		f.Logger.InfoContext(ctx, "file of trusted documents is good again")
	})
	return nil
}

// Load reads the file, and takes what it holds where that is good and another than
// before. It is not to be called while Run runs.
func (f *File) Load(ctx context.Context) error {
	content, err := contentOf(f.Name)
	if err != nil {
		return err
	}
	if seen := HashOf(string(content)); f.current.Load() == nil || seen != f.seen {
		f.seen = seen
		f.problem = f.take(ctx, content)
	}
	return f.problem
}

// take makes the content the current manifest.
func (f *File) take(ctx context.Context, content []byte) error {
	m, err := Parse(content, f.Schema)
	if err != nil {
		return err
	}
	before := f.current.Swap(m)
	added, changed, removed := m.differsFrom(before)
	f.Logger.InfoContext(ctx, "trusted documents loaded",
		"documents", m.Len(), "added", added, "changed", changed, "removed", removed)
	if len(m.invalid) > 0 {
		f.Logger.WarnContext(ctx, "trusted documents that the schema does not allow: they are answered with an error",
			"documents", texts(m.invalid))
	}
	return nil
}

// differsFrom counts the IDs that are new, mean another text, or are gone; before
// may be nil.
func (m *Manifest) differsFrom(before *Manifest) (added, changed, removed int) {
	if before == nil {
		return m.Len(), 0, 0
	}
	for id, text := range m.byID {
		switch was, known := before.byID[id]; {
		case !known:
			added++
		case was != text:
			changed++
		}
	}
	return added, changed, before.Len() + added - m.Len()
}

func texts(invalid []Invalid) []string {
	all := make([]string, len(invalid))
	for i, one := range invalid {
		all[i] = one.String()
	}
	return all
}
