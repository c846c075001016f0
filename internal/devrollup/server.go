package devrollup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"galaxygate/internal/secret"
)

//go:embed assets
var assets embed.FS

// Config is what a Server is made of.
type Config struct {
	// Issuer is the origin that the server will answer at, such as
	// http://127.0.0.1:41321, without a trailing slash. Required.
	Issuer string
	// ClientID, ClientSecret and RedirectURIs are the one application that
	// Passport knows; redirect URIs are compared exactly. Required.
	ClientID     string
	ClientSecret secret.Text
	RedirectURIs []string
	// APIKey is that application's key for Galaxy. Required.
	APIKey secret.Text
	// AppName is what the consent page calls the application; empty, ClientID.
	AppName string
	// Directory holds the people; nil, Alice and Bob.
	Directory *Directory
	// Now is the clock; nil, time.Now.
	Now func() time.Time
}

// Server is Passport and Galaxy at one origin. Safe for concurrent use.
type Server struct {
	*Controls
	config    Config
	directory *Directory
	galaxy    *Galaxy
	key       *ecdsa.PrivateKey
	keyID     string
	pages     *template.Template
	now       func() time.Time

	mu       sync.Mutex
	visitors map[string]string         // sign-in cookie → identity URN
	consents map[string]consent        // identity URN → what the application may see
	codes    map[string]code           // unspent codes
	access   map[string]*authorization // "jti" of live access tokens
	refresh  map[string]*refreshToken  // "jti" of all refresh tokens
	order    []*authorization          // the refreshable ones, oldest first
}

// New returns a Server, or an error where the configuration is incomplete. It
// starts nothing: serve its Handler.
func New(config Config) (*Server, error) {
	if config.Issuer == "" || config.ClientID == "" || config.ClientSecret.IsZero() ||
		len(config.RedirectURIs) == 0 || config.APIKey.IsZero() {
		return nil, errors.New("issuer, client ID, client secret, redirect URIs and API key are required")
	}
	if config.Directory == nil {
		config.Directory = NewDirectory()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.AppName == "" {
		config.AppName = config.ClientID
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	pages, err := template.New("").Funcs(template.FuncMap{"inc": func(i int) int { return i + 1 }}).
		ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	s := &Server{
		Controls: newControls(), config: config, directory: config.Directory,
		key: key, keyID: randomText(8), pages: pages, now: config.Now,
		visitors: map[string]string{}, consents: map[string]consent{}, codes: map[string]code{},
		access: map[string]*authorization{}, refresh: map[string]*refreshToken{},
	}
	s.galaxy, err = newGalaxy(GalaxyConfig{
		APIKey: config.APIKey, ClientID: config.ClientID, Origin: config.Issuer,
		Verify: s.verifyForGalaxy, OnRevoke: s.forget, Directory: config.Directory, Now: config.Now,
	}, s.Controls)
	return s, err
}

// Directory returns the people, to look at and to change.
func (s *Server) Directory() *Directory { return s.directory }

// Handler returns everything that the server answers; see the package's comment.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/openid-configuration", s.endpoint(Discovery, nil, s.serveDiscovery))
	mux.Handle("GET /.well-known/jwks.json", s.endpoint(JWKS, nil, s.serveJWKS))
	authorizePosts := func(*http.Request) string { return string(Authorize) + ":post" }
	mux.Handle("GET /authorize", s.endpoint(Authorize, nil, s.serveAuthorize))
	mux.Handle("POST /authorize", http.NewCrossOriginProtection().Handler(
		s.endpoint(Authorize, authorizePosts, s.serveAuthorize)))
	mux.Handle("POST /token", s.endpoint(Token, tokenCounter, s.serveToken))
	mux.Handle("GET /userinfo", s.endpoint(Userinfo, nil, s.serveUserinfo))
	mux.Handle("POST /revoke", s.endpoint(Revoke, nil, s.serveRevoke))
	mux.HandleFunc("GET /assets/style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, assets, "assets/style.css")
	})
	mux.Handle("/graphql", s.galaxy.Handler())
	mux.Handle("/images/", s.galaxy.Handler())
	mux.Handle("/dev/", s.controlHandler())
	mux.Handle("GET /{$}", http.RedirectHandler("/dev/", http.StatusSeeOther))
	return mux
}

func (s *Server) verifyForGalaxy(_ context.Context, accessToken string) (Identity, error) {
	live, err := s.verifyAccess(accessToken)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Subject: live.person, ClientID: s.config.ClientID}, nil
}

// randomText returns n random bytes as unpadded base64url.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return encodeBytes(b)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
