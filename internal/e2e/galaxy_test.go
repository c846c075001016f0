package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/graph-gophers/graphql-go"
)

// galaxySchema is the embedded Galaxy's schema with the replacements made.
func galaxySchema(t *testing.T, replacements ...string) string {
	t.Helper()
	sdl, err := os.ReadFile("../devrollup/assets/galaxy.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if strings.Count(string(sdl), replacements[i]) != 1 {
			t.Fatalf("%q is not there once", replacements[i])
		}
	}
	return strings.NewReplacer(replacements...).Replace(string(sdl))
}

// telling starts a Galaxy that tells that schema to whoever sends that key.
func telling(t *testing.T, sdl, key string) string {
	t.Helper()
	told, err := graphql.MustParseSchema(sdl, nil).ToJSON()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-GALAXY-KEY"); got != key || r.Header.Get("Authorization") != "" {
			t.Errorf("it came with the key %q and %q", got, r.Header.Get("Authorization"))
		}
		_, _ = fmt.Fprintf(w, `{"data": %s}`, told)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/graphql"
}

func TestGalaxyDiffFindsNoneWhereThereIsNone(t *testing.T) {
	t.Parallel()
	none := "No difference: Galaxy's queries are as schema.graphqls has them, in 12 types.\n"
	g := prepare(t, nil)
	if out, status := g.command(t, "galaxy", "diff"); status != 0 || out != "development mode: the embedded Galaxy\n"+none {
		t.Errorf("the embedded Galaxy: %d\n%s", status, out)
	}
	if entries, err := os.ReadDir(g.dir); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	g.env = append(g.env, "GALAXY_URL="+telling(t, galaxySchema(t), "hush"), "GALAXY_API_KEY=hush")
	if out, status := g.command(t, "galaxy", "diff"); status != 0 || out != none {
		t.Errorf("the configured Galaxy: %d\n%s", status, out)
	}
	w := settle(t, sqlite(t), rollup, nil)
	if out, status := w.command(t, "galaxy", "diff"); status != 0 || out != none {
		t.Errorf("a running Galaxy: %d\n%s", status, out)
	}
	mutated := galaxySchema(t, "type Mutation {", "type Mutation {\n  forget: Boolean\n", "registerSessionKey", "registerKey")
	if out, status := g.command(t, "galaxy", "diff", "--url", telling(t, mutated, "")); status != 0 || out != none {
		t.Errorf("other mutations: %d\n%s", status, out)
	}
}

func TestGalaxyDiffSaysWhatHasChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		sdl  []string // what is replaced by what
		want string
	}{
		{
			name: "a field is new",
			sdl:  []string{"displayName: String", "displayName: String\n  bio(words: Int! = 10): String!"},
			want: `
missing here:  GalaxyProfile.bio: String!

# To be added to schema.graphqls, each with a description:
extend type GalaxyProfile {
  bio(words: Int! = 10): String!
}
`,
		},
		{
			name: "a field is gone",
			sdl:  []string{"  icon: String!\n", ""},
			want: `
missing there: GalaxyApp.icon: String!
`,
		},
		{
			name: "fields and arguments have other types",
			sdl: []string{
				"authorizedApps: [App]", "authorizedApps: [App!]!",
				"scopes(clientId: String!)", "scopes(clientId: ID)",
				"limit: Int!", "limit: Int = 50",
				"scalar JSON", "type JSON { text: String }",
				"setExternalAppData(payload: JSON!): Boolean", "",
			},
			want: `
differs:       GalaxyPagination.limit: Int! here, Int = 50 there
differs:       GalaxyQuery.authorizedApps: [GalaxyApp] here, [GalaxyApp!]! there
differs:       GalaxyQuery.scopes(clientId): String! here, ID there
differs:       JSON: scalar here, type there
`,
		},
		{
			name: "arguments come and go",
			sdl: []string{
				"connectedAccounts(targetIdentityURN: String)", `connectedAccounts(first: Int = 10, types: [String!] = ["eth", "email"])`,
			},
			want: `
missing here:  GalaxyQuery.connectedAccounts(first): Int = 10
missing there: GalaxyQuery.connectedAccounts(targetIdentityURN): String
missing here:  GalaxyQuery.connectedAccounts(types): [String!] = ["eth", "email"]
`,
		},
		{
			name: "types come and go",
			sdl: []string{
				"identityFromAlias(provider: String!, alias: String!): String!",
				"search(for: [Kind!] = [PERSON]): [Found!]!",
				"getAuthorizedIdentities(opts: Pagination!): [AuthorizationIdentity]", "",
				"scalar JSON", "scalar JSON\nscalar Date\nenum Kind { PERSON APP }\nunion Found = Profile | App\ntype VideoPFP implements Moving { seconds: Int, since: Date, of: Profile }\ninterface Moving { seconds: Int }",
				"StandardPFP | NFTPFP", "StandardPFP | NFTPFP | VideoPFP",
			},
			want: `
missing here:  scalar Date
missing there: type GalaxyAuthorizationIdentity
missing here:  union GalaxyFound
missing here:  enum GalaxyKind
missing here:  interface GalaxyMoving
missing there: input GalaxyPagination
missing there: GalaxyQuery.getAuthorizedIdentities: [GalaxyAuthorizationIdentity]
missing there: GalaxyQuery.identityFromAlias: String!
missing here:  GalaxyQuery.search: [GalaxyFound!]!
missing here:  type GalaxyVideoPFP
missing here:  PFP = GalaxyVideoPFP

# To be added to schema.graphqls, each with a description:
scalar Date
union GalaxyFound = GalaxyProfile | GalaxyApp
enum GalaxyKind {
  PERSON
  APP
}
interface GalaxyMoving {
  seconds: Int
}
type GalaxyVideoPFP implements GalaxyMoving {
  seconds: Int
  since: Date
  of: GalaxyProfile
}
extend type GalaxyQuery {
  search(for: [GalaxyKind!] = [PERSON]): [GalaxyFound!]!
}
extend union PFP = GalaxyVideoPFP
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := prepare(t, map[string]string{"GALAXY_URL": "https://galaxy.example.com", "GALAXY_API_KEY": "hush"})
			out, status := g.command(t, "galaxy", "diff", "--url", telling(t, galaxySchema(t, tt.sdl...), ""))
			want := tt.want[1:] + "galaxygate: schema.graphqls and Galaxy's schema differ\n"
			if status != 1 || out != want {
				t.Errorf("got %d\n%s\nwant 1\n%s", status, out, want)
			}
		})
	}
}

func TestGalaxyDiffSaysWhyItCannotTell(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		`(HTTP 400): "introspection is disabled"`: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"errors": [{"message": "introspection is disabled"}]}`)
		},
		"(HTTP 502): its answer is not the JSON": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"(HTTP 200): its answer has no __schema": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"data": {}}`) },
		"(HTTP 307): its answer is not the JSON": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				t.Error("the key went to where Galaxy pointed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
	}
	for want, answer := range answers {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			g := prepare(t, map[string]string{"GALAXY_URL": server.URL, "GALAXY_API_KEY": "hush"})
			if out, status := g.command(t, "galaxy", "diff"); status != 2 || !strings.Contains(out, want) || strings.Contains(out, "hush") {
				t.Errorf("got %d\n%s", status, out)
			}
		})
	}
	away := httptest.NewServer(nil)
	away.Close()
	g := prepare(t, nil)
	if out, status := g.command(t, "galaxy", "diff", "--url", away.URL); status != 2 || !strings.Contains(out, "connection refused") {
		t.Errorf("a Galaxy that is away: %d\n%s", status, out)
	}
	if out, status := g.command(t, "galaxy", "diff", "--url", "http://galaxy.example.com"); status != 2 || !strings.Contains(out, "must be an https URL") {
		t.Errorf("an address without TLS: %d\n%s", status, out)
	}
}
