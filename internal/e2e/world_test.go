package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
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
	// setRefreshLife does so for refresh tokens; nil where the provider cannot.
	setRefreshLife func(time.Duration)
	// refreshes is how often a refresh token was presented.
	refreshes func() int
	// exchanges is how often a code was.
	exchanges func() int
	// reuses is how often one was that had been used up.
	reuses func() int
	front  *front // sees the calls first
	// issued is every code and token so far.
	issued func() []string
	// setAway makes the provider, and its Galaxy, fail for whoever asks.
	setAway func(bool)
	// present presents a refresh token at the provider, as whoever has the client's
	// secret could, and returns the answer's status.
	present func(t *testing.T, refresh string) int
	rollup  *devrollup.Server  // nil where it is another's
	strict  *strictop.Provider // nil where it is Rollup's
	galaxy  *devrollup.Controls
}

// placing says at which address the gateway reaches the part of that name that
// listens at the given one: there, or at a proxy before it.
type placing func(name, address string) string

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

func rollupBehind(t *testing.T, redirect string, at placing) *provider {
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
	before := &front{provider: look.Handler()}
	server.Config.Handler = before
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
		reuses:    func() int { return 0 }, // a token may be used for ever
		front:     before,
		issued:    look.Issued,
		setAway: func(away bool) {
			look.Set(func(s *devrollup.Switches) {
				s.Faults = nil
				if away {
					down := devrollup.Fault{Status: http.StatusBadGateway}
					s.Faults = map[devrollup.Endpoint]devrollup.Fault{
						devrollup.Token: down, devrollup.Userinfo: down, devrollup.GalaxyAPI: {Reset: true},
					}
				}
			})
		},
		present: func(t *testing.T, refresh string) int {
			t.Helper()
			return present(t, issuer+"/token", url.Values{
				"refresh_token": {refresh}, "client_id": {"galaxygate"}, "client_secret": {clientSecret},
			}, false)
		},
		rollup: look,
		galaxy: look.Controls,
	}
}

// strict is a standard provider that is not ours, with a Galaxy that takes its
// tokens.
func strict(t *testing.T, redirect string) *provider {
	t.Helper()
	return strictOf(t, redirect, strictop.Options{AccessLife: time.Hour})
}

// told is how long a strict provider's tokens must live for expires_in to say d,
// in whole seconds: it rounds down what is left when it answers.
func told(d time.Duration) time.Duration { return d + 500*time.Millisecond }

// strictOf is a strict provider with these options.
func strictOf(t *testing.T, redirect string, options strictop.Options) *provider {
	t.Helper()
	return strictlyBehind(t, redirect, options, direct)
}

func strictBehind(t *testing.T, redirect string, at placing) *provider {
	t.Helper()
	return strictlyBehind(t, redirect, strictop.Options{AccessLife: time.Hour}, at)
}

func strictlyBehind(t *testing.T, redirect string, options strictop.Options, at placing) *provider {
	t.Helper()
	before := &front{}
	var client *http.Client
	options.ClientID, options.ClientSecret, options.RedirectURIs = "galaxygate", clientSecret, []string{redirect}
	options.Front = func(provider http.Handler) http.Handler {
		before.provider = provider
		return before
	}
	options.Reached = func(address string) string {
		client = outsider(t, address)
		return at(theProvider, address)
	}
	op := strictop.Start(t, options)
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
		consent:        op.SetConsent,
		setLife:        func(d time.Duration) { op.SetAccessLife(told(d)) },
		setRefreshLife: op.SetRefreshLife,
		refreshes:      func() int { return op.Calls("refresh_token") },
		exchanges:      func() int { return op.Calls("authorization_code") },
		reuses:         op.Reuses,
		front:          before,
		issued:         op.Issued,
		strict:         op,
		galaxy:         galaxy.Controls,
		setAway:        op.SetAway,
		present: func(t *testing.T, refresh string) int {
			t.Helper()
			return present(t, op.Issuer+"/oauth/token", url.Values{"refresh_token": {refresh}}, true)
		},
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
	// Most tests are about what is asked upstream: nothing is answered from memory.
	env := map[string]string{"DATABASE_URL": database, "TOKEN_KEYSET": w.keyset, "RATE_LIMIT": "0", "GALAXY_CACHE": "0"}
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

// replica prepares another process before the same provider, on the same
// database, behind the same address.
func (w *world) replica(t *testing.T, more map[string]string) *gateway {
	t.Helper()
	r := prepare(t, nil)
	own := slices.DeleteFunc(r.env, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name != "ADDR" && name != "ADMIN_ADDR"
	})
	r.binary, r.env = w.binary, slices.Concat(w.env, own) // the last one counts
	for name, value := range more {
		r.env = append(r.env, name+"="+value)
	}
	return r
}

// serving runs the gateway until the test ends.
func serving(t *testing.T, g *gateway) *gateway {
	t.Helper()
	g.run(t)
	g.await(t, g.admin+"/readyz", http.StatusOK)
	return g
}
