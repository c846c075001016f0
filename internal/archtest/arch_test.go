package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "galaxygate/"

// leaves may be imported by every room.
var leaves = []string{
	"internal/audit", "internal/background", "internal/cache", "internal/errcode", "internal/failpoint",
	"internal/recent", "internal/redirect",
	"internal/retry", "internal/scope", "internal/secret",
}

// arrows are the rooms that each room may import beside the leaves. package
// main knows all. A room that is not here does not exist.
var arrows = map[string][]string{
	"graph":                {"graph/generated", "graph/model", "internal/persisted", "internal/document", "internal/plan", "internal/upstream", "internal/grant", "internal/session"},
	"graph/generated":      {"graph/model", "internal/upstream", "internal/grant", "internal/session"},
	"graph/model":          {"internal/upstream", "internal/grant", "internal/session"},
	"internal/archtest":    {},
	"internal/audit":       {},
	"internal/background":  {},
	"internal/bench":       {},
	"internal/budget":      {},
	"internal/cache":       {},
	"internal/config":      {},
	"internal/devrollup":   {},
	"internal/document":    {},
	"internal/e2e":         {},
	"internal/errcode":     {},
	"internal/failpoint":   {},
	"internal/galaxydiff":  {},
	"internal/grant":       {},
	"internal/graphqlhttp": {},
	"internal/httpserver":  {"internal/graphqlhttp"},
	"internal/keyring":     {"internal/vault"},
	"internal/kms":         {},
	"internal/kmstest":     {},
	"internal/login":       {"internal/passport", "internal/grant", "internal/session"},
	"internal/passport":    {"internal/grant"},
	"internal/persisted":   {},
	"internal/pgtest":      {},
	"internal/plan":        {},
	"internal/playground":  {},
	"internal/recent":      {},
	"internal/redirect":    {},
	"internal/redis":       {},
	"internal/redistest":   {},
	"internal/retry":       {},
	"internal/scope":       {},
	"internal/secret":      {},
	"internal/session":     {},
	"internal/store":       {"internal/login", "internal/grant", "internal/session", "internal/keyring", "internal/vault", "migrations"},
	"internal/storetest":   {"internal/login", "internal/grant", "internal/session"},
	"internal/strictop":    {},
	"internal/telemetry":   {},
	"internal/testdb":      {"internal/store", "internal/vault", "internal/pgtest"},
	"internal/upstream":    {"internal/budget", "internal/grant", "internal/plan"},
	"internal/vault":       {},
	"migrations":           {},
}

// foreign are the libraries that only some rooms may import.
var foreign = map[string][]string{
	"github.com/jmoiron/sqlx":     {"internal/store"},
	"github.com/lib/pq":           {"internal/store", "internal/pgtest"},
	"modernc.org/sqlite":          {"internal/store"},
	"github.com/99designs/gqlgen": {"graph", "graph/generated", "graph/model", "internal/graphqlhttp"},
	"github.com/vektah/gqlparser": {
		"graph", "graph/generated", "graph/model", "internal/bench", "internal/devrollup", "internal/persisted",
		"internal/galaxydiff", "internal/document", "internal/graphqlhttp", "internal/plan",
	},
	"github.com/coder/websocket":     {"internal/graphqlhttp"},
	"github.com/coreos/go-oidc":      {"internal/passport"},
	"golang.org/x/oauth2":            {"internal/passport"},
	"github.com/zitadel/oidc":        {"internal/strictop"},
	"github.com/graph-gophers":       {"internal/devrollup"},
	"github.com/tink-crypto/tink-go": {"internal/vault"},
	"github.com/maypok86/otter":      {"internal/cache", "internal/persisted", "internal/document", "internal/httpserver", "internal/plan", "internal/upstream"},
	"github.com/go-json-experiment":  {"internal/persisted", "internal/graphqlhttp", "internal/plan"},
	"github.com/failsafe-go":         {"internal/upstream"},
	"github.com/redis/go-redis":      {"internal/redis"},
	"go.opentelemetry.io/otel":       {"graph", "internal/telemetry"},
}

// noHTTP are the rooms that must not know how they are reached.
var noHTTP = []string{"internal/grant", "internal/vault", "internal/store", "internal/config", "internal/budget", "internal/persisted"}

// testRooms hold what only tests import.
var testRooms = []string{"internal/kmstest", "internal/pgtest", "internal/redistest", "internal/storetest", "internal/strictop", "internal/testdb"}

func TestEveryImportIsAnArrowOnThePlan(t *testing.T) {
	t.Parallel()
	imports := readImports(t, filepath.Join("..", ".."))
	if len(imports) < 3 {
		t.Fatalf("read only %d rooms", len(imports))
	}
	for room, paths := range imports {
		allowed, known := arrows[room]
		if room != "." && !known {
			t.Errorf("%s: a room that the plan does not have", room)
		}
		for _, path := range paths {
			if target, ours := strings.CutPrefix(path, module); ours && room != "." &&
				!slices.Contains(leaves, target) && !slices.Contains(allowed, target) {
				t.Errorf("%s imports %s: no such arrow", room, target)
			}
			if target := strings.TrimPrefix(path, module); slices.Contains(testRooms, target) && !slices.Contains(testRooms, room) {
				t.Errorf("%s imports %s, which is for tests", room, target)
			}
			if path == "net/http" && slices.Contains(noHTTP, room) {
				t.Errorf("%s imports net/http", room)
			}
			for library, rooms := range foreign {
				if strings.HasPrefix(path, library) && !slices.Contains(rooms, room) {
					t.Errorf("%s imports %s, which belongs to %s", room, path, rooms)
				}
			}
		}
	}
}

// readImports parses the files themselves: a test that asks the go command
// would be answered from the test cache after a change.
func readImports(t *testing.T, root string) map[string][]string {
	t.Helper()
	imports := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "tools" || name == "testdata" || name == "examples") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		room := filepath.ToSlash(dir)
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[room] = append(imports[room], target)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	return imports
}

func TestEveryRoomSaysWhatItOwns(t *testing.T) {
	t.Parallel()
	for room := range readImports(t, filepath.Join("..", "..")) {
		if room == "." || room == "graph/generated" || room == "graph/model" {
			continue // package main, and what gqlgen writes
		}
		if _, err := os.Stat(filepath.Join("..", "..", room, "doc.go")); err != nil {
			t.Errorf("%s: %v", room, err)
		}
	}
}
