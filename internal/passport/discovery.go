package passport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// The methods of client authentication that the client knows (OpenID Connect
// Core 1.0, section 9).
const (
	clientSecretBasic = "client_secret_basic"
	clientSecretPost  = "client_secret_post"
)

// provider is what discovery told.
type provider struct {
	endpoint   oauth2.Endpoint
	keys       oidc.KeySet
	keysURL    string
	authMethod string   // at the token endpoint
	algorithms []string // of ID tokens

	userInfoURL        string // empty: the provider has none
	userInfoAlgorithms []string

	revocationURL    string // empty: the provider has none
	revocationMethod string // empty: none that the client knows

	logoutTokens bool // whether it says that it sends some; they are taken in any case
}

// metadata is what the client reads of the discovery document beside what
// go-oidc does (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
type metadata struct {
	JWKSURI            string   `json:"jwks_uri"`
	RevocationEndpoint string   `json:"revocation_endpoint"`
	TokenAuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	RevocationMethods  []string `json:"revocation_endpoint_auth_methods_supported"`
	IDTokenAlgorithms  []string `json:"id_token_signing_alg_values_supported"`
	UserInfoAlgorithms []string `json:"userinfo_signing_alg_values_supported"`
	LogoutTokens       bool     `json:"backchannel_logout_supported"`
}

func (c *Client) discover(ctx context.Context) (*provider, error) {
	ctx = oidc.ClientContext(ctx, c.client(documents{base: c.through("discovery"), now: c.cfg.Now}))
	found, err := oidc.NewProvider(ctx, c.cfg.Issuer)
	if err != nil {
		return nil, documentFailure(err, "discovery_malformed")
	}
	var m metadata
	if err := found.Claims(&m); err != nil {
		return nil, later("discovery_malformed")
	}
	if err := c.checkEndpoints(
		endpoint{"authorization_endpoint", found.Endpoint().AuthURL, true},
		endpoint{"token_endpoint", found.Endpoint().TokenURL, true},
		endpoint{"jwks_uri", m.JWKSURI, true},
		endpoint{"userinfo_endpoint", found.UserInfoEndpoint(), false},
		endpoint{"revocation_endpoint", m.RevocationEndpoint, false},
	); err != nil {
		return nil, err
	}
	p := &provider{
		endpoint:           found.Endpoint(),
		keys:               oidc.NewRemoteKeySet(c.keysContext(ctx), m.JWKSURI),
		keysURL:            m.JWKSURI,
		authMethod:         authMethod(m.TokenAuthMethods),
		algorithms:         trusted(m.IDTokenAlgorithms),
		userInfoURL:        found.UserInfoEndpoint(),
		userInfoAlgorithms: trusted(m.IDTokenAlgorithms),
		revocationURL:      m.RevocationEndpoint,
		logoutTokens:       m.LogoutTokens,
	}
	if len(m.UserInfoAlgorithms) > 0 {
		p.userInfoAlgorithms = trusted(m.UserInfoAlgorithms)
	}
	if p.authMethod == "" {
		return nil, operatorFault("client_auth_unsupported",
			"the token endpoint takes neither client_secret_basic nor client_secret_post")
	}
	p.revocationMethod = p.authMethod
	if len(m.RevocationMethods) > 0 {
		p.revocationMethod = authMethod(m.RevocationMethods)
	}
	// Left to itself x/oauth2 would find the style out by trying, and send a code
	// twice that can be used once.
	p.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.authMethod == clientSecretPost {
		p.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return p, nil
}

// The provider's keys are read again for every token that those at hand do not
// verify. Anyone may send a logout token, so that is bounded: a key that is new
// is found all the same, whoever's token it was that had them read.
const (
	keysInterval = 5 * time.Second
	keysBurst    = 10
)

// keysContext returns a context under which go-oidc reads the provider's keys.
func (c *Client) keysContext(ctx context.Context) context.Context {
	limiter := rate.NewLimiter(rate.Every(keysInterval), keysBurst)
	return oidc.ClientContext(ctx, c.client(seldom{documents{base: c.through("keys"), now: c.cfg.Now}, limiter}))
}

// seldom is a transport that fails requests beyond its limit, without sending
// them.
type seldom struct {
	documents
	limiter *rate.Limiter
}

// RoundTrip implements http.RoundTripper.
func (s seldom) RoundTrip(req *http.Request) (*http.Response, error) {
	if !s.limiter.AllowN(s.now(), 1) {
		f := later("keys_limited")
		f.RetryAfter = keysInterval
		return nil, f
	}
	return s.documents.RoundTrip(req)
}

// documentFailure returns why discovery or keys could not be read: malformed
// where they came and made no sense.
func documentFailure(err error, malformed string) *grant.Failure {
	var f *grant.Failure
	var mismatch *oidc.IssuerMismatchError
	var unreachable *url.Error
	switch {
	case errors.As(err, &mismatch):
		return operatorFault("issuer_mismatch", "the provider calls itself "+secret.Scrub(mismatch.Discovered))
	case errors.As(err, &f), errors.As(err, &unreachable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return asFailure(err)
	}
	return later(malformed)
}

// endpoint is one of the discovery document's.
type endpoint struct {
	name, url string
	required  bool
}

// checkEndpoints refuses a document that lacks a required endpoint, or that
// sends secrets in the clear although the issuer does not.
func (c *Client) checkEndpoints(endpoints ...endpoint) error {
	encrypted := strings.HasPrefix(c.cfg.Issuer, "https:")
	for _, e := range endpoints {
		if e.url == "" && !e.required {
			continue
		}
		u, err := url.Parse(e.url)
		if err != nil || u.Host == "" {
			return operatorFault("endpoint_missing", "the discovery document has no usable "+e.name)
		}
		if encrypted && u.Scheme != "https" {
			return operatorFault("endpoint_insecure", "the "+e.name+" is not https")
		}
	}
	return nil
}

// authMethod chooses how the client proves itself, or "" where it cannot. The
// standard's default is client_secret_basic.
func authMethod(supported []string) string {
	switch {
	case len(supported) == 0, slices.Contains(supported, clientSecretBasic):
		return clientSecretBasic
	case slices.Contains(supported, clientSecretPost):
		return clientSecretPost
	}
	return ""
}

// trusted keeps the algorithms whose signatures prove something: neither "none"
// nor those keyed by the client secret. RS256 is the standard's default.
func trusted(algorithms []string) []string {
	asymmetric := []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
		oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
	kept := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(asymmetric, a) })
	if len(kept) == 0 {
		return []string{oidc.RS256}
	}
	return kept
}

// documents is a transport for discovery and keys: what is not 200 is an error,
// so that go-oidc never comes to quote a body in one of its own.
type documents struct {
	base http.RoundTripper
	now  func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (d documents) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, statusFailure(resp, d.now())
	}
	return resp, nil
}
