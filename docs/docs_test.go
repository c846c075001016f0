package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/coder/websocket"
)

// read returns a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var (
	heading = regexp.MustCompile(`^(#+) +(.+)$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	code    = regexp.MustCompile("`[^`]*`")
)

// prose calls each for every line of the document that is no code.
func prose(document string, each func(line string)) {
	fenced := false
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case !fenced && !strings.HasPrefix(line, "    "):
			each(line)
		}
	}
}

// anchors are the names that GitHub gives to the document's headings.
func anchors(document string) map[string]bool {
	found := make(map[string]bool)
	prose(document, func(line string) {
		match := heading.FindStringSubmatch(line)
		if match == nil {
			return
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, match[2])
		unique := name
		for i := 1; found[unique]; i++ {
			unique = fmt.Sprintf("%s-%d", name, i)
		}
		found[unique] = true
	})
	return found
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	followed := 0
	for _, document := range append(documents, "../README.md") {
		prose(read(t, "docs/"+document), func(line string) {
			for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				target, err := url.Parse(match[1])
				if err != nil {
					t.Errorf("%s: %v", document, err)
					continue
				}
				if target.Scheme == "" {
					follow(t, document, target)
					followed++
				}
			}
		})
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
}

// follow wants the document's link to lead to a file, and to a heading where it names one.
func follow(t *testing.T, document string, target *url.URL) {
	t.Helper()
	file := document
	if target.Path != "" {
		file = filepath.Join(filepath.Dir(document), filepath.FromSlash(target.Path))
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		t.Errorf("%s: %v", document, err)
	case target.Fragment == "" || info.IsDir():
	case !anchors(read(t, "docs/"+file))[target.Fragment]:
		t.Errorf("%s: %s has no heading #%s", document, file, target.Fragment)
	}
}

// TestEveryMentionOfADocumentIsOfOne reads what code and schema say of documents.
func TestEveryMentionOfADocumentIsOfOne(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\bdocs/[a-z-]+\.md\b`)
	mentions := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && path != ".."):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" && filepath.Ext(path) != ".graphqls":
			return nil
		}
		content, err := os.ReadFile(path)
		for _, name := range mention.FindAllString(string(content), -1) {
			mentions++
			if _, missing := os.Stat(filepath.Join("..", name)); missing != nil {
				t.Errorf("%s speaks of %s, which is not there", path, name)
			}
		}
		return err
	})
	if err != nil || mentions == 0 {
		t.Errorf("%d mentions, %v", mentions, err)
	}
}

// rows are the words, of that pattern, that begin the rows of the table below the
// heading of clients.md.
func rows(t *testing.T, below, pattern string) []string {
	t.Helper()
	_, section, ok := strings.Cut(read(t, "docs/clients.md"), "\n"+below+"\n")
	if !ok {
		t.Fatalf("clients.md has no %q", below)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^\| (`+pattern+`) \|`).FindAllStringSubmatch(section, -1) {
		found = append(found, strings.Trim(match[1], "`"))
	}
	slices.Sort(found)
	return found
}

// explained wants one row for each word, and no other.
func explained(t *testing.T, rows []string, words map[string]bool) {
	t.Helper()
	if want := slices.Sorted(maps.Keys(words)); len(want) == 0 || !slices.Equal(rows, want) {
		t.Errorf("the table has\n%q, but there are\n%q", rows, want)
	}
}

// inspect calls each for every node of the Go files of a room, but its tests.
func inspect(t *testing.T, room string, each func(ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "internal", room, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			each(n)
			return true
		})
	}
}

// literals calls each for the elements of every literal of that type in a room.
func literals(t *testing.T, room, kind string, each func(elements []ast.Expr)) {
	t.Helper()
	inspect(t, room, func(n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || len(literal.Elts) == 0 {
			return
		}
		if name, ok := literal.Type.(*ast.Ident); ok && name.Name == kind {
			each(literal.Elts)
		}
	})
}

func TestEveryErrorCodeIsExplained(t *testing.T) {
	t.Parallel()
	codes := make(map[string]bool)
	inspect(t, "errcode", func(n ast.Node) {
		if literal, ok := n.(*ast.BasicLit); ok {
			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Error(err)
			}
			codes[code] = true
		}
	})
	explained(t, rows(t, "## Errors", "`[A-Z_]+`"), codes)
}

func TestEveryCloseCodeIsExplained(t *testing.T) {
	t.Parallel()
	named := map[string]websocket.StatusCode{
		"StatusGoingAway":     websocket.StatusGoingAway,
		"StatusMessageTooBig": websocket.StatusMessageTooBig,
		"StatusTryAgainLater": websocket.StatusTryAgainLater,
	}
	codes := make(map[string]bool)
	literals(t, "graphqlhttp", "closing", func(elements []ast.Expr) {
		switch code := elements[0].(type) {
		case *ast.BasicLit:
			codes[code.Value] = true
		case *ast.SelectorExpr:
			codes[strconv.Itoa(int(named[code.Sel.Name]))] = true
		default:
			t.Errorf("%T: a close code that is neither a number nor a name", code)
		}
	})
	explained(t, rows(t, "### Close codes", `\d+`), codes)
}

// TestEveryErrorOfSignInIsExplained takes the codes from where package login has them:
// the content of its pages, and what it answers apps.
func TestEveryErrorOfSignInIsExplained(t *testing.T) {
	t.Parallel()
	codes := make(map[string]bool)
	note := func(n ast.Expr) {
		if code, ok := n.(*ast.BasicLit); ok {
			codes[strings.Trim(code.Value, `"`)] = true
		}
	}
	literals(t, "login", "content", func(elements []ast.Expr) { note(elements[1]) })
	literals(t, "login", "oauthError", func(elements []ast.Expr) {
		for _, element := range elements {
			if member, ok := element.(*ast.KeyValueExpr); ok && fmt.Sprint(member.Key) == "Code" {
				note(member.Value)
			}
		}
	})
	guide := read(t, "docs/clients.md")
	for code := range codes {
		if !strings.Contains(guide, "`"+code+"`") {
			t.Errorf("clients.md does not say what %s is", code)
		}
	}
	if len(codes) < 10 {
		t.Errorf("only %d codes were found", len(codes))
	}
}

func TestEveryEndOfASessionIsExplained(t *testing.T) {
	t.Parallel()
	_, values, _ := strings.Cut(read(t, "schema.graphqls"), "\nenum SessionEndReason {\n")
	values, _, _ = strings.Cut(values, "\n}")
	reasons := make(map[string]bool)
	for _, value := range regexp.MustCompile(`(?m)^  [A-Z_]+$`).FindAllString(values, -1) {
		reasons[strings.TrimSpace(value)] = true
	}
	explained(t, rows(t, "## When the session ends", "`[A-Z_]+`"), reasons)
}
