package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
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

// What a world is made of beside the gateway.
const (
	theProvider = "provider"
	theDatabase = "Postgres"
	theGalaxy   = "Galaxy"
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
	// refreshes is how often a refresh token was presented.
	refreshes func() int
	// exchanges is how often a code was.
	exchanges func() int
	// issued is every code and token so far.
	issued func() []string
	rollup *devrollup.Server // nil where it is another's
	galaxy *devrollup.Controls
}

// front says at which address the gateway reaches the part of that name that
// listens at the given one: there, or at a proxy before it.
type front func(name, address string) string

func direct(_, address string) string { return address }

// outsider is a browser that reaches that address alone, past any proxy, and
// follows no redirect.
func outsider(t *testing.T, address string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// rollup is Passport and Galaxy as Rollup has them.
func rollup(t *testing.T, redirect string) *provider {
	t.Helper()
	return rollupBehind(t, redirect, direct)
}

func rollupBehind(t *testing.T, redirect string, at front) *provider {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	address := server.Listener.Addr().String()
	issuer := "http://" + at(theProvider, address)
	look, err := devrollup.New(devrollup.Config{
		Issuer: issuer, ClientID: "galaxygate", ClientSecret: secret.New(clientSecret),
		RedirectURIs: []string{redirect}, APIKey: secret.New(galaxyKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = look.Handler()
	server.Start()
	t.Cleanup(server.Close)

	visitor := &devrollup.Visitor{Person: "alice", Client: outsider(t, address)}
	return &provider{
		settings: map[string]string{
			"ROLLUP_ISSUER": issuer, "ROLLUP_CLIENT_ID": "galaxygate", "ROLLUP_CLIENT_SECRET": clientSecret,
			"GALAXY_URL": "http://" + at(theGalaxy, address) + "/graphql", "GALAXY_API_KEY": galaxyKey,
			"ROLLUP_REQUIRE_NONCE": "false",
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
		exchanges: func() int { return look.Counters()["token:authorization_code"] },
		issued:    look.Issued,
		rollup:    look,
		galaxy:    look.Controls,
	}
}

// strict is a standard provider that is not ours, with a Galaxy that takes its
// tokens.
func strict(t *testing.T, redirect string) *provider {
	t.Helper()
	return strictBehind(t, redirect, direct)
}

func strictBehind(t *testing.T, redirect string, at front) *provider {
	t.Helper()
	var client *http.Client
	op := strictop.Start(t, strictop.Options{
		ClientID: "galaxygate", ClientSecret: clientSecret, RedirectURIs: []string{redirect}, AccessLife: time.Hour,
		Front: func(address string) string {
			client = outsider(t, address)
			return at(theProvider, address)
		},
	})
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

	galaxyURL := "http://" + at(theGalaxy, server.Listener.Addr().String()) + "/graphql"
	return &provider{
		settings: map[string]string{
			"ROLLUP_ISSUER": op.Issuer, "ROLLUP_CLIENT_ID": "galaxygate", "ROLLUP_CLIENT_SECRET": clientSecret,
			"ROLLUP_SCOPES": "openid profile email connected_accounts offline_access",
			"GALAXY_URL":    galaxyURL, "GALAXY_API_KEY": galaxyKey,
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
		consent:   op.SetConsent,
		setLife:   op.SetAccessLife,
		refreshes: func() int { return op.Calls("refresh_token") },
		exchanges: func() int { return op.Calls("authorization_code") },
		issued:    op.Issued,
		galaxy:    galaxy.Controls,
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
