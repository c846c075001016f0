package devrollup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/graph-gophers/graphql-go"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"galaxygate/internal/secret"
)

// Identity is what an access token says of its bearer.
type Identity struct {
	Subject  string // the identity URN of someone in the directory
	ClientID string // the application that the token was issued to
}

// GalaxyConfig is what a Galaxy is made of.
type GalaxyConfig struct {
	// APIKey is the one key that is taken, and ClientID the application that it
	// belongs to: a token of another one is refused. Required.
	APIKey   secret.Text
	ClientID string
	// Verify checks an access token. Any error refuses it. Required.
	Verify func(ctx context.Context, accessToken string) (Identity, error)
	// OnRevoke is told that a person took an application's authorization back
	// by the mutation; nil, nobody is.
	OnRevoke func(person, clientID string)
	// Origin is where Galaxy answers, for the addresses of pictures.
	Origin string
	// Directory holds the people; nil, Alice and Bob.
	Directory *Directory
	// Now is the clock; nil, time.Now.
	Now func() time.Time
}

// Galaxy is the GraphQL API alone, for use beside any provider. Safe for
// concurrent use.
type Galaxy struct {
	*Controls
	config GalaxyConfig
	schema *graphql.Schema

	mu     sync.Mutex
	recent []time.Time // the requests of the last minute, oldest first
}

// NewGalaxy returns a Galaxy, or an error where the configuration is
// incomplete.
func NewGalaxy(config GalaxyConfig) (*Galaxy, error) { return newGalaxy(config, newControls()) }

func newGalaxy(config GalaxyConfig, controls *Controls) (*Galaxy, error) {
	if config.APIKey.IsZero() || config.ClientID == "" || config.Verify == nil {
		return nil, errors.New("API key, client ID and Verify are required")
	}
	if config.Directory == nil {
		config.Directory = NewDirectory()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	sdl, err := assets.ReadFile("assets/galaxy.graphqls")
	if err != nil {
		return nil, fmt.Errorf("read Galaxy's schema: %w", err)
	}
	g := &Galaxy{Controls: controls, config: config}
	g.schema, err = graphql.ParseSchema(string(sdl), &resolver{g}, graphql.UseFieldResolvers())
	if err != nil {
		return nil, fmt.Errorf("parse Galaxy's schema: %w", err)
	}
	return g, nil
}

// Directory returns the people, to look at and to change.
func (g *Galaxy) Directory() *Directory { return g.config.Directory }

// Handler returns POST /graphql and the pictures.
func (g *Galaxy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /graphql", g.endpoint(GalaxyAPI, nil, g.serveGraphQL))
	mux.HandleFunc("GET /images/{name}", serveImage)
	return mux
}

// galaxyError is an error with the status that Galaxy puts into its extensions.
type galaxyError struct {
	status  int
	message string
}

// Error implements error.
func (e *galaxyError) Error() string { return e.message }

// Extensions is what graphql-go puts into the response.
func (e *galaxyError) Extensions() map[string]any {
	return map[string]any{"http": map[string]any{"status": e.status}}
}

type identityKey struct{}

func (g *Galaxy) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	if wait := g.overBudget(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		http.Error(w, "Too Many Requests", http.StatusTooManyRequests)
		return
	}
	var request struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/json" {
		http.Error(w, "Unsupported Media Type", http.StatusUnsupportedMediaType)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Query == "" {
		writeErrors(w, &galaxyError{http.StatusBadRequest, "Must provide query string."})
		return
	}
	ctx := r.Context()
	if !introspects(request.Query) {
		if err := g.checkKey(r.Header.Get("X-GALAXY-KEY")); err != nil {
			writeErrors(w, err)
			return
		}
		identity, err := g.authenticate(r)
		if err != nil {
			g.refuseToken(w, err)
			return
		}
		ctx = context.WithValue(ctx, identityKey{}, identity)
	}
	response := g.schema.Exec(ctx, request.Query, request.OperationName, request.Variables)
	writeJSON(w, responseStatus(response), response)
}

// introspects reports whether the document asks about the schema alone. The real
// Galaxy checks key and token field by field, and so answers that to anybody.
func introspects(query string) bool {
	document, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return false
	}
	for _, operation := range document.Operations {
		for _, selection := range operation.SelectionSet {
			if field, ok := selection.(*ast.Field); !ok || !strings.HasPrefix(field.Name, "__") {
				return false
			}
		}
	}
	return true
}

func (g *Galaxy) checkKey(key string) *galaxyError {
	if key == "" {
		return &galaxyError{http.StatusBadRequest, "No API Key provided."}
	}
	if !g.config.APIKey.Equal(secret.New(key)) {
		return &galaxyError{http.StatusUnauthorized, "Invalid API key provided."}
	}
	return nil
}

func (g *Galaxy) authenticate(r *http.Request) (Identity, *galaxyError) {
	token := bearer(r)
	if token == "" {
		return Identity{}, &galaxyError{http.StatusUnauthorized, "You are not authenticated!"}
	}
	identity, err := g.config.Verify(r.Context(), token)
	if err != nil {
		return Identity{}, &galaxyError{http.StatusUnauthorized, "You are not authenticated!"}
	}
	if identity.ClientID != g.config.ClientID {
		return Identity{}, &galaxyError{
			http.StatusUnauthorized, "Client ID in API key doesn't match with the one in JWT.",
		}
	}
	return identity, nil
}

func (g *Galaxy) refuseToken(w http.ResponseWriter, err *galaxyError) {
	switch g.Switches().UnauthorizedForm {
	case UnauthorizedGraphQL200:
		writeJSON(w, http.StatusOK, errorBody(err.message, err.Extensions()))
	case UnauthorizedHTTP401:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case UnauthorizedHTTP500:
		writeJSON(w, http.StatusInternalServerError, errorBody("Unexpected error.", nil))
	default:
		writeErrors(w, err)
	}
}

func writeErrors(w http.ResponseWriter, err *galaxyError) {
	writeJSON(w, err.status, errorBody(err.message, err.Extensions()))
}

func errorBody(message string, extensions map[string]any) map[string]any {
	e := map[string]any{"message": message}
	if extensions != nil {
		e["extensions"] = extensions
	}
	return map[string]any{"errors": []any{e}}
}

// responseStatus is the highest status that an error asks for, as with GraphQL
// Yoga; 400 where the document itself was refused.
func responseStatus(response *graphql.Response) int {
	status := http.StatusOK
	if response.Data == nil {
		status = http.StatusBadRequest
	}
	for _, err := range response.Errors {
		var refused *galaxyError
		if errors.As(err.ResolverError, &refused) {
			status = max(status, refused.status)
		}
	}
	return status
}

// overBudget returns how long the caller must wait, or 0.
func (g *Galaxy) overBudget() time.Duration {
	limit := g.Switches().GalaxyPerMinute
	if limit <= 0 {
		return 0
	}
	now := g.config.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recent = slices.DeleteFunc(g.recent, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(g.recent) >= limit {
		return g.recent[0].Add(time.Minute).Sub(now)
	}
	g.recent = append(g.recent, now)
	return 0
}
