package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/keyring"
	"galaxygate/internal/login"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
	"galaxygate/internal/vault"
)

// keysets are one of one key, the same with a pending key, and the same with that
// as the primary one.
func keysets(t testing.TB) (first, pending, promoted *vault.Keyset) {
	t.Helper()
	text, err := vault.NewKeyset()
	if err == nil {
		first, err = vault.ReadKeyset(t.Context(), text, nil)
	}
	if err == nil {
		pending, err = first.WithNewKey()
	}
	if err == nil {
		promoted, err = pending.Promoted()
	}
	if err != nil {
		t.Fatal(err)
	}
	return first, pending, promoted
}

// onEach runs the test on a new database of each kind.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, database(t))
		})
	}
}

func newAttempt() login.Attempt {
	return login.Attempt{
		State: secret.Random(), Browser: secret.Random(), Nonce: secret.Random(), Verifier: secret.Random(),
		Scopes: []string{"openid"}, ReturnTo: "/", ExpiresAt: time.Now().Add(time.Hour),
	}
}

// fill stores n grants, one of them without a refresh token, an attempt, a
// revocation and the canary, and returns the sign-ins.
func fill(t *testing.T, db *store.DB, url string, v *vault.Vault, n int) ([]login.SignIn, login.Attempt) {
	t.Helper()
	if err := db.CheckKeyset(t.Context()); err != nil {
		t.Fatalf("CheckKeyset: %v", err)
	}
	signIns := make([]login.SignIn, n)
	for i := range signIns {
		signIns[i] = newSignIn(fmt.Sprintf("user-%d", i))
		if i == 0 {
			signIns[i].Tokens.Refresh = secret.Text{}
		}
		created, err := db.SignIn(t.Context(), signIns[i], time.Now())
		if err != nil {
			t.Fatalf("SignIn: %v", err)
		}
		signIns[i].Session = created
	}
	a := newAttempt()
	if err := db.SaveAttempt(t.Context(), a); err != nil {
		t.Fatalf("SaveAttempt: %v", err)
	}
	sealed, err := v.Seal(secret.New("token"), vault.Place{Table: "revocations", Row: "one", Column: "sealed"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw(t, url).ExecContext(t.Context(), `
INSERT INTO revocations (id, kind, user_id, grant_id, sealed, attempts, created_at, due_at)
VALUES ('one', '', '', '', $1, 0, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)`, sealed)
	if err != nil {
		t.Fatalf("insert revocation: %v", err)
	}
	return signIns, a
}

func uses(t *testing.T, db *store.DB) map[uint32]int {
	t.Helper()
	uses, err := db.KeyUses(t.Context())
	if err != nil {
		t.Fatalf("KeyUses: %v", err)
	}
	return uses
}

func quiet(store.Resealed) {}

func TestEveryValueIsSealedAnew(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, promoted := keysets(t)
		v := first.Vault()
		db := open(t, url, v)
		signIns, attempt := fill(t, db, url, v, 520) // more than one batch
		const values = 520 + 519 + 1 + 1 + 1
		if got, want := uses(t, db), map[uint32]int{first.Primary(): values}; !maps.Equal(got, want) {
			t.Fatalf("before: got %v, want %v", got, want)
		}
		before, err := db.Grant(t.Context(), signIns[1].Session.UserID)
		if err != nil {
			t.Fatal(err)
		}

		v.Replace(promoted)
		var progress []int
		done, err := db.Reseal(t.Context(), promoted, func(r store.Resealed) { progress = append(progress, r.Values) })
		if err != nil || done != (store.Resealed{Values: values}) {
			t.Fatalf("Reseal: got %+v, %v, want %d values", done, err, values)
		}
		if !slices.IsSorted(progress) || len(progress) < 5 || progress[0] != 500 {
			t.Errorf("progress: got %v", progress)
		}
		if got, want := uses(t, db), map[uint32]int{promoted.Primary(): values}; !maps.Equal(got, want) {
			t.Fatalf("after: got %v, want %v", got, want)
		}
		old := binary.BigEndian.AppendUint32([]byte{1, 1}, first.Primary()) // how a sealed value begins
		if bytes.Contains(dump(t, raw(t, url), url), old) {
			t.Error("something in the database is under the old key")
		}
		if done, err := db.Reseal(t.Context(), promoted, quiet); err != nil || done != (store.Resealed{}) {
			t.Errorf("again: got %+v, %v, want nothing", done, err)
		}

		without, err := promoted.Without(first.Primary())
		if err != nil {
			t.Fatal(err)
		}
		v.Replace(without)
		for i, s := range signIns {
			g, err := db.Grant(t.Context(), s.Session.UserID)
			if err != nil || !g.Access.Equal(s.Tokens.Access) || !g.Refresh.Equal(s.Tokens.Refresh) {
				t.Fatalf("grant %d: its tokens are not the same, %v", i, err)
			}
			if i == 1 && g.Version != before.Version {
				t.Errorf("version: got %d, want %d", g.Version, before.Version)
			}
		}
		if a, err := db.TakeAttempt(t.Context(), attempt.State, attempt.Browser, time.Now()); err != nil || !a.Nonce.Equal(attempt.Nonce) {
			t.Errorf("TakeAttempt: %v", err)
		}
		if err := db.CheckKeyset(t.Context()); err != nil {
			t.Errorf("CheckKeyset: %v", err)
		}
	})
}

func TestAValueThatDoesNotOpenIsLeftAndCounted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, promoted := keysets(t)
		v := first.Vault()
		db := open(t, url, v)
		signIns, _ := fill(t, db, url, v, 3)
		_, err := raw(t, url).ExecContext(t.Context(), `UPDATE grants SET access_token = refresh_token WHERE user_id = $1`, signIns[2].Session.UserID)
		if err != nil {
			t.Fatal(err)
		}
		v.Replace(promoted)
		done, err := db.Reseal(t.Context(), promoted, quiet)
		if want := (store.Resealed{Values: 7, Unreadable: 1}); err != nil || done != want {
			t.Fatalf("got %+v, %v, want %+v", done, err, want)
		}
		if got := uses(t, db); got[first.Primary()] != 1 {
			t.Errorf("got %v, want one value under %d", got, first.Primary())
		}
	})
}

// TestReplicasRefreshWhileValuesAreSealedAnew wants the tokens that were published
// last to be there at the end, and every refresh to succeed.
func TestReplicasRefreshWhileValuesAreSealedAnew(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, promoted := keysets(t)
		v := first.Vault()
		db, replica := open(t, url, v), open(t, url, v)
		signIns, _ := fill(t, db, url, v, 20)
		v.Replace(promoted)

		latest := make([]grant.Tokens, len(signIns))
		stop := make(chan struct{})
		var refreshing sync.WaitGroup
		for i, s := range signIns {
			refreshing.Go(func() {
				for round := 0; ; round++ {
					select {
					case <-stop:
						if round > 0 {
							return
						}
					default:
					}
					published, err := refresh(t.Context(), replica, s.Session)
					if err != nil {
						t.Errorf("refresh: %v", err)
						return
					}
					latest[i] = published
				}
			})
		}
		for uses(t, db)[first.Primary()] > 0 {
			if _, err := db.Reseal(t.Context(), promoted, quiet); err != nil {
				t.Fatalf("Reseal: %v", err)
			}
		}
		close(stop)
		refreshing.Wait()
		if got := uses(t, db); len(got) != 1 || got[promoted.Primary()] == 0 {
			t.Errorf("keys in use: got %v, want %d alone", got, promoted.Primary())
		}
		for i, s := range signIns {
			g, err := db.Grant(t.Context(), s.Session.UserID)
			if err != nil || !g.Access.Equal(latest[i].Access) || !g.Refresh.Equal(latest[i].Refresh) {
				t.Errorf("grant %d does not have the tokens that were published last: %v", i, err)
			}
		}
	})
}

func refresh(ctx context.Context, db *store.DB, s session.Session) (grant.Tokens, error) {
	tokens := grant.Tokens{Access: secret.Random(), AccessExpiresAt: time.Now().Add(time.Hour), Refresh: secret.Random()}
	g, err := db.Grant(ctx, s.UserID)
	if err == nil {
		err = db.Acquire(ctx, g, "owner", time.Minute)
	}
	if err == nil {
		_, err = db.Publish(ctx, g, "owner", tokens, time.Now())
	}
	return tokens, err
}

// TestAValueReplacedSinceItWasReadIsNotTouched replaces a value in a transaction
// that ends once Reseal, having read the old one, waits for its row.
func TestAValueReplacedSinceItWasReadIsNotTouched(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	first, _, promoted := keysets(t)
	v := first.Vault()
	db := open(t, url, v)
	signIns, _ := fill(t, db, url, v, 3)
	g, err := db.Grant(t.Context(), signIns[1].Session.UserID)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := v.Seal(secret.New("newer"), vault.Place{Table: "grants", Row: g.ID, Column: "access_token"})
	if err != nil {
		t.Fatal(err)
	}
	beside := raw(t, url)
	tx, err := beside.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE grants SET access_token = $1 WHERE id = $2`, newer, g.ID); err != nil {
		t.Fatal(err)
	}
	v.Replace(promoted)
	result := make(chan store.Resealed, 1)
	go func() {
		done, err := db.Reseal(t.Context(), promoted, quiet)
		if err != nil {
			t.Errorf("Reseal: %v", err)
		}
		result <- done
	}()
	awaitBlocked(t, url)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if done, want := <-result, (store.Resealed{Values: 7, Replaced: 1}); done != want {
		t.Errorf("got %+v, want %+v", done, want)
	}
	if g, err := db.Grant(t.Context(), g.UserID); err != nil || g.Access.Reveal() != "newer" {
		t.Errorf("the newer value was overwritten: %v", err)
	}
}

// TestValuesAreSealedAnewAroundWhoeverHoldsTheirRows locks a row, and the others
// once Reseal waits for it.
func TestValuesAreSealedAnewAroundWhoeverHoldsTheirRows(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	first, _, promoted := keysets(t)
	v := first.Vault()
	db := open(t, url, v)
	revocations(t, url, v, "", "c", "b", "a")
	tx := lockRow(t, url, "a") // the last of its batch to be replaced, where all are at once
	v.Replace(promoted)
	result := make(chan error, 1)
	go func() {
		done, err := db.Reseal(t.Context(), promoted, quiet)
		if want := (store.Resealed{Values: 3}); err == nil && done != want {
			t.Errorf("got %+v, want %+v", done, want)
		}
		result <- err
	}()
	awaitBlocked(t, url)
	if _, err := tx.ExecContext(t.Context(), `SELECT id FROM revocations FOR UPDATE`); err != nil {
		t.Errorf("the other rows: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("commit: %v", err)
	}
	if err := <-result; err != nil {
		t.Errorf("Reseal: %v", err)
	}
}

// TestSignInsLockRevocationsInOrder wants a sign-in that waits for the first of
// them to hold none of the others.
func TestSignInsLockRevocationsInOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrate)
	v := testdb.NewVault(t)
	db := open(t, url, v)
	alice, err := db.SignIn(t.Context(), newSignIn("alice"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	revocations(t, url, v, alice.UserID, "c", "b", "a")
	tx := lockRow(t, url, "a")
	result := make(chan error, 1)
	go func() {
		_, err := db.SignIn(t.Context(), newSignIn("alice"), time.Now())
		result <- err
	}()
	awaitBlocked(t, url)
	if _, err := tx.ExecContext(t.Context(), `SELECT id FROM revocations ORDER BY id FOR UPDATE`); err != nil {
		t.Errorf("the other rows: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("commit: %v", err)
	}
	if err := <-result; err != nil {
		t.Errorf("SignIn: %v", err)
	}
}

// revocations adds revocations of the user's with these IDs, one after the other.
func revocations(t *testing.T, url string, v *vault.Vault, userID string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		sealed, err := v.Seal(secret.New("token"), vault.Place{Table: "revocations", Row: id, Column: "sealed"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = raw(t, url).ExecContext(t.Context(), `
INSERT INTO revocations (id, kind, user_id, grant_id, sealed, attempts, created_at, due_at)
VALUES ($1, '', $2, '', $3, 0, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)`, id, userID, sealed)
		if err != nil {
			t.Fatalf("insert revocation: %v", err)
		}
	}
}

// lockRow locks the revocation in a transaction.
func lockRow(t *testing.T, url, id string) *sql.Tx {
	t.Helper()
	tx, err := raw(t, url).BeginTx(t.Context(), nil)
	if err == nil {
		_, err = tx.ExecContext(t.Context(), `SELECT id FROM revocations WHERE id = $1 FOR UPDATE`, id)
	}
	if err != nil {
		t.Fatalf("lock %s: %v", id, err)
	}
	return tx
}

// awaitBlocked waits until someone waits for a lock.
func awaitBlocked(t *testing.T, url string) {
	t.Helper()
	beside := raw(t, url)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for waiting := 0; waiting == 0; <-poll.C {
		const blocked = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
		if err := beside.QueryRowContext(t.Context(), blocked).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeysetThatLacksAKeyInUseIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, pending, promoted := keysets(t)
		v := first.Vault()
		db := open(t, url, v)
		fill(t, db, url, v, 3)
		for name, keys := range map[string]*vault.Keyset{"with a pending key": pending, "with another primary": promoted} {
			if err := db.AcceptsKeyset(t.Context(), keys); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		without, err := promoted.Without(first.Primary())
		if err != nil {
			t.Fatal(err)
		}
		err = db.AcceptsKeyset(t.Context(), without)
		if want := fmt.Sprintf("lacks key %d (8 values)", first.Primary()); !errors.Is(err, store.ErrWrongKeyset) || !strings.Contains(err.Error(), want) {
			t.Errorf("without the old key: got %v, want %q", err, want)
		}
		v.Replace(without)
		if err := db.CheckKeyset(t.Context()); !errors.Is(err, store.ErrWrongKeyset) {
			t.Errorf("CheckKeyset: got %v, want ErrWrongKeyset", err)
		}
	})
}

func TestOnlyWhoServesClaimsADatabase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, _ := keysets(t)
		owner, _, _ := keysets(t)
		db := open(t, url, owner.Vault())
		if err := db.AcceptsKeyset(t.Context(), first); !errors.Is(err, store.ErrNeverServed) {
			t.Errorf("before: got %v, want ErrNeverServed", err)
		}
		for range 2 {
			if err := db.CheckKeyset(t.Context()); err != nil {
				t.Fatalf("CheckKeyset: %v", err)
			}
		}
		if err := db.AcceptsKeyset(t.Context(), owner); err != nil {
			t.Errorf("the owner's: %v", err)
		}
		if err := db.AcceptsKeyset(t.Context(), first); !errors.Is(err, store.ErrWrongKeyset) {
			t.Errorf("another: got %v, want ErrWrongKeyset", err)
		}
	})
}

func TestOnlyLiveReplicasHoldKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		first, _, _ := keysets(t)
		db := open(t, url, first.Vault())
		for id, row := range map[string]struct {
			keys string
			left time.Duration
		}{"alive": {"7 4294967295", time.Hour}, "dead": {"7", -time.Second}, "bare": {"", time.Hour}} {
			_, err := raw(t, url).ExecContext(t.Context(), `INSERT INTO replicas (id, key_ids, expires_at) VALUES ($1, $2, $3)`,
				id, row.keys, time.Now().Add(row.left).UTC())
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.KeyHolders(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = slices.DeleteFunc(got, func(r keyring.Replica) bool { return slices.Equal(r.KeyIDs, first.Vault().KeyIDs()) }) // its own
		same := func(a, b keyring.Replica) bool { return a.ID == b.ID && slices.Equal(a.KeyIDs, b.KeyIDs) }
		if want := []keyring.Replica{{ID: "alive", KeyIDs: []uint32{7, 4294967295}}, {ID: "bare"}}; !slices.EqualFunc(got, want, same) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// BenchmarkReseal is what it takes to seal grants anew, each with two values:
// -benchtime 100000x seals so many.
func BenchmarkReseal(b *testing.B) {
	url := pgtest.URL(b, migrate)
	first, _, promoted := keysets(b)
	v := first.Vault()
	db := open(b, url, v)
	seed(b, url, v, b.N)
	v.Replace(promoted)
	b.ResetTimer()
	done, err := db.Reseal(b.Context(), promoted, quiet)
	if err != nil || done != (store.Resealed{Values: 2 * b.N}) {
		b.Fatalf("got %+v, %v", done, err)
	}
}

// seed writes n grants with tokens of a usual length, past the store, which would
// take its time.
func seed(t testing.TB, url string, v *vault.Vault, n int) {
	t.Helper()
	beside := raw(t, url)
	text := secret.New(strings.Repeat("alice's token ", 60))
	for from := 0; from < n; from += 1000 {
		var users, grants []string
		var args []any
		for i := from; i < min(from+1000, n); i++ {
			id := fmt.Sprintf("grant-%d", i)
			users = append(users, fmt.Sprintf("('u%d', 'x', '%d', now(), now())", i, i))
			grants = append(grants, fmt.Sprintf("('%s', 'u%d', 'active', '', 1, '', $%d, $%d, '', now(), now(), now(), 0, '', '', '', 0)",
				id, i, len(args)+1, len(args)+2))
			for _, column := range []string{"access_token", "refresh_token"} {
				sealed, err := v.Seal(text, vault.Place{Table: "grants", Row: id, Column: column})
				if err != nil {
					t.Fatal(err)
				}
				args = append(args, sealed)
			}
		}
		_, err := beside.ExecContext(t.Context(), "INSERT INTO users VALUES "+strings.Join(users, ","))
		if err == nil {
			_, err = beside.ExecContext(t.Context(), `INSERT INTO grants (id, user_id, status, status_reason, version, scopes,
access_token, refresh_token, rotation, authorized_at, obtained_at, access_expires_at,
failures, failure_kind, failure_reason, failure_message, failure_status) VALUES `+strings.Join(grants, ","), args...)
		}
		if err != nil {
			t.Fatalf("seed: %v", err)
		}
	}
}
