package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/keyring"
	"galaxygate/internal/secret"
	"galaxygate/internal/store"
	"galaxygate/internal/vault"
)

func TestAKeyIsMadePrimaryOnceEveryReplicaHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.load(t)
	w.replica(t, "one", first)
	w.replica(t, "two", first)
	looks, last := 0, -1
	w.Waiting = func(lagging, _ []keyring.Replica) {
		last = len(lagging)
		keys := w.load(t)
		if _, pending := keys.Pending(); !pending || keys.Primary() != first.Primary() {
			t.Error("the key is primary while a replica lacks it")
		}
		switch looks++; looks {
		case 2:
			w.replica(t, "one", keys)
		case 5:
			w.replica(t, "two", keys)
		}
	}
	rotated, err := w.Rotate(t.Context())
	if err != nil || !rotated.Promoted {
		t.Fatalf("Rotate: got %+v, %v", rotated, err)
	}
	if last != 0 {
		t.Errorf("the last that was said is that %d replicas lag", last)
	}
	if got, want := w.load(t).KeyIDs(), []uint32{rotated.KeyID, first.Primary()}; !slices.Equal(got, want) || looks < 5 {
		t.Errorf("got keys %v, want %v; replicas were looked at %d times", got, want, looks)
	}
}

func TestWithoutReplicasTheKeyIsPrimaryAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.waiting = func() { t.Error("it waits for nobody") }
	rotated, err := w.Rotate(t.Context())
	if err != nil || w.load(t).Primary() != rotated.KeyID {
		t.Errorf("got %+v, %v", rotated, err)
	}
}

func TestARotationThatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.replica(t, "the-one-that-lags", w.load(t))
	w.Timeout = 10 * time.Millisecond
	cut, err := w.Rotate(t.Context())
	if !errors.Is(err, keyring.ErrLagging) || !strings.Contains(err.Error(), "the-one-that-lags") || cut.Promoted {
		t.Fatalf("got %+v, %v, want ErrLagging and the replica's name", cut, err)
	}
	keys := w.load(t)
	if pending, ok := keys.Pending(); !ok || pending != cut.KeyID {
		t.Fatalf("pending is %d, want %d", pending, cut.KeyID)
	}
	w.replica(t, "the-one-that-lags", keys)
	rotated, err := w.Rotate(t.Context())
	if err != nil || rotated != (keyring.Rotated{KeyID: cut.KeyID, Promoted: true}) || len(w.load(t).KeyIDs()) != 2 {
		t.Errorf("got %+v, %v, want key %d promoted and no other added", rotated, err, cut.KeyID)
	}
}

func TestAKeysetOfTheEnvironmentIsRotatedInTwoCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := w.load(t).Text(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.replica(t, "one", w.load(t))
	call := func() keyring.Rotated {
		var out bytes.Buffer
		w.Keeper = keyring.Printed{Text: text, Out: &out}
		rotated, err := w.Rotate(t.Context())
		if err != nil {
			t.Fatalf("Rotate: %v", err)
		}
		text = secret.New(out.String())
		return rotated
	}
	added := call()
	keys, err := vault.ReadKeyset(t.Context(), text, nil)
	if err != nil || added.Promoted {
		t.Fatalf("the first call: got %+v, %v", added, err)
	}
	if pending, ok := keys.Pending(); !ok || pending != added.KeyID {
		t.Fatalf("the first call: pending is %d, want %d", pending, added.KeyID)
	}
	w.replica(t, "one", keys)
	if rotated := call(); rotated != (keyring.Rotated{KeyID: added.KeyID, Promoted: true}) {
		t.Errorf("the second call: got %+v", rotated)
	}
	if keys, err = vault.ReadKeyset(t.Context(), text, nil); err != nil || keys.Primary() != added.KeyID {
		t.Errorf("the second call: primary is %d, %v", keys.Primary(), err)
	}
}

func TestNothingIsChangedWhereTheDatabaseCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.load(t).KeyIDs()
	_ = w.db.Close()
	if _, err := w.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "before anything is changed") {
		t.Errorf("got %v", err)
	}
	if got := w.load(t).KeyIDs(); !slices.Equal(got, before) {
		t.Errorf("got keys %v, want %v", got, before)
	}
}

// TestADatabaseThatNobodyServesFromProvesNothing has nothing in use, like the
// database of another environment, or one that was just made.
func TestADatabaseThatNobodyServesFromProvesNothing(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(w *world, old uint32) error{
		"rotate":        func(w *world, _ uint32) error { _, err := w.Rotate(t.Context()); return err },
		"reencrypt":     func(w *world, _ uint32) error { _, err := w.AwaitPrimary(t.Context()); return err },
		"remove":        func(w *world, old uint32) error { return w.Remove(t.Context(), old) },
		"remove unused": func(w *world, _ uint32) error { _, err := w.RemoveUnused(t.Context()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old := w.load(t).Primary()
			text, err := promoted(t, w.load(t)).Text(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, text.Reveal())
			if _, err := w.raw.ExecContext(t.Context(), "DELETE FROM vault_canary"); err != nil {
				t.Fatal(err)
			}
			if err := command(w, old); !errors.Is(err, store.ErrNeverServed) {
				t.Errorf("got %v, want ErrNeverServed", err)
			}
			content, err := os.ReadFile(w.file.Name)
			if err != nil || string(content) != text.Reveal() {
				t.Errorf("the file was changed, or %v", err)
			}
			var canaries int
			if err := w.raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM vault_canary").Scan(&canaries); err != nil || canaries != 0 {
				t.Errorf("%d canaries were written, %v", canaries, err)
			}
		})
	}
}

// TestUnusedKeysAreRemoved has, beside the primary and a pending key, one that a
// replica seals under, one that a value is under, and one that nothing needs.
func TestUnusedKeysAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	valued := w.load(t)
	unused := promoted(t, valued)
	sealing := promoted(t, unused)
	all := changed(t, promoted(t, sealing).WithNewKey)
	text, err := all.Text(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, text.Reveal())
	w.replica(t, "one", sealing)
	for _, want := range [][]uint32{{unused.Primary()}, nil} {
		removed, err := w.RemoveUnused(t.Context())
		if err != nil || !slices.Equal(removed, want) {
			t.Errorf("RemoveUnused: got %v, %v, want %v", removed, err, want)
		}
	}
	want := slices.DeleteFunc(all.KeyIDs(), func(id uint32) bool { return id == unused.Primary() })
	if got := w.load(t).KeyIDs(); len(want) != 4 || !slices.Equal(got, want) {
		t.Errorf("got keys %v, want %v", got, want)
	}
}

func TestAKeysetOfAnotherDatabaseIsNotRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, other.Reveal())
	if _, err := w.Rotate(t.Context()); !errors.Is(err, store.ErrWrongKeyset) {
		t.Errorf("got %v, want ErrWrongKeyset", err)
	}
}

func TestAKeyIsRemovedOnceNothingNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // it holds one value, under the old key
	old := w.load(t).Primary()
	w.replica(t, "one", w.load(t))
	w.waiting = func() { w.replica(t, "one", w.load(t)) }
	rotated, err := w.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(id uint32, want error, word string) {
		t.Helper()
		err := w.Remove(t.Context(), id)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), word) {
			t.Errorf("Remove: got %v, want %v and %q", err, want, word)
		}
	}
	refused(rotated.KeyID, vault.ErrPrimary, fmt.Sprint(rotated.KeyID))
	refused(rotated.KeyID+1, vault.ErrNoKey, fmt.Sprint(rotated.KeyID+1))
	refused(old, keyring.ErrInUse, "replica one seals under it")
	keys, err := w.AwaitPrimary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused(old, keyring.ErrInUse, `1 stored values are sealed under it; run "galaxygate keys reencrypt"`)
	if _, err := w.db.Reseal(t.Context(), keys, func(store.Resealed) {}); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(t.Context(), old); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if got := w.load(t).KeyIDs(); !slices.Equal(got, []uint32{rotated.KeyID}) {
		t.Errorf("got keys %v, want %d alone", got, rotated.KeyID)
	}
}
