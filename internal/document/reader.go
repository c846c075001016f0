package document

import (
	"errors"
	"math"
	"regexp"
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

const (
	// maxBytes is about how much memory the documents may take that a Reader
	// remembers, and tokenBytes is what each of their tokens takes in it.
	maxBytes   = 32 << 20
	tokenBytes = 230
	// maxSteps bounds the work that a document makes by its fragments: how many
	// selections the validation comes by, and how many are compared.
	maxSteps = 50_000
	// stepBytes is how much of a value within others is a step: an error quotes the
	// whole of it, and so may one of each that it is in.
	stepBytes = 256
	// maxErrors is how many errors of a document are told, and maxMessage how many
	// bytes of each: names in it are the client's.
	maxErrors  = 10
	maxMessage = 500
	// maxSuggest is how long a document may be for names to be suggested: to look for
	// them takes as long as its names are, times the schema's.
	maxSuggest = 20_000
)

// Kind says why a document is refused.
type Kind int

// The kinds of refusals.
const (
	NotParsed  Kind = iota // it is not GraphQL
	Invalid                // the schema does not know it
	TooComplex             // it is too much to be looked at
)

// Refusal is why a document is not executed. It has one error at least.
type Refusal struct {
	Kind   Kind
	Errors gqlerror.List
}

func refuse(kind Kind, format string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Errors: gqlerror.List{gqlerror.Errorf(format, args...)}}
}

// Document is one that is valid.
type Document struct {
	*ast.QueryDocument

	bytes uint32 // that it takes, about
	sizes sizes
}

// Reader reads documents, and remembers those that it read last. It is safe for
// concurrent use.
type Reader struct {
	schema    *ast.Schema
	maxTokens int
	suggest   bool
	read      *otter.Cache[string, *Document]
}

// NewReader returns a reader for the schema, of documents of that many lexical tokens
// at most; 0 is no limit. Its errors suggest names of the schema where suggest is set.
func NewReader(schema *ast.Schema, maxTokens int, suggest bool) *Reader {
	return &Reader{
		schema: schema, maxTokens: maxTokens, suggest: suggest,
		read: otter.Must(&otter.Options[string, *Document]{
			MaximumWeight: maxBytes,
			Weigher:       func(_ string, d *Document) uint32 { return d.bytes },
		}),
	}
}

// Read returns the document of that text, or why there is none. The number of tokens
// of one that is trusted is not limited.
func (r *Reader) Read(text string, trusted bool) (*Document, *Refusal) {
	if d, ok := r.read.GetIfPresent(text); ok {
		return d, nil
	}
	most := math.MaxInt
	if r.maxTokens > 0 && !trusted {
		most = r.maxTokens
	}
	tokens := count(text, most)
	if tokens > most {
		return nil, refuse(TooComplex,
			"The document has more than %d tokens, which is the limit: ask for less, or in several operations.", most)
	}
	parsed, err := parser.ParseQuery(&ast.Source{Input: text})
	if err != nil {
		return nil, &Refusal{Kind: NotParsed, Errors: told(gqlerror.List{located(err)})}
	}
	if refusal := r.refusal(parsed, len(text) <= maxSuggest); refusal != nil {
		return nil, refusal
	}
	bytes := min(len(text)+tokens*tokenBytes, maxBytes)
	d := &Document{QueryDocument: parsed, bytes: uint32(bytes)} //nolint:gosec // within maxBytes
	r.read.Set(text, d)
	return d, nil
}

// located is the parser's error, which has its place.
func located(err error) *gqlerror.Error {
	if e := (*gqlerror.Error)(nil); errors.As(err, &e) {
		return e
	}
	return gqlerror.Errorf("The document could not be read.")
}

// literal matches a value of the document's that an error of the parser's quotes, with
// what it is introduced by.
var literal = regexp.MustCompile(`(?s)( value: | found |Unexpected )((?:String |BlockString |Int |Float )?)(?:"|[\[{]..|[-0-9]).*`)

// told is as much of the errors as a client is told. Names are quoted, values are not:
// they may be secrets, which should have been variables, and errors end up in logs.
func told(errs gqlerror.List) gqlerror.List {
	errs = errs[:min(len(errs), maxErrors)]
	for _, err := range errs {
		err.Message = literal.ReplaceAllString(err.Message, "$1$2…")
		if len(err.Message) > maxMessage {
			err.Message = strings.ToValidUTF8(err.Message[:maxMessage], "") + "…"
		}
	}
	return errs
}

// count returns how many tokens the text has, as far as most and one more, comments
// among them, up to the first thing that is none.
func count(text string, most int) int {
	lex := lexer.New(&ast.Source{Input: text})
	for n := 0; ; n++ {
		token, err := lex.ReadToken()
		if n > most || err != nil || token.Kind == lexer.EOF {
			return n
		}
	}
}

// refusal is what is wrong with the document.
func (r *Reader) refusal(d *ast.QueryDocument, short bool) *Refusal {
	if len(d.Operations) == 0 {
		return refuse(Invalid, "The document has no operation.")
	}
	if !walkable(d) {
		return refuse(TooComplex,
			"The fragments of the document are spread too often, or its values nest too deep: write them out, or ask in several documents.")
	}
	errs := validator.ValidateWithRules(r.schema, d, newRules(false))
	if len(errs) > 0 {
		if r.suggest && short && len(errs) <= maxErrors {
			errs = validator.ValidateWithRules(r.schema, d, newRules(true))
		}
		return &Refusal{Kind: Invalid, Errors: told(errs)}
	}
	conflict, whole := findConflict(r.schema, d)
	switch {
	case conflict != nil:
		return &Refusal{Kind: Invalid, Errors: gqlerror.List{conflict}}
	case !whole:
		return refuse(TooComplex,
			"The document selects the same fields too often: ask for each once, or in several documents.")
	}
	return nil
}

// newRules returns the rules of validation (GraphQL, section 5) but the one that
// findConflict checks, in time that does not grow with the square of the document.
func newRules(suggest bool) *rules.Rules {
	all := rules.NewDefaultRules()
	all.RemoveRule(rules.OverlappingFieldsCanBeMergedRule.Name)
	if !suggest {
		for _, swap := range []struct{ from, to validator.Rule }{
			{rules.FieldsOnCorrectTypeRule, rules.FieldsOnCorrectTypeRuleWithoutSuggestions},
			{rules.KnownArgumentNamesRule, rules.KnownArgumentNamesRuleWithoutSuggestions},
			{rules.KnownTypeNamesRule, rules.KnownTypeNamesRuleWithoutSuggestions},
			{rules.ScalarLeafsRule, rules.ScalarLeafsRuleWithoutSuggestions},
			{rules.ValuesOfCorrectTypeRule, rules.ValuesOfCorrectTypeRuleWithoutSuggestions},
		} {
			all.RemoveRule(swap.from.Name)
			all.AddRule(swap.to.Name, swap.to.RuleFunc)
		}
	}
	all.AddRule("Literals", literals)
	return all
}

// literals is a rule for what the parser's own lets pass: integers that are no Int
// (GraphQL, section 3.5.1), and the empty object where none belongs (section 5.6.1).
func literals(observers *validator.Events, addError validator.AddErrFunc) {
	observers.OnValue(func(_ *validator.Walker, value *ast.Value) {
		d := value.Definition
		switch {
		case d == nil:
		case value.Kind == ast.IntValue && d.Name == "Int" && !isInt32(value.Raw):
			addError(validator.Message("An Int has 32 bits."), at(value))
		case value.Kind == ast.ObjectValue && (d.BuiltIn || d.Kind == ast.Enum):
			addError(validator.Message("Expected value of type %q, found an object.", d.Name), at(value))
		}
	})
}

func at(value *ast.Value) validator.ErrorOption {
	return func(err *gqlerror.Error) {
		err.Locations = []gqlerror.Location{place(value.Position)}
	}
}

// walkable reports whether the validation, which follows every definition's fragments
// anew, will be done soon.
func walkable(d *ast.QueryDocument) bool {
	w := walker{fragments: make(map[string]*ast.FragmentDefinition, len(d.Fragments)), left: maxSteps}
	for _, f := range d.Fragments {
		w.fragments[f.Name] = f
	}
	for _, o := range d.Operations {
		w.seen = make(map[string]bool)
		for _, v := range o.VariableDefinitions {
			if v.DefaultValue != nil {
				w.value(v.DefaultValue)
			}
			w.directives(v.Directives)
		}
		w.directives(o.Directives)
		w.set(o.SelectionSet)
	}
	for _, f := range d.Fragments {
		w.seen = make(map[string]bool)
		w.directives(f.Directives)
		w.set(f.SelectionSet)
	}
	return w.left > 0
}

type walker struct {
	fragments map[string]*ast.FragmentDefinition
	seen      map[string]bool // on the way from the definition
	left      int
}

func (w *walker) set(set ast.SelectionSet) {
	for _, selection := range set {
		if w.left--; w.left <= 0 {
			return
		}
		switch s := selection.(type) {
		case *ast.Field:
			w.arguments(s.Arguments)
			w.directives(s.Directives)
			w.set(s.SelectionSet)
		case *ast.InlineFragment:
			w.directives(s.Directives)
			w.set(s.SelectionSet)
		case *ast.FragmentSpread:
			w.directives(s.Directives)
			if f := w.fragments[s.Name]; f != nil && !w.seen[s.Name] {
				w.seen[s.Name] = true
				w.set(f.SelectionSet)
			}
		}
	}
}

func (w *walker) directives(directives ast.DirectiveList) {
	for _, d := range directives {
		w.arguments(d.Arguments)
	}
}

func (w *walker) arguments(arguments ast.ArgumentList) {
	for _, a := range arguments {
		w.value(a.Value)
	}
}

// value returns how many bytes a value has, about.
func (w *walker) value(value *ast.Value) int {
	bytes := len(value.Raw) + 1
	for _, child := range value.Children {
		bytes += len(child.Name) + w.value(child.Value)
	}
	w.left -= bytes / stepBytes
	return bytes
}
