package galaxydiff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/internal/secret"
)

const (
	askLimit  = 30 * time.Second
	maxAnswer = 8 << 20
)

// question asks for what is compared and nothing else, so that servers of any age
// understand it.
const question = `
query Introspection {
  __schema {
    queryType { name }
    types {
      kind
      name
      fields(includeDeprecated: true) { name type { ...type } args { ...input } }
      inputFields { ...input }
      interfaces { name }
      possibleTypes { name }
      enumValues(includeDeprecated: true) { name }
    }
  }
}
fragment input on __InputValue { name defaultValue type { ...type } }
fragment type on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } }
}`

// Schema is what a Galaxy tells of itself.
type Schema struct {
	QueryType named
	Types     []typeAnswer
}

type (
	answer struct {
		Data struct {
			Schema *Schema `json:"__schema"`
		}
		Errors []struct{ Message string }
	}
	typeAnswer struct {
		Kind                      ast.DefinitionKind
		Name                      string
		Fields, InputFields       []field
		Interfaces, PossibleTypes []named
		EnumValues                []named
	}
	field struct {
		Name         string
		Type         reference
		Args         []field
		DefaultValue *string
	}
	reference struct {
		Kind, Name string
		OfType     *reference
	}
	named struct{ Name string }
)

// Ask asks the Galaxy at the URL for its schema. The hosted one answers that
// without a user's token, and without a key, which is sent where there is one.
func Ask(ctx context.Context, url string, key secret.Text) (Schema, error) {
	body, err := json.Marshal(map[string]string{"query": question})
	if err != nil {
		return Schema{}, fmt.Errorf("encode query: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Schema{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if !key.IsZero() {
		req.Header.Set("X-GALAXY-KEY", key.Reveal())
	}
	// The key is for this address and for no other one.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return Schema{}, fmt.Errorf("ask galaxy for its schema: %w", err)
	}
	defer resp.Body.Close()
	schema, err := read(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Schema{}, fmt.Errorf("galaxy at %s does not tell its schema (HTTP %d): %w", url, resp.StatusCode, err)
	}
	return schema, nil
}

// read reads the answer to question.
func read(r io.Reader) (Schema, error) {
	var a answer
	if err := json.NewDecoder(r).Decode(&a); err != nil {
		return Schema{}, errors.New("its answer is not the JSON that GraphQL asks for")
	}
	if len(a.Errors) > 0 {
		return Schema{}, fmt.Errorf("%q", a.Errors[0].Message)
	}
	if a.Data.Schema == nil || a.Data.Schema.QueryType.Name == "" {
		return Schema{}, errors.New("its answer has no __schema with a queryType")
	}
	return *a.Data.Schema, nil
}

// definition is the type, with all names as rename has them.
func (t typeAnswer) definition(rename func(string) string) *ast.Definition {
	d := &ast.Definition{Kind: t.Kind, Name: rename(t.Name)}
	for _, f := range slices.Concat(t.Fields, t.InputFields) {
		defined := &ast.FieldDefinition{Name: f.Name, Type: f.Type.definition(rename), DefaultValue: f.value()}
		for _, a := range f.Args {
			defined.Arguments = append(defined.Arguments,
				&ast.ArgumentDefinition{Name: a.Name, Type: a.Type.definition(rename), DefaultValue: a.value()})
		}
		d.Fields = append(d.Fields, defined)
	}
	for _, i := range t.Interfaces {
		d.Interfaces = append(d.Interfaces, rename(i.Name))
	}
	if t.Kind == ast.Union {
		for _, p := range t.PossibleTypes {
			d.Types = append(d.Types, rename(p.Name))
		}
	}
	for _, v := range t.EnumValues {
		d.EnumValues = append(d.EnumValues, &ast.EnumValueDefinition{Name: v.Name})
	}
	return d
}

func (r reference) definition(rename func(string) string) *ast.Type {
	switch {
	case r.OfType == nil:
		return ast.NamedType(rename(r.Name), nil)
	case r.Kind == "NON_NULL":
		t := r.OfType.definition(rename)
		t.NonNull = true
		return t
	default:
		return ast.ListType(r.OfType.definition(rename), nil)
	}
}

// value is the default as SDL writes it; nil where there is none.
func (f field) value() *ast.Value {
	if f.DefaultValue == nil {
		return nil
	}
	return &ast.Value{Kind: ast.EnumValue, Raw: *f.DefaultValue} // it comes as it is to be printed
}
