package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
	"galaxygate/internal/pgtest"
	"galaxygate/internal/secret"
	"galaxygate/internal/strictop"
	"galaxygate/internal/testdb"
	"galaxygate/internal/vault"
)

const (
	clientSecret = "e2e-client-secret-canary"
	galaxyKey    = "e2e-galaxy-key-canary"
)

// provider is a provider with a Galaxy beside it, and Alice in front of it.
type provider struct {
	settings map[string]string // what the gateway is configured with

	// visit lets Alice, or whom as names, sign in and consent at the
	// authorization URL, and returns where she is sent back to.
	visit func(t *testing.T, authorizationURL string) *url.URL
	// consent sets what she consents to; nothing: all that is asked for.
	consent func(scopes ...string)
	// setLife sets how long the access tokens live that are issued from now on.
	setLife func(time.Duration)
	// setRefreshLife does so for refresh tokens; nil where the provider cannot.
	setRefreshLife func(time.Duration)
	// refreshes is how often a refresh token was presented.
	refreshes func() int
	// issued is every code and token so far.
	issued func() []string
	rollup *devrollup.Server  // nil where it is another's
	strict *strictop.Provider // nil where it is Rollup's
	galaxy *devrollup.Controls
	// arrived is called, where it is set, with each request to Rollup.
	arrived *atomic.Pointer[func(path string)]
}

// rollup is Passport and Galaxy as Rollup has them.
func rollup(t *testing.T, redirect string) *provider {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	look, err := devrollup.New(devrollup.Config{
		Issuer: issuer, ClientID: "galaxygate", ClientSecret: secret.New(clientSecret),
		RedirectURIs: []string{redirect}, APIKey: secret.New(galaxyKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	arrived, handler := &atomic.Pointer[func(string)]{}, look.Handler()
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := arrived.Load(); f != nil {
			(*f)(r.URL.Path)
		}
		handler.ServeHTTP(w, r)
	})
	server.Start()
	t.Cleanup(server.Close)

	visitor := &devrollup.Visitor{Person: "alice"}
	return &provider{
		settings: map[string]string{
			"ROLLUP_ISSUER": issuer, "ROLLUP_CLIENT_ID": "galaxygate", "ROLLUP_CLIENT_SECRET": clientSecret,
			"GALAXY_URL": issuer + "/graphql", "GALAXY_API_KEY": galaxyKey, "ROLLUP_REQUIRE_NONCE": "false",
		},
		visit: func(t *testing.T, target string) *url.URL {
			t.Helper()
			back, err := visitor.Visit(t.Context(), target)
			if err != nil {
				t.Fatalf("visit: %v", err)
			}
			return back
		},
		consent: func(scopes ...string) { visitor.Scopes = scopes },
		setLife: func(d time.Duration) {
			look.Set(func(s *devrollup.Switches) { s.AccessTokenLife = devrollup.Duration(d) })
		},
		refreshes: func() int { return look.Counters()["token:refresh_token"] },
		issued:    look.Issued,
		rollup:    look,
		galaxy:    look.Controls,
		arrived:   arrived,
	}
}

// strict is a standard provider that is not ours, with a Galaxy that takes its
// tokens.
func strict(t *testing.T, redirect string) *provider {
	t.Helper()
	return strictOf(t, strictop.Options{RedirectURIs: []string{redirect}, AccessLife: time.Hour})
}

func strictOf(t *testing.T, opts strictop.Options) *provider {
	t.Helper()
	opts.ClientID, opts.ClientSecret = "galaxygate", clientSecret
	op := strictop.Start(t, opts)
	galaxy, err := devrollup.NewGalaxy(devrollup.GalaxyConfig{
		APIKey: secret.New(galaxyKey), ClientID: "galaxygate",
		Verify: func(ctx context.Context, token string) (devrollup.Identity, error) {
			_, _, client, err := op.Verify(ctx, token)
			return devrollup.Identity{Subject: devrollup.AliceURN, ClientID: client}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(galaxy.Handler())
	t.Cleanup(server.Close)

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &provider{
		settings: map[string]string{
			"ROLLUP_ISSUER": op.Issuer, "ROLLUP_CLIENT_ID": "galaxygate", "ROLLUP_CLIENT_SECRET": clientSecret,
			"ROLLUP_SCOPES": "openid profile email connected_accounts offline_access",
			"GALAXY_URL":    server.URL + "/graphql", "GALAXY_API_KEY": galaxyKey,
		},
		visit: func(t *testing.T, target string) *url.URL {
			t.Helper()
			at, err := url.Parse(target)
			for range 6 {
				if err != nil {
					t.Fatalf("visit: %v", err)
				}
				if at.Path == "/auth/callback" {
					return at
				}
				var resp *http.Response
				if resp, err = client.Get(at.String()); err == nil {
					_ = resp.Body.Close()
					at, err = resp.Location()
				}
			}
			t.Fatal("the visit goes round in circles")
			return nil
		},
		consent:        op.SetConsent,
		setLife:        op.SetAccessLife,
		setRefreshLife: op.SetRefreshLife,
		refreshes:      func() int { return op.Calls("refresh_token") },
		issued:         op.Issued,
		strict:         op,
		galaxy:         galaxy.Controls,
	}
}

// keys is a new keyset, as TOKEN_KEYSET has it.
func keys(t *testing.T) string {
	t.Helper()
	keyset, err := vault.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return keyset.Reveal()
}

// postgres is the URL of a new, migrated database.
func postgres(t *testing.T) string {
	t.Helper()
	return pgtest.URL(t, testdb.Migrate)
}

func sqlite(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "e2e.db")
}

// world is a gateway before a provider, on a database.
type world struct {
	*provider
	*gateway
	database string
	keyset   string
}

// databases and providers are what every deployment chooses from.
func databases() map[string]func(*testing.T) string {
	return map[string]func(*testing.T) string{"sqlite": sqlite, "postgres": postgres}
}

func providers() map[string]func(*testing.T, string) *provider {
	return map[string]func(*testing.T, string) *provider{"rollup": rollup, "strict": strict}
}

// settle prepares a world whose gateway does not run yet.
func settle(t *testing.T, database string, with func(*testing.T, string) *provider, more map[string]string) *world {
	t.Helper()
	w := &world{database: database, keyset: keys(t)}
	env := map[string]string{"DATABASE_URL": database, "TOKEN_KEYSET": w.keyset, "RATE_LIMIT": "0"}
	w.gateway = prepare(t, env)
	w.provider = with(t, w.url+"/auth/callback")
	for _, variables := range []map[string]string{w.settings, more} {
		for name, value := range variables {
			w.env = append(w.env, name+"="+value)
		}
	}
	return w
}

// found runs a world.
func found(t *testing.T, database string, with func(*testing.T, string) *provider, more map[string]string) *world {
	t.Helper()
	w := settle(t, database, with, more)
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	return w
}

// replica runs another gateway of the same deployment.
func (w *world) replica(t *testing.T) *gateway {
	t.Helper()
	g := prepare(t, nil)
	for _, variable := range w.env {
		if name, _, _ := strings.Cut(variable, "="); name != "ADDR" && name != "ADMIN_ADDR" {
			g.env = append(g.env, variable) // the later one counts
		}
	}
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	return g
}
