package persisted

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// Manifest is a set of known documents. It does not change.
type Manifest struct {
	byID    map[string]string
	byHash  map[Hash]string
	invalid []Invalid
}

// Invalid is a document that the schema does not allow: who runs it is told so.
type Invalid struct {
	ID           string
	Rule         string // of the validation, the first that it breaks
	Line, Column int
}

// String names the document and the place, and quotes nothing of it.
func (i Invalid) String() string {
	return fmt.Sprintf("%s (%s, line %d, column %d)", i.ID, i.Rule, i.Line, i.Column)
}

// Find returns the text of the document with that ID: as the manifest writes it, or
// the SHA-256 of the text, with "sha256:" before it or without.
func (m *Manifest) Find(id string) (text string, ok bool) {
	if text, ok = m.byID[id]; ok {
		return text, true
	}
	hash, ok := ParseHash(strings.TrimPrefix(id, hashPrefix))
	if !ok {
		return "", false
	}
	text, ok = m.byHash[hash]
	return text, ok
}

// Knows reports whether the text is, to the byte, that of a document.
func (m *Manifest) Knows(text string) bool {
	_, ok := m.byHash[HashOf(text)]
	return ok
}

// Len is how many IDs there are.
func (m *Manifest) Len() int { return len(m.byID) }

// Invalid are the documents that the schema does not allow, in the order of the file.
func (m *Manifest) Invalid() []Invalid { return m.invalid }

// maxProblems is how many problems of one file are told.
const maxProblems = 20

// Parse reads a file of known operations: Apollo's persisted query manifest, or an
// object from IDs to texts, as Relay's compiler and GraphQL Code Generator write it.
// Its error tells every problem, with the ID, and quotes no document. What the
// schema does not allow is no problem, see Manifest.Invalid; without a schema that is
// not looked at.
func Parse(content []byte, schema *ast.Schema) (*Manifest, error) {
	operations, problems := read(content)
	if len(problems) == 0 && len(operations) == 0 {
		problems = append(problems, errors.New("there are no operations in it"))
	}
	m := &Manifest{byID: make(map[string]string, len(operations)), byHash: make(map[Hash]string, len(operations))}
	for _, o := range operations {
		if err := m.add(o, schema); err != nil {
			problems = append(problems, fmt.Errorf("%s %w", o.name(), err))
		}
	}
	for _, o := range operations {
		if hash, isHash := ParseHash(o.id); isHash && m.byID[o.id] == o.text {
			if text, ok := m.byHash[hash]; ok && text != o.text {
				problems = append(problems, fmt.Errorf("%s has the SHA-256 of another one's text for an ID", o.name()))
			}
		}
	}
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], fmt.Errorf("and %d problems more", more))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return m, nil
}

// operation is one of a file.
type operation struct {
	position int // counted from 1
	id       string
	text     string
}

// idForm is what an ID may be: the characters of the specification's, and those
// of Base64, of paths and of versions. So it can be shown, and is no document.
var idForm = regexp.MustCompile(`^[A-Za-z0-9._~:/+=@-]{1,256}$`)

// name is how a problem names the operation.
func (o operation) name() string { return named(o.id, o.position) }

func named(id string, position int) string {
	if idForm.MatchString(id) {
		return fmt.Sprintf("operation %q", id)
	}
	return fmt.Sprintf("operation %d", position)
}

// add takes the operation in. Its error goes after the operation's name.
func (m *Manifest) add(o operation, schema *ast.Schema) error {
	switch known, twice := m.byID[o.id]; {
	case !idForm.MatchString(o.id):
		return errors.New("has no ID of 1 to 256 letters, digits and ._~:/+=@-")
	case twice && known == o.text:
		return nil
	case twice:
		return errors.New("is there twice, with different texts")
	case strings.TrimSpace(o.text) == "":
		return errors.New("is empty")
	}
	hash := HashOf(o.text)
	if strings.HasPrefix(o.id, hashPrefix) {
		if claimed, ok := ParsePrefixed(o.id); !ok || claimed != hash {
			return errors.New("has an ID that is not the SHA-256 of its text")
		}
	}
	if err := m.check(o, schema); err != nil {
		return err
	}
	m.byID[o.id], m.byHash[hash] = o.text, o.text
	return nil
}

// check parses the text, and remembers where the schema does not allow it.
func (m *Manifest) check(o operation, schema *ast.Schema) error {
	document, err := parser.ParseQuery(&ast.Source{Input: o.text})
	if located := (*gqlerror.Error)(nil); errors.As(err, &located) {
		line, column := place(located)
		return fmt.Errorf("cannot be parsed as GraphQL: line %d, column %d of it", line, column)
	}
	if err != nil {
		return errors.New("cannot be parsed as GraphQL")
	}
	if len(document.Operations) == 0 {
		return errors.New("has no query, mutation or subscription in it")
	}
	if schema == nil {
		return nil
	}
	if errs := validator.ValidateWithRules(schema, document, nil); len(errs) > 0 {
		line, column := place(errs[0])
		m.invalid = append(m.invalid, Invalid{ID: o.id, Rule: errs[0].Rule, Line: line, Column: column})
	}
	return nil
}

func place(err *gqlerror.Error) (line, column int) {
	if len(err.Locations) == 0 {
		return 1, 1
	}
	return err.Locations[0].Line, err.Locations[0].Column
}
