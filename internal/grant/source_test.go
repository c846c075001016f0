package grant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
	"galaxygate/internal/store"
	"galaxygate/internal/testdb"
)

// house is a store with one signed-in user, and a provider.
type house struct {
	db       *store.DB
	provider *provider
	user     string // Alice's ID

	withdrawn withdrawals
}

// replica returns a source of its own, as another process would have.
func (h *house) replica(db *store.DB) *grant.Source {
	return &grant.Source{
		Store: db, Leases: db, Refresher: h.provider.client, Revocations: h.revocations(db),
		Early: time.Minute, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// signIn signs Alice in with tokens whose access token ends after left of life.
func (h *house) signIn(t *testing.T, access, refresh string, life, left time.Duration) {
	t.Helper()
	now := time.Now().Add(left - life)
	s, err := h.db.SignIn(t.Context(), login.SignIn{
		Issuer: "https://id.example.com", Subject: "alice",
		Tokens: grant.Tokens{
			Access: secret.New(access), Refresh: secret.New(refresh),
			AccessExpiresAt: now.Add(life), Scopes: []string{"openid", "email"},
		},
		Session: session.Session{
			ID: secret.Random().Reveal(), Kind: session.Browser,
			CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
		SessionToken: secret.Random(),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	h.user = s.UserID
}

func (h *house) grant(t *testing.T) grant.Grant {
	t.Helper()
	g, err := h.db.Grant(t.Context(), h.user)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// eachStore runs the test on SQLite and on PostgreSQL. open gives another
// handle on the same database, as another replica has.
func eachStore(t *testing.T, test func(t *testing.T, h *house, open testdb.Open)) {
	t.Helper()
	for kind, create := range testdb.Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			test(t, &house{db: open(), provider: startProvider(t)}, open)
		})
	}
}

const (
	expired = -time.Minute
	life    = time.Hour
)

func TestAFreshTokenIsServedWithoutAskingTheProvider(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, life)
		got, err := h.replica(h.db).Token(t.Context(), h.user)
		if err != nil || got.Value.Reveal() != "access-0" || !slices.Equal(got.Scopes, []string{"openid", "email"}) {
			t.Errorf("got %q, %v, %v", got.Value.Reveal(), got.Scopes, err)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("the refresh token was presented %d times", n)
		}
	})
}

func TestAUserWithoutGrantIsNotFound(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		if _, err := h.replica(h.db).Token(t.Context(), "nobody"); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestManyCallersAtExpiryCauseOneRefresh(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		arrived := make(chan struct{})
		release := make(chan struct{})
		h.provider.answers(func(n int) answer {
			close(arrived) // a second presentation would panic
			<-release
			return tokens(fmt.Sprintf("access-%d", n), "refresh-1", life)
		})
		replicas := []*grant.Source{h.replica(h.db), h.replica(h.db), h.replica(open())}

		const callers = 500
		var finished sync.WaitGroup
		cancelled, cancel := context.WithCancel(t.Context())
		results := make([]error, callers)
		for i := range callers {
			finished.Go(func() {
				ctx := t.Context()
				if i%10 == 0 {
					ctx = cancelled
				}
				got, err := replicas[i%3].Token(ctx, h.user)
				if err == nil && got.Value.Reveal() != "access-1" {
					err = fmt.Errorf("got token %q", got.Value.Reveal())
				}
				results[i] = err
			})
		}
		<-arrived
		cancel()
		close(release)
		finished.Wait()
		for i, err := range results {
			if left := i%10 == 0 && errors.Is(err, context.Canceled); err != nil && !left {
				t.Fatalf("caller %d: %v", i, err)
			}
		}
		if n := h.provider.presentations(); n != 1 {
			t.Errorf("the refresh token was presented %d times", n)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" || g.Rotation != grant.Rotates || g.LeaseOwner != "" {
			t.Errorf("stored: %+v", g)
		}
	})
}

func TestACancelledCallerDoesNotCancelTheRefresh(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		arrived, release := make(chan struct{}), make(chan struct{})
		h.provider.answers(func(int) answer {
			close(arrived)
			<-release
			return tokens("access-1", "refresh-1", life)
		})
		source := h.replica(h.db)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := source.Token(ctx, h.user)
			left <- err
		}()
		<-arrived
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller got %v", err)
		}
		close(release)
		if err := source.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" {
			t.Error("the successor was not stored")
		}
	})
}

func TestACallerWhoseTimeIsUpHearsThatTheProviderIsAway(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		release := make(chan struct{})
		h.provider.answers(func(int) answer {
			<-release
			return tokens("access-1", "refresh-1", life)
		})
		source := h.replica(h.db)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := source.Token(ctx, h.user)
		if f := (*grant.Failure)(nil); !errors.As(err, &f) || f.Kind != grant.Later || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		if err := source.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" || g.Failures != 0 {
			t.Errorf("stored: %+v", g)
		}
	})
}

func TestATokenNearItsEndIsServedWhileOneRefreshes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, 30*time.Second)
		release := make(chan struct{})
		h.provider.answers(func(int) answer {
			<-release
			return tokens("access-1", "", life)
		})
		source := h.replica(h.db)
		for range 20 {
			got, err := source.Token(t.Context(), h.user)
			if err != nil || got.Value.Reveal() != "access-0" {
				t.Fatalf("got %q, %v", got.Value.Reveal(), err)
			}
		}
		close(release)
		if err := source.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := h.provider.presentations(); n != 1 {
			t.Errorf("the refresh token was presented %d times", n)
		}
		if g := h.grant(t); g.Access.Reveal() != "access-1" || g.Refresh.Reveal() != "refresh-0" || g.Rotation != grant.KeepsToken {
			t.Errorf("stored: %+v", g)
		}
	})
}

func TestAShortLivedTokenIsNotRefreshedAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", 50*time.Second, 40*time.Second)
		source := h.replica(h.db)
		if _, err := source.Token(t.Context(), h.user); err != nil {
			t.Fatal(err)
		}
		_ = source.Wait(t.Context())
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times, with more than a fifth of its life left", n)
		}
	})
}

func TestAFailedEarlyRefreshIsNotSeen(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, 30*time.Second)
		h.provider.answers(func(int) answer { return refused(http.StatusServiceUnavailable, "temporarily_unavailable") })
		for range 2 {
			source := h.replica(h.db)
			if got, err := source.Token(t.Context(), h.user); err != nil || got.Value.Reveal() != "access-0" {
				t.Fatalf("got %q, %v", got.Value.Reveal(), err)
			}
			if err := source.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := h.provider.presentations(); n != 1 {
			t.Errorf("presented %d times: the recorded failure was not heeded", n)
		}
		if g := h.grant(t); g.Status != grant.Active || g.Failures != 1 || g.RetryIn <= 0 {
			t.Errorf("stored: %+v", g)
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		reply     answer
		kind      grant.Kind
		status    grant.Status
		atLeast   time.Duration // until anyone tries again
		wantError error
	}{
		{"a refused refresh token ends the grant", refused(400, "invalid_grant"), grant.SignInAgain, grant.ReauthenticationRequired, 0, grant.ErrReauthenticationRequired},
		{"an outage leaves the grant", refused(503, "temporarily_unavailable"), grant.Later, grant.Active, 500 * time.Millisecond, nil},
		{"a refused client leaves the grant", refused(401, "invalid_client"), grant.OperatorFault, grant.Active, 25 * time.Second, nil},
		{"what is not understood leaves the grant", answer{status: 418, body: map[string]any{"teapot": true}}, grant.Later, grant.Active, 500 * time.Millisecond, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, "access-0", "refresh-0", life, expired)
				h.provider.answers(func(int) answer { return tt.reply })
				for replica := range 3 {
					_, err := h.replica(h.db).Token(t.Context(), h.user)
					var f *grant.Failure
					switch {
					case tt.wantError != nil && !errors.Is(err, tt.wantError):
						t.Errorf("replica %d: got %v, want %v", replica, err, tt.wantError)
					case tt.wantError == nil && (!errors.As(err, &f) || f.Kind != tt.kind):
						t.Errorf("replica %d: got %v, want a failure of kind %s", replica, err, tt.kind)
					}
				}
				g := h.grant(t)
				if g.Status != tt.status || g.RetryIn < tt.atLeast || g.Refresh.Reveal() != "refresh-0" {
					t.Errorf("stored: status %s, retry in %v", g.Status, g.RetryIn)
				}
				if n := h.provider.presentations(); n != 1 {
					t.Errorf("presented %d times, by replicas that could know better", n)
				}
			})
		})
	}
}

func TestAGrantWithoutRefreshTokenEndsWithItsAccessToken(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "", life, 30*time.Second)
		if _, err := h.replica(h.db).Token(t.Context(), h.user); err != nil {
			t.Fatalf("while it is valid: %v", err)
		}
		h.signIn(t, "access-1", "", life, expired)
		if _, err := h.replica(h.db).Token(t.Context(), h.user); !errors.Is(err, grant.ErrReauthenticationRequired) {
			t.Errorf("got %v", err)
		}
		if g := h.grant(t); g.StatusReason != "no_refresh_token" || h.provider.presentations() != 0 {
			t.Errorf("reason %q, presented %d times", g.StatusReason, h.provider.presentations())
		}
	})
}

func TestALeaseThatRanOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first string // the refresh token that an earlier refresh brought
		want  error
	}{
		{"is presented again where tokens are kept", "", nil},
		{"ends the grant where tokens rotate", "refresh-1", grant.ErrReauthenticationRequired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, "access-0", "refresh-0", life, expired)
				h.provider.answers(func(n int) answer {
					if n == 1 {
						return tokens("access-1", tt.first, time.Second)
					}
					return tokens("access-2", "", life)
				})
				if _, err := h.replica(h.db).Token(t.Context(), h.user); err != nil {
					t.Fatal(err)
				}
				g := h.grant(t)
				if err := h.db.Acquire(t.Context(), g, "crashed", time.Millisecond); err != nil {
					t.Fatal(err)
				}
				late := h.replica(h.db)
				late.Now = func() time.Time { return time.Now().Add(time.Minute) }
				_, err := late.Token(t.Context(), h.user)
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if g := h.grant(t); tt.want != nil && g.StatusReason != "refresh_interrupted" {
					t.Errorf("reason %q", g.StatusReason)
				}
			})
		})
	}
}

func TestAWaiterTakesTheOtherReplicasTokens(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, open testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		g := h.grant(t)
		if err := h.db.Acquire(t.Context(), g, "other", 15*time.Second); err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 1)
		go func() {
			token, err := h.replica(open()).Token(t.Context(), h.user)
			got <- fmt.Sprint(token.Value.Reveal(), err)
		}()
		if _, err := h.db.Publish(t.Context(), g, "other", grant.Tokens{
			Access: secret.New("access-1"), AccessExpiresAt: time.Now().Add(life),
		}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != "access-1<nil>" {
			t.Errorf("got %s", text)
		}
		if n := h.provider.presentations(); n != 0 {
			t.Errorf("presented %d times", n)
		}
	})
}

func TestARefreshThatLostItsGrantIsDiscardedAndRevoked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		happen func(t *testing.T, h *house)
		want   string // the token that the waiter gets; empty: ErrNotFound
	}{
		{"by a new sign-in", func(t *testing.T, h *house) { h.signIn(t, "access-new", "refresh-new", life, life) }, "access-new"},
		{"by a revocation", func(t *testing.T, h *house) {
			if _, _, err := h.db.Erase(t.Context(), h.user); err != nil {
				t.Error(err)
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
				h.signIn(t, "access-0", "refresh-0", life, expired)
				h.provider.answers(func(int) answer {
					tt.happen(t, h)
					return tokens("access-1", "refresh-1", life)
				})
				got, err := h.replica(h.db).Token(t.Context(), h.user)
				if got.Value.Reveal() != tt.want || (tt.want == "") != errors.Is(err, grant.ErrNotFound) {
					t.Errorf("got %q, %v", got.Value.Reveal(), err)
				}
				if due := h.due(t, grant.RevokeTokens); !slices.Contains(due, "refresh-1") {
					t.Errorf("to be revoked: %q, want refresh-1 among them", due)
				}
				if due := h.due(t, grant.RevokeConsent); len(due) != 0 {
					t.Errorf("the whole consent is to be withdrawn, the new sign-in's with it: %q", due)
				}
			})
		})
	}
}

func TestASignInWithoutRefreshTokenKeepsTheOneInFlight(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, h *house, _ testdb.Open) {
		h.signIn(t, "access-0", "refresh-0", life, expired)
		h.provider.answers(func(int) answer {
			h.signIn(t, "access-new", "", life, life)
			return tokens("access-1", "refresh-1", life)
		})
		if _, err := h.replica(h.db).Token(t.Context(), h.user); err != nil {
			t.Fatal(err)
		}
		if g := h.grant(t); g.Refresh.Reveal() != "refresh-1" {
			t.Errorf("stored %q: the successor was lost", g.Refresh.Reveal())
		}
	})
}
