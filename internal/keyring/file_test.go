package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"galaxygate/internal/keyring"
)

func TestAFileIsReplacedWholeAndKeepsItsMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys, err := w.file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reading, err := os.Open(w.file.Name) // a reader who has begun reads the old one to its end
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	for range 2 { // what was saved counts as loaded
		keys = changed(t, keys.WithNewKey)
		if err := w.file.Save(t.Context(), keys); err != nil {
			t.Fatalf("Save: %v", err)
		}
	}
	if got := w.load(t).KeyIDs(); !slices.Equal(got, keys.KeyIDs()) {
		t.Errorf("got keys %v, want %v", got, keys.KeyIDs())
	}
	before, err := reading.Stat()
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(w.file.Name)
	if err != nil || after.Mode() != before.Mode() || os.SameFile(before, after) {
		t.Errorf("got mode %v, want %v, in another file; %v", after.Mode(), before.Mode(), err)
	}
	if left, _ := filepath.Glob(w.file.Name + "?*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAFileThatSomeoneElseChangesIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys, err := w.file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := promoted(t, keys)
	text, err := other.Text(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, text.Reveal())
	if err := w.file.Save(t.Context(), changed(t, keys.WithNewKey)); !errors.Is(err, keyring.ErrChanged) {
		t.Errorf("Save: got %v, want ErrChanged", err)
	}
	if got := w.load(t).Primary(); got != other.Primary() {
		t.Error("the other's change is lost")
	}

	if keys, err = w.file.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file.Name+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.file.Save(t.Context(), keys); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("while another command writes: got %v", err)
	}
}

func TestALinkStaysALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(w.file.Name, link); err != nil {
		t.Fatal(err)
	}
	file := &keyring.File{Name: link}
	keys, err := file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys = changed(t, keys.WithNewKey)
	if err := file.Save(t.Context(), keys); err != nil {
		t.Fatalf("Save: %v", err)
	}
	if target, err := os.Readlink(link); err != nil || target != w.file.Name || !slices.Equal(w.load(t).KeyIDs(), keys.KeyIDs()) {
		t.Errorf("the link points to %s, %v", target, err)
	}
}

func TestAFileThatCannotBeRewrittenNamesTheWayOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Nothing can be made beside a file whose name is this long, by root neither.
	long := filepath.Join(t.TempDir(), strings.Repeat("k", 255))
	if err := os.Rename(w.file.Name, long); err != nil {
		t.Fatal(err)
	}
	w.file.Name = long
	if _, err := w.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "use --print") {
		t.Errorf("got %v", err)
	}
}
