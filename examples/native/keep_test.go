package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestTheSessionIsInAFileOfTheUsersAloneWhereThereIsNoKeyring(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("AppData", dir)
	keyring.MockInitWithError(errors.New("no keyring"))
	k := keep{account: "https://gate.example.com"}

	if _, err := k.load(); !errors.Is(err, errSignedOut) {
		t.Errorf("at first: got %v", err)
	}
	var file string
	for _, session := range []string{"one", "two"} {
		var err error
		if file, err = k.save(session); err != nil {
			t.Fatal(err)
		}
		if got, err := k.load(); got != session || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, session)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file's mode is %v", info.Mode())
	}
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(files) != 1 {
		t.Errorf("beside the file: %q, %v", files, err)
	}
	if err := k.erase(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after it was erased: %v", err)
	}
}

func TestASessionThatMovesIntoTheKeyringLeavesNoFile(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	keyring.MockInitWithError(errors.New("no keyring"))
	k := keep{account: "https://gate.example.com"}
	file, err := k.save("old")
	if err != nil {
		t.Fatal(err)
	}
	keyring.MockInit()
	if where, err := k.save("new"); err != nil || where == file {
		t.Errorf("saved in %q, %v", where, err)
	}
	if got, err := k.load(); got != "new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
}
