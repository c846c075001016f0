package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/zalando/go-keyring"
)

var errSignedOut = errors.New("you are not signed in: " + program + " sign-in")

// keep is where the session of one gateway is kept: the system's keyring, or a file
// that only the user can read where there is none.
type keep struct{ account string }

// save replaces the session that is kept, and says where it is now.
func (k keep) save(session string) (where string, err error) {
	file, err := k.file()
	if err != nil {
		return "", err
	}
	if keyring.Set(program, k.account, session) == nil {
		return "the system's keyring", removed(file) // an older one would come back some day
	}
	return file, replaceFile(file, session)
}

// load returns the session that is kept, or errSignedOut.
func (k keep) load() (string, error) {
	if session, err := keyring.Get(program, k.account); err == nil {
		return session, nil
	}
	file, err := k.file()
	if err != nil {
		return "", err
	}
	session, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errSignedOut
	}
	return string(session), err
}

// erase forgets the session.
func (k keep) erase() error {
	_ = keyring.Delete(program, k.account) // it is not there, or there is no keyring
	file, err := k.file()
	if err != nil {
		return err
	}
	return removed(file)
}

// file is the session's file, in the user's directory for settings.
func (k keep) file() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, program, url.QueryEscape(k.account)), nil
}

// replaceFile writes a file that only its owner can read. Whoever looks finds the
// old content or the new, whole.
func replaceFile(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*") // its mode is 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	return os.Rename(file.Name(), name)
}

// removed removes the file, if it is there.
func removed(file string) error {
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
