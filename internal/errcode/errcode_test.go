package errcode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestEveryCodeIsExplainedToClients(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := parser.ParseFile(token.NewFileSet(), "errcode.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(source, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok {
			code, _ := strconv.Unquote(literal.Value)
			if !strings.Contains(string(docs), "`"+code+"`") {
				t.Errorf("docs/clients.md does not say what %s is", code)
			}
			codes++
		}
		return true
	})
	if codes == 0 {
		t.Error("no code was found")
	}
}
