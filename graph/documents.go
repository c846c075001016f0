package graph

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/internal/errcode"
	"galaxygate/internal/persisted"
)

// Documents are what clients may name instead of sending it. The zero value knows
// none, and refuses names.
type Documents struct {
	// Trusted are the only operations that run; nil: any may.
	Trusted *persisted.File
	// Automatic remembers operations that clients have sent, where any may run.
	Automatic *persisted.Automatic
	// Observe is told how a request that names an operation, or one while only
	// trusted ones run, ended: the kind is "trusted" or "automatic", the result "hit",
	// "miss", "stored" or "refused". It may be nil.
	Observe func(kind, result string)
}

const (
	kindTrusted   = "trusted"
	kindAutomatic = "automatic"

	resultHit     = "hit"
	resultMiss    = "miss"
	resultStored  = "stored"
	resultRefused = "refused"
)

// The marks that documents leave in an operation's statistics, the one place that
// gqlgen hands from the parameters to everything after them.
const (
	trustedMark = "galaxygate.trusted"
	// registeredMark is left at what is to be remembered once it is run.
	registeredMark = "galaxygate.registered"
)

// Trusted reports whether the operation under way is from the trusted documents:
// its text is the operator's, whatever its variables. It is known from the moment
// that the parameters are resolved, before the document is parsed.
func Trusted(ctx context.Context) bool { return marked(ctx, trustedMark) }

func mark(ctx context.Context, name string) {
	graphql.GetOperationContext(ctx).Stats.SetExtension(name, true)
}

func marked(ctx context.Context, name string) bool {
	return graphql.HasOperationContext(ctx) &&
		graphql.GetOperationContext(ctx).Stats.GetExtension(name) != nil
}

// byName puts the text in the place of its name, by whichever transport that
// came: extensions.persistedQuery as Apollo's clients send it, or documentId
// (GraphQL over HTTP, appendix A), which transports put among the extensions.
//
// No error quotes a name or a text.
type byName struct{ Documents }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationInterceptor
} = byName{}

// ExtensionName implements graphql.HandlerExtension.
func (byName) ExtensionName() string { return "PersistedDocuments" }

// Validate implements graphql.HandlerExtension.
func (byName) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters implements graphql.OperationParameterMutator.
func (p byName) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if strings.TrimSpace(params.Query) == "" {
		params.Query = ""
	}
	name, err := readName(params.Extensions)
	switch {
	case err != nil:
		return err
	case p.Trusted != nil:
		return p.onlyTrusted(ctx, params, name)
	case name == documentName{}:
		return nil
	default:
		return p.automatic(ctx, params, name)
	}
}

// InterceptOperation implements graphql.OperationInterceptor. What a client has
// registered is remembered only here, where it is valid, within the limits, and
// about to be run.
func (p byName) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if marked(ctx, registeredMark) && p.Automatic.Add(graphql.GetOperationContext(ctx).RawQuery) {
		p.observe(kindAutomatic, resultStored)
	}
	return next(ctx)
}

// onlyTrusted lets nothing pass but trusted documents, by name or word for word.
func (p byName) onlyTrusted(ctx context.Context, params *graphql.RawParams, name documentName) *gqlerror.Error {
	manifest, query, unknown := p.Trusted.Manifest(), params.Query, false
	for _, id := range name.all() {
		text, ok := manifest.Find(id)
		switch {
		case !ok:
			unknown = true
		case query == "":
			query = text
		case query != text:
			return p.refuse(kindTrusted, differ())
		}
	}
	switch {
	case unknown && params.Query == "":
		p.observe(kindTrusted, resultMiss)
		return notFound()
	case !manifest.Knows(query):
		return p.refuse(kindTrusted, refuse(errcode.NotAllowed, "Only operations that the gateway knows are run here."))
	case unknown:
		return p.refuse(kindTrusted, differ())
	}
	params.Query = query
	mark(ctx, trustedMark)
	p.observe(kindTrusted, resultHit)
	return nil
}

// automatic finds what clients have registered, and notes what they register.
func (p byName) automatic(ctx context.Context, params *graphql.RawParams, name documentName) *gqlerror.Error {
	if p.Automatic == nil {
		return notSupported()
	}
	hash, err := name.digest()
	if err != nil {
		return p.refuse(kindAutomatic, err)
	}
	if params.Query != "" {
		if persisted.HashOf(params.Query) != hash {
			return p.refuse(kindAutomatic, differ())
		}
		mark(ctx, registeredMark)
		return nil
	}
	text, ok := p.Automatic.Find(hash)
	if !ok {
		p.observe(kindAutomatic, resultMiss)
		return notFound()
	}
	params.Query = text
	p.observe(kindAutomatic, resultHit)
	return nil
}

func (p byName) observe(kind, result string) {
	if p.Observe != nil {
		p.Observe(kind, result)
	}
}

func (p byName) refuse(kind string, err *gqlerror.Error) *gqlerror.Error {
	p.observe(kind, resultRefused)
	return err
}

// documentName is what a request calls its document, in one way or in both; empty
// is not in that way.
type documentName struct {
	id   string // documentId
	hash string // Apollo's sha256Hash, which of a trusted document is any ID of its
}

// readName returns how the request names its document.
func readName(extensions map[string]any) (documentName, *gqlerror.Error) {
	var name documentName
	switch id := extensions["documentId"].(type) {
	case nil:
	case string:
		name.id = id
	default:
		return name, refuse(errcode.BadUserInput, "The parameter documentId must be a string.")
	}
	malformed := refuse(errcode.BadUserInput, "The extension persistedQuery must be an object with a version and a sha256Hash.")
	switch apollo := extensions["persistedQuery"].(type) {
	case nil:
	case map[string]any:
		version, ok := number(apollo["version"])
		if !ok {
			return name, malformed
		}
		if version != 1 {
			return name, notSupported()
		}
		if name.hash, _ = apollo["sha256Hash"].(string); name.hash == "" {
			return name, malformed
		}
	default:
		return name, malformed
	}
	return name, nil
}

// number is a JSON number, however the transport has decoded it.
func number(value any) (float64, bool) {
	switch n := value.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}

// all is every name of the two.
func (n documentName) all() []string {
	return slices.DeleteFunc([]string{n.id, n.hash}, func(name string) bool { return name == "" })
}

// digest is the hash that the request names its document by. A document that is
// not trusted has no other name.
func (n documentName) digest() (hash persisted.Hash, _ *gqlerror.Error) {
	byHash, ok := persisted.ParseHash(n.hash)
	if n.hash != "" && !ok {
		return hash, refuse(errcode.BadUserInput, "The sha256Hash must be 64 hexadecimal digits.")
	}
	byID, ok := persisted.ParsePrefixed(n.id)
	switch {
	case n.id == "":
		return byHash, nil
	case !ok:
		return hash, notSupported()
	case n.hash != "" && byHash != byID:
		return hash, differ()
	}
	return byID, nil
}

// notFound is worded as Apollo's clients know it: they then send the text.
func notFound() *gqlerror.Error { return refuse(errcode.PersistedNotFound, "PersistedQueryNotFound") }

// notSupported is worded as Apollo's clients know it: they then send texts alone.
func notSupported() *gqlerror.Error {
	return refuse(errcode.PersistedNotSupported, "PersistedQueryNotSupported")
}

func differ() *gqlerror.Error {
	return refuse(errcode.BadUserInput, "The document and what it is named by are not the same.")
}
