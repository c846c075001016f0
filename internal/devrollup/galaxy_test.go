package devrollup

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"galaxygate/internal/secret"
)

const (
	aliceEth    = "urn:rollupid:account/0x1a00000000000000000000000000000000000001"
	aliceGitHub = "urn:rollupid:account/0x1a00000000000000000000000000000000000003"
)

func wantGalaxyError(t *testing.T, got reply, httpStatus int, message string, status any) {
	t.Helper()
	failures, _ := got.body["errors"].([]any)
	if got.status != httpStatus || len(failures) == 0 {
		t.Fatalf("got %d %s, want %d", got.status, got.text, httpStatus)
	}
	first, _ := failures[0].(map[string]any)
	extensions, _ := first["extensions"].(map[string]any)
	protocol, _ := extensions["http"].(map[string]any)
	if first["message"] != message || protocol["status"] != status {
		t.Errorf("got %v, want %q with %v", first, message, status)
	}
}

func TestGalaxyChecksKeyThenToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, "openid")
	access, query := tokens.str("access_token"), `{ profile { displayName } }`
	wantGalaxyError(t, r.ask(t, access, "", query, nil), 400, "No API Key provided.", 400.)
	wantGalaxyError(t, r.ask(t, access, "wrong", query, nil), 401, "Invalid API key provided.", 401.)
	wantGalaxyError(t, r.ask(t, "", "api-key", query, nil), 401, "You are not authenticated!", 401.)
	wantGalaxyError(t, r.ask(t, tokens.str("id_token"), "api-key", query, nil), 401, "You are not authenticated!", 401.)
	r.ExpireAccessTokens("")
	wantGalaxyError(t, r.ask(t, access, "api-key", query, nil), 401, "You are not authenticated!", 401.)

	r.Set(func(s *Switches) { s.UnauthorizedForm = UnauthorizedGraphQL200 })
	wantGalaxyError(t, r.ask(t, access, "api-key", query, nil), 200, "You are not authenticated!", 401.)
	r.Set(func(s *Switches) { s.UnauthorizedForm = UnauthorizedHTTP500 })
	wantGalaxyError(t, r.ask(t, access, "api-key", query, nil), 500, "Unexpected error.", nil)
	r.Set(func(s *Switches) { s.UnauthorizedForm = UnauthorizedHTTP401 })
	if got := r.ask(t, access, "api-key", query, nil); got.status != 401 || got.body != nil {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestGalaxyTellsItsSchemaToAnybody(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.ask(t, "nobody's", "wrong", `{ kind: __typename __schema { queryType { name } } __type(name: "App") { kind } }`, nil)
	if got.status != http.StatusOK || !strings.Contains(got.text, `"queryType":{"name":"Query"}`) {
		t.Errorf("got %d %s", got.status, got.text)
	}
	for _, query := range []string{
		`{ __typename authorizedApps { title } }`,
		`{ __typename: authorizedApps { title } }`,
		`query A { __typename } query B { authorizedApps { title } }`,
		`{ ...apps } fragment apps on Query { authorizedApps { title } }`,
		`{ __typename } }`,
	} {
		wantGalaxyError(t, r.ask(t, "", "", query, nil), 400, "No API Key provided.", 400.)
	}
}

func TestGalaxyAnswersEveryQuery(t *testing.T) {
	t.Parallel()
	r := start(t)
	access := r.signIn(t, &Visitor{Person: "alice"}, "openid email").str("access_token")
	got := r.ask(t, access, "api-key", `query($urns: [String!], $bob: String) {
		profile { displayName pfp { __typename ... on NFTPFP { image isToken } ... on StandardPFP { image } } }
		bob: profile(targetIdentityURN: $bob) { displayName pfp { __typename } }
		nobody: profile(targetIdentityURN: "urn:rollupid:identity/0x0") { displayName }
		connectedAccounts { id baseUrn urn nid nss fragment qc rc }
		authorizedApps { clientId icon title timestamp }
		identityFromAlias(provider: "github", alias: "alice-example")
		accountProfile(accountURN: "`+aliceEth+`") { id title }
		accountProfiles(accountURNList: $urns) { id type address title icon }
		scopes(clientId: "gateway") { permission scopes }
		getExternalAppData
		getAuthorizedIdentities(opts: {offset: 0, limit: 5}) { identityURN name imageURL }
	}`, map[string]any{"urns": []string{aliceGitHub, aliceEth}, "bob": BobURN})
	if got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	data := got.body["data"].(map[string]any)
	if nodes := data["connectedAccounts"].([]any); len(nodes) != 3 {
		t.Errorf("public accounts: got %d, want 3: the e-mail is not public", len(nodes))
	} else if diff := cmp.Diff(map[string]any{"addr_type": "eth"}, nodes[0].(map[string]any)["rc"]); diff != "" {
		t.Error(diff)
	}
	if apps := data["authorizedApps"].([]any); len(apps) != 2 {
		t.Errorf("apps: got %v", apps)
	}
	delete(data, "connectedAccounts")
	delete(data, "authorizedApps")
	want := map[string]any{
		"profile": map[string]any{
			"displayName": "Alice Example",
			"pfp":         map[string]any{"__typename": "NFTPFP", "image": r.url + "/images/alice.svg", "isToken": true},
		},
		"bob":               map[string]any{"displayName": "Bob Example", "pfp": map[string]any{"__typename": "StandardPFP"}},
		"nobody":            nil,
		"identityFromAlias": AliceURN,
		"accountProfile":    map[string]any{"id": aliceEth, "title": "alice.eth"},
		"accountProfiles": []any{
			map[string]any{
				"id": aliceGitHub, "type": "github", "address": "alice-example",
				"title": "Alice on GitHub", "icon": r.url + "/images/github.svg",
			},
			map[string]any{
				"id": aliceEth, "type": "eth", "address": "0x1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
				"title": "alice.eth", "icon": r.url + "/images/ethereum.svg",
			},
		},
		"scopes":             []any{map[string]any{"permission": "E-mail", "scopes": []any{"email"}}},
		"getExternalAppData": nil,
		"getAuthorizedIdentities": []any{map[string]any{
			"identityURN": AliceURN, "name": "Alice Example", "imageURL": r.url + "/images/alice.svg",
		}},
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
}

func TestGalaxyMutationsChangeWhatIsRead(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := r.signIn(t, &Visitor{Person: "alice"}, "openid erc_4337")
	access := tokens.str("access_token")
	got := r.ask(t, access, "api-key", `mutation($data: JSON!) {
		updateAccountNickname(accountURN: "`+aliceEth+`", nickname: "Main") 
		disconnectAccount(accountURN: "`+aliceGitHub+`")
		updateConnectedAccountsProperties(accountURNList: [
			{accountURN: "urn:rollupid:account/0x1a00000000000000000000000000000000000002", public: true}])
		setExternalAppData(payload: $data)
		registerSessionKey(sessionPublicKey: "0xkey", smartContractWalletAccount: "0x4337a11ce00000000000000000000000000000a1")
	}`, map[string]any{"data": map[string]any{"theme": "dark", "n": 1.5}})
	if got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	got = r.ask(t, access, "api-key", `{
		connectedAccounts { rc } accountProfile(accountURN: "`+aliceEth+`") { title } getExternalAppData }`, nil)
	want := map[string]any{
		"connectedAccounts": []any{
			map[string]any{"rc": map[string]any{"addr_type": "eth"}},
			map[string]any{"rc": map[string]any{"addr_type": "email"}},
			map[string]any{"rc": map[string]any{"addr_type": "farcaster"}},
		},
		"accountProfile":     map[string]any{"title": "Main"},
		"getExternalAppData": map[string]any{"theme": "dark", "n": 1.5},
	}
	if diff := cmp.Diff(want, got.body["data"]); diff != "" {
		t.Error(diff)
	}
	inline := r.ask(t, access, "api-key", `mutation { setExternalAppData(payload: {theme: "light"}) }`, nil)
	if inline.status != http.StatusOK {
		t.Errorf("inline JSON: got %d %s", inline.status, inline.text)
	}

	others := `mutation { disconnectAccount(accountURN: "urn:rollupid:account/0xb000000000000000000000000000000000000002") }`
	wantGalaxyError(t, r.ask(t, access, "api-key", others, nil), 403, "You are not authorized!", 403.)

	r.ask(t, access, "api-key", `mutation { revokeAppAuthorization(clientId: "gateway") }`, nil)
	wantRefusal(t, r.refreshWith(t, tokens.str("refresh_token")), 401, "UNAUTHORIZED", "expired token")
	wantRefusal(t, r.userinfo(t, access), 401, "UNAUTHORIZED", "expired token")
}

func TestGalaxySwitchesRefuseFailAndLimit(t *testing.T) {
	t.Parallel()
	r := start(t)
	access := r.signIn(t, &Visitor{Person: "alice"}, "openid").str("access_token")
	r.Set(func(s *Switches) {
		s.RefusedMutations = []string{"updateAccountNickname"}
		s.FailingFields = []string{"authorizedApps", "AccountProfile.icon"}
	})
	rename := `mutation { updateAccountNickname(accountURN: "` + aliceEth + `", nickname: "Main") }`
	wantGalaxyError(t, r.ask(t, access, "api-key", rename, nil), 403, "You are not authorized!", 403.)

	got := r.ask(t, access, "api-key", `{ profile { displayName } authorizedApps { title }
		accountProfile(accountURN: "`+aliceEth+`") { title icon } }`, nil)
	want := map[string]any{
		"profile": map[string]any{"displayName": "Alice Example"}, "authorizedApps": nil,
		"accountProfile": map[string]any{"title": "alice.eth", "icon": nil},
	}
	if diff := cmp.Diff(want, got.body["data"]); diff != "" {
		t.Error(diff)
	}
	if failures := got.body["errors"].([]any); len(failures) != 2 || failures[0].(map[string]any)["path"] == nil {
		t.Errorf("errors: got %v", failures)
	}

	r.Set(func(s *Switches) { s.GalaxyPerMinute = 1 })
	for _, want := range []int{200, 429} {
		if got := r.ask(t, access, "api-key", `{ profile { displayName } }`, nil); got.status != want {
			t.Errorf("got %d, want %d", got.status, want)
		} else if want == 429 && got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func TestGalaxyStandsBesideAnotherProvider(t *testing.T) {
	t.Parallel()
	galaxy, err := NewGalaxy(GalaxyConfig{
		APIKey: secret.New("api-key"), ClientID: "gateway", Origin: "http://galaxy.example",
		Verify: func(_ context.Context, token string) (Identity, error) {
			switch token {
			case "bob":
				return Identity{Subject: BobURN, ClientID: "gateway"}, nil
			case "other-app":
				return Identity{Subject: BobURN, ClientID: "other"}, nil
			}
			return Identity{}, errors.New("no such token")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(galaxy.Handler())
	t.Cleanup(srv.Close)
	r := &rollup{url: srv.URL}
	got := r.ask(t, "bob", "api-key", `{ profile { displayName } }`, nil)
	if got.status != 200 || !strings.Contains(got.text, "Bob Example") {
		t.Errorf("got %d %s", got.status, got.text)
	}
	wantGalaxyError(t, r.ask(t, "nobody", "api-key", `{ authorizedApps { title } }`, nil), 401, "You are not authenticated!", 401.)
	wantGalaxyError(t, r.ask(t, "other-app", "api-key", `{ authorizedApps { title } }`, nil), 401,
		"Client ID in API key doesn't match with the one in JWT.", 401.)
	if got := galaxy.Counters()["galaxy"]; got != 3 {
		t.Errorf("counter: got %d", got)
	}
}
