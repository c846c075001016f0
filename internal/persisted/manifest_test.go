package persisted_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/persisted"
)

// schema is as much of the gateway's as the files of testdata ask for.
func schema() *ast.Schema {
	return gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { viewer: User }
		type User { id: ID!  name: String }
		type Mutation { logout: LogoutPayload! }
		type LogoutPayload { sessionId: ID! }
	`})
}

// hashed is the hash of the text, as clients write it.
func hashed(text string) string { return fmt.Sprintf("%x", persisted.HashOf(text)) }

func TestFilesOfClientsToolsAreRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		id   string // of the query
		text string // begins it
	}{
		{"apollo.json", "37892d081a21d8cac6d17581fbe3df7b5acc0434f5a6c69c155de9ba7279dfdc", "query Viewer {\n  viewer"},
		{"relay.json", "a7df780c1a6e60be1ccab90d4da352e2", "query ViewerQuery {\n"},
		{"codegen.json", "551e20f37f338ab10c95b2c5472fb64ae58c674e", "query Viewer { viewer"},
		{"codegen-sha256.json", "5bbbd3b4cebcb97eecc22e40d7adf003c3d0766f43cbd68f49fa5f9742c55ad9", "query Viewer { viewer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := persisted.ReadFile(filepath.Join("testdata", tt.name), schema())
			if err != nil {
				t.Fatal(err)
			}
			if m.Len() != 2 || len(m.Invalid()) != 0 {
				t.Errorf("got %d documents, of which %v are not valid; want 2, all valid", m.Len(), m.Invalid())
			}
			text, ok := m.Find(tt.id)
			if !ok || !strings.HasPrefix(text, tt.text) || !m.Knows(text) {
				t.Fatalf("by its ID: got %q, %v", text, ok)
			}
			for _, id := range []string{hashed(text), strings.ToUpper(hashed(text)), "sha256:" + hashed(text), "sha256:" + strings.ToUpper(hashed(text))} {
				if got, ok := m.Find(id); !ok || got != text {
					t.Errorf("by %q: got %q, %v", id, got, ok)
				}
			}
			for _, id := range []string{"", "sha256:", hashed(text)[1:], hashed(text) + "0", "sha1:" + hashed(text), "sha256:sha256:" + hashed(text), hashed(text + " "), strings.Repeat("z", 64)} {
				if got, ok := m.Find(id); ok {
					t.Errorf("by %q: got %q, want nothing", id, got)
				}
			}
			if m.Knows(text+" ") || m.Knows("") {
				t.Error("knows another text")
			}
		})
	}
}

func apollo(operations string) string {
	return `{"format":"apollo-persisted-query-manifest","version":1,"operations":[` + operations + `]}`
}

func TestFilesAreReadStrictly(t *testing.T) {
	t.Parallel()
	const query = "{viewer{id}}"
	tests := []struct {
		name, content string
		want          string // in the error; empty: none
	}{
		{"one text by two IDs", `{"a":"{viewer{id}}","b":"{viewer{id}}"}`, ""},
		{"one operation twice", apollo(`{"id":"a","body":"{viewer{id}}"},{"id":"a","body":"{viewer{id}}"}`), ""},
		{"members of a later version of a tool", apollo(`{"id":"a","body":"{viewer{id}}","clientName":null}`), ""},
		{"a fragment beside the query", `{"a":"{viewer{...F}} fragment F on User{id}"}`, ""},
		{"an ID with its prefix", `{"sha256:` + hashed(query) + `":"` + query + `"}`, ""},

		{"nothing", "", "is not JSON in UTF-8, at byte 0"},
		{"no JSON", "query { viewer }", "is not JSON in UTF-8, at byte 0"},
		{"an end that is missing", `{"a":"{viewer{id}}"`, "is not JSON in UTF-8, at byte 19"},
		{"bytes after the end", `{"a":"{viewer{id}}"} {}`, "is not JSON in UTF-8, at byte 21"},
		{"another encoding", "{\"a\":\"{viewer{id}} # \xff\"}", "is not JSON in UTF-8"},
		{"half a character", `{"a":"{viewer{id}} # \ud800"}`, "is not JSON in UTF-8"},
		{"a list", `[{"id":"a","body":"{viewer{id}}"}]`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"no operations", `{}`, "no operations in it"},
		{"a manifest without operations", apollo(""), "no operations in it"},
		{"a manifest of another version", `{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}`, "version is unknown"},
		{"a manifest of no version", `{"format":"apollo-persisted-query-manifest","operations":[]}`, "version is unknown"},
		{"a manifest of another format", `{"format":"other","version":1,"operations":[]}`, "format is unknown"},
		{"an older manifest", `{"version":2,"operations":[{"signature":"a","document":"{viewer{id}}"}]}`, "format is unknown"},
		{"operations that are no list", `{"format":"apollo-persisted-query-manifest","version":1,"operations":{}}`, "not an array"},
		{"an ID twice in an object", `{"a":"{viewer{id}}","a":"{viewer{name}}"}`, `"a" is there twice`},
		{"an ID twice in a list", apollo(`{"id":"a","body":"{viewer{id}}"},{"id":"a","body":"{viewer{name}}"}`), `operation "a" is there twice, with different texts`},
		{"a text that is no string", `{"a":{"text":"{viewer{id}}"}}`, `operation "a" is not a string`},
		{"a text that is null", `{"a":null}`, `operation "a" is not a string`},
		{"a body that is no string", apollo(`{"id":"a","body":["{viewer{id}}"]}`), `operation "a" is not an object with the strings`},
		{"a name that is no string", apollo(`{"id":"a","name":7,"body":"{viewer{id}}"}`), `is not an object with the strings`},
		{"an operation that is no object", apollo(`"{viewer{id}}"`), "operation 1 is not an object"},
		{"an operation without an ID", apollo(`{"body":"{viewer{id}}"}`), "operation 1 has no ID"},
		{"an empty ID", `{"":"{viewer{id}}"}`, "operation 1 has no ID"},
		{"texts for IDs", `{"{viewer{id}}":"a"}`, "operation 1 has no ID"},
		{"an empty text", `{"a":" \n"}`, `operation "a" is empty`},
		{"no text", apollo(`{"id":"a"}`), `operation "a" is empty`},
		{"a text that does not parse", `{"a":"{viewer{id}"}`, `operation "a" cannot be parsed as GraphQL: line 1, column 12`},
		{"a fragment alone", `{"a":"fragment F on User{id}"}`, `operation "a" has no query`},
		{"a comment alone", `{"a":"# {viewer{id}}"}`, `operation "a" has no query`},
		{"a type", `{"a":"type User{id:ID}"}`, `operation "a" cannot be parsed`},
		{"a prefixed ID that is not the text's", `{"sha256:` + hashed("x") + `":"{viewer{id}}"}`, "not the SHA-256 of its text"},
		{"a prefixed ID that is no hash", `{"sha256:a":"{viewer{id}}"}`, `operation "sha256:a" has an ID that is not`},
		{"the hash of another one's text", `{"` + hashed(query) + `":"{viewer{name}}","a":"` + query + `"}`, "SHA-256 of another one's text"},
		{"a document too deep", `{"a":"` + strings.Repeat("{a", 100_000) + `"}`, `operation "a" cannot be parsed`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := persisted.Parse([]byte(tt.content), schema())
			switch {
			case err == nil && tt.want != "":
				t.Fatalf("got no error, want %q", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "viewer"):
				t.Errorf("the error quotes a document: %v", err)
			}
		})
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := persisted.Parse([]byte(`{"a":"{","b":7,"c":"{viewer{id}}","d":""}`), nil)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, id := range []string{`"a"`, `"b"`, `"d"`} {
		if !strings.Contains(err.Error(), id) {
			t.Errorf("%s is missing in: %v", id, err)
		}
	}
	if strings.Contains(err.Error(), `"c"`) {
		t.Errorf("a good one is blamed: %v", err)
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `,"%d":""`, i)
	}
	_, err = persisted.Parse([]byte("{"+many.String()[1:]+"}"), nil)
	if err == nil || strings.Count(err.Error(), "\n") != 20 || !strings.Contains(err.Error(), "and 80 problems more") {
		t.Errorf("of 100 problems: got %v", err)
	}
}

func TestWhatTheSchemaDoesNotAllowIsKnownAllTheSame(t *testing.T) {
	t.Parallel()
	m, err := persisted.Parse([]byte(`{"b":"{viewer{\n id old}}","a":"{viewer{id}}","c":"query($x:Old){viewer{id}}"}`), schema())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Find("b"); !ok || m.Len() != 3 {
		t.Errorf("got %d documents, and b: %v", m.Len(), ok)
	}
	const want = "[b (FieldsOnCorrectType, line 2, column 5) c (KnownTypeNames, line 1, column 7)]"
	if got := fmt.Sprint(m.Invalid()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAFileHasABoundedSize(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(name, []byte(`{"a":"{viewer{id}}"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 33<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := persisted.ReadFile(name, nil); err == nil || !strings.Contains(err.Error(), "more than 32 MiB") {
		t.Errorf("got %v", err)
	}
	if _, err := persisted.ReadFile(name+".not", nil); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: got %v", err)
	}
}
