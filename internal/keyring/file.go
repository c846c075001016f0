package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// ErrChanged means that the file is not any more what was loaded from it.
var ErrChanged = errors.New("the keyset's file was changed by someone else meanwhile: run the command again")

// Keeper keeps a keyset.
type Keeper interface {
	// Load returns the keyset.
	Load(ctx context.Context) (*vault.Keyset, error)
	// Save keeps another keyset in place of the one that was loaded. Where that
	// is not the one that is kept any more, it does nothing and returns
	// ErrChanged.
	Save(ctx context.Context, keys *vault.Keyset) error
	// Shared says that replicas load by themselves what Save has kept.
	Shared() bool
}

// File keeps the keyset in a file that replicas read again and again.
type File struct {
	Name    string
	Wrapper vault.Wrapper // nil: in clear
	loaded  []byte
}

// Printed is a keyset that came by the environment: another one is printed, to
// be put in its place by hand.
type Printed struct {
	Text    secret.Text
	Wrapper vault.Wrapper // nil: in clear
	Out     io.Writer
}

// Load implements Keeper.
func (p Printed) Load(ctx context.Context) (*vault.Keyset, error) {
	return vault.ReadKeyset(ctx, p.Text, p.Wrapper)
}

// Save implements Keeper: it prints.
func (p Printed) Save(ctx context.Context, keys *vault.Keyset) error {
	text, err := keys.Text(ctx, p.Wrapper)
	if err == nil {
		_, err = fmt.Fprintln(p.Out, text.Reveal())
	}
	return err
}

// Shared implements Keeper.
func (Printed) Shared() bool { return false }

// Load implements Keeper.
func (f *File) Load(ctx context.Context) (*vault.Keyset, error) {
	content, err := os.ReadFile(f.Name)
	if err != nil {
		return nil, fmt.Errorf("read keyset: %w", err)
	}
	keys, err := vault.ReadKeyset(ctx, secret.New(string(content)), f.Wrapper)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	f.loaded = content
	return keys, nil
}

// Save implements Keeper. Whoever reads the file at any time, also after a crash,
// finds it whole, the old one or the new one, with the mode and the owner of
// before. A link stays, and what it points to is rewritten.
func (f *File) Save(ctx context.Context, keys *vault.Keyset) error {
	text, err := keys.Text(ctx, f.Wrapper)
	if err != nil {
		return err
	}
	name, err := filepath.EvalSymlinks(f.Name)
	if err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	content := []byte(text.Reveal() + "\n")
	if err := f.replace(name, content); err != nil {
		return fmt.Errorf("write keyset: %w", err)
	}
	f.loaded = content
	return nil
}

// Shared implements Keeper.
func (*File) Shared() bool { return true }

// replace writes the content beside the file and moves it there. The file beside
// has one name: while it is there, nobody else writes.
func (f *File) replace(name string, content []byte) error {
	beside := name + ".new"
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: another command is changing the keyset, or was cut off: then remove it", err)
	}
	if err != nil {
		return fmt.Errorf("%w: let its directory be written to, or use --print", err)
	}
	defer func() { _ = os.Remove(beside) }() // after the move it is not there
	err = keepOwner(file, info)
	if err == nil {
		err = file.Chmod(info.Mode().Perm())
	}
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, f.loaded) { //nolint:gosec // the operator names it
		return errors.Join(ErrChanged, err)
	}
	if err := os.Rename(beside, name); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(name))
}

// syncDirectory makes the move last through a loss of power.
func syncDirectory(name string) error {
	dir, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
