package document_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"bytes"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"

	"galaxygate/internal/document"
)

func TestZZDiff(t *testing.T) {
	b, _ := os.ReadFile("/tmp/diff/schema.graphql")
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: string(b)})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := os.Open("/tmp/diff/cases.jsonl")
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	seen := map[string]int{}
	for sc.Scan() {
		var c struct {
			Doc, Vars string
			Errors    []string
			Verrors   []string
			Coerced   *string
		}
		json.Unmarshal(sc.Bytes(), &c)
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Logf("PANIC %v\n  %s\n  %s", r, c.Doc, c.Vars)
				}
			}()
			d, refusal := document.NewReader(schema, 0, false).Read(c.Doc, false)
			ours := ""
			if refusal != nil {
				ours = refusal.Errors[0].Message
			}
			if (ours == "") != (len(c.Errors) == 0) {
				key := ours
				if len(c.Errors) > 0 {
					key = "THEY: " + c.Errors[0]
				}
				k := strings.Map(func(r rune) rune { if r >= '0' && r <= '9' { return '#' }; return r }, key)
				if len(k) > 50 { k = k[:50] }
				seen[k]++
				if seen[k] <= 2 {
					t.Logf("VALID: ours %q theirs %q\n   %s", ours, c.Errors, c.Doc)
				}
				return
			}
			if ours != "" {
				return
			}
			dec := json.NewDecoder(strings.NewReader(c.Vars))
			dec.UseNumber()
			var vars map[string]any
			dec.Decode(&vars)
			problem := document.CheckVariables(schema, d.Operations[0], vars)
			var co map[string]any
			var e2 error
			if problem == nil {
				co, e2 = validator.VariableValues(schema, d.Operations[0], vars)
			}
			ours = ""
			if problem != nil {
				ours = problem.Error()
			} else if e2 != nil {
				ours = "COERCE " + e2.Error()
			}
			if (ours == "") != (len(c.Verrors) == 0) {
				k := ours
				if len(c.Verrors) > 0 { k = c.Verrors[0] }
				k = strings.Map(func(r rune) rune { if r >= '0' && r <= '9' { return '#' }; return r }, k)
				if len(k) > 60 { k = k[:60] }
				seen[k]++
				if seen[k] <= 2 {
					t.Logf("VARS: ours %q theirs %q\n   %s\n   %s", ours, c.Verrors, c.Doc, c.Vars)
				}
				return
			}
			if ours == "" && c.Coerced != nil {
				got, _ := json.Marshal(co)
				var a, bb any
				json.Unmarshal(got, &a)
				json.Unmarshal([]byte(*c.Coerced), &bb)
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(bb)
				if os.Getenv("COERCED")!="" && !bytes.Equal(x, y) {
					k := "coerced"
					seen[k]++
					if seen[k] <= 6 {
						t.Logf("COERCED: ours %s theirs %s\n   %s\n   %s", x, y, c.Doc, c.Vars)
					}
				}
			}
		}()
	}
	for k, n := range seen {
		fmt.Println(n, k)
	}
}
