package devrollup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Switches change how the look-alikes behave. The zero value is Rollup as it is.
type Switches struct {
	// AccessTokenLife is how long the next access tokens live; 0 is an hour.
	AccessTokenLife Duration `json:"accessTokenLife"`
	// CodeLife is how long the next authorization codes live; 0 is 120 s.
	CodeLife Duration `json:"codeLife"`
	// KeptRefreshTokens is how many grants of one user stay refreshable, the
	// oldest being dropped; 0 is 10.
	KeptRefreshTokens int `json:"keptRefreshTokens"`
	// RotateRefreshTokens makes each refresh bring a new refresh token; to
	// present a used one ends every token of its family (RFC 9700, section
	// 4.14.2).
	RotateRefreshTokens bool `json:"rotateRefreshTokens"`
	// StandardErrors makes Passport's errors those of RFC 6749 and RFC 6750.
	StandardErrors bool `json:"standardErrors"`
	// EchoNonce puts the nonce into the ID token, as OpenID Connect demands.
	EchoNonce bool `json:"echoNonce"`
	// Revocation lists and serves a revocation endpoint (RFC 7009).
	Revocation bool `json:"revocation"`
	// Forgery makes Passport lie about who signed in.
	Forgery Forgery `json:"forgery"`

	// UnauthorizedForm is how Galaxy refuses a bad access token.
	UnauthorizedForm UnauthorizedForm `json:"unauthorizedForm"`
	// RefusedMutations are the mutations that Galaxy answers with 403 "You are
	// not authorized!".
	RefusedMutations []string `json:"refusedMutations"`
	// FailingFields are the fields that Galaxy answers with null and an error
	// while their siblings answer: a field of Query, or one such as
	// AccountProfile.title (failableFields).
	FailingFields []string `json:"failingFields"`
	// GalaxyPerMinute is how many requests a minute Galaxy takes; more are
	// answered with 429 and Retry-After. 0 is without limit; Rollup's is 10.
	GalaxyPerMinute int `json:"galaxyPerMinute"`

	// Faults strike before, or instead of, everything else.
	Faults map[Endpoint]Fault `json:"faults"`
}

// Endpoint names what a fault strikes.
type Endpoint string

// The endpoints. The part of a counter before its colon is one of them.
const (
	Discovery Endpoint = "discovery"
	JWKS      Endpoint = "jwks"
	Authorize Endpoint = "authorize"
	Token     Endpoint = "token"
	Userinfo  Endpoint = "userinfo"
	Revoke    Endpoint = "revoke"
	GalaxyAPI Endpoint = "galaxy"
)

// Fault is how calls of an endpoint fail. Delay comes first, then Hang, then
// Reset, then Status; with none of the last three the call is then answered.
type Fault struct {
	// Times is how many calls it strikes before it is gone; 0 is all.
	Times int `json:"times"`
	// Delay is waited before the call is looked at.
	Delay Duration `json:"delay"`
	// Hang holds the call until its client goes away, or until the switches
	// are set again without Hang here: then it goes on.
	Hang bool `json:"hang"`
	// Reset resets the connection.
	Reset bool `json:"reset"`
	// Status is answered, with Body.
	Status int `json:"status"`
	// Body is the answer's body; empty, one that fits the status: Rollup's JSON
	// for 500, a proxy's HTML for 502 to 504, a line of text else.
	Body string `json:"body"`
	// ContentType is Body's; empty, text/plain.
	ContentType string `json:"contentType"`
	// RetryAfter is the answer's Retry-After header; empty, none.
	RetryAfter string `json:"retryAfter"`
	// Late lets the call take effect and then loses its answer: a code or a
	// refresh token is spent, and its successor reaches nobody.
	Late bool `json:"late"`
}

// Forgery is a lie of Passport's that a client must notice.
type Forgery string

// The forgeries; the zero value is none. The first five concern the ID token.
const (
	ForgedIssuer          Forgery = "issuer"
	ForgedAudience        Forgery = "audience"
	ForgedSignature       Forgery = "signature"
	ForgedExpiry          Forgery = "expiry" // expired an hour ago
	ForgedNonce           Forgery = "nonce"
	ForgedUserinfoSubject Forgery = "userinfo_subject"
)

// UnauthorizedForm is a way in which Galaxy refuses an access token.
type UnauthorizedForm string

// The forms. The zero value is HTTP 401 with a GraphQL error that says 401 too.
const (
	UnauthorizedGraphQL    UnauthorizedForm = ""
	UnauthorizedGraphQL200 UnauthorizedForm = "graphql_200" // HTTP 200, the GraphQL error says 401
	UnauthorizedHTTP401    UnauthorizedForm = "http_401"    // HTTP 401, no GraphQL
	UnauthorizedHTTP500    UnauthorizedForm = "http_500"    // HTTP 500, the GraphQL error says nothing
)

// Duration is a time.Duration that is text such as "1m30s" in JSON.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// or returns the duration, or the default where it is zero.
func (d Duration) or(standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return time.Duration(d)
}

func (s Switches) clone() Switches {
	s.RefusedMutations = slices.Clone(s.RefusedMutations)
	s.FailingFields = slices.Clone(s.FailingFields)
	s.Faults = maps.Clone(s.Faults)
	if s.Faults == nil {
		s.Faults = map[Endpoint]Fault{}
	}
	return s
}

// apply changes the switches that the JSON names and leaves the others. It
// refuses names and values that would have no effect.
func (s *Switches) apply(r io.Reader) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return fmt.Errorf("decode switches: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return s.validate()
}

func (s *Switches) validate() error {
	for endpoint, f := range s.Faults {
		if !slices.Contains([]Endpoint{Discovery, JWKS, Authorize, Token, Userinfo, Revoke, GalaxyAPI}, endpoint) {
			return fmt.Errorf("unknown endpoint %q", endpoint)
		}
		if f.Status != 0 && (f.Status < 200 || f.Status > 599) || f.Times < 0 {
			return fmt.Errorf("fault of %s: status is 200 to 599, times 0 or more", endpoint)
		}
	}
	if !slices.Contains([]Forgery{
		"", ForgedIssuer, ForgedAudience, ForgedSignature,
		ForgedExpiry, ForgedNonce, ForgedUserinfoSubject,
	}, s.Forgery) {
		return fmt.Errorf("unknown forgery %q", s.Forgery)
	}
	if !slices.Contains([]UnauthorizedForm{
		UnauthorizedGraphQL, UnauthorizedGraphQL200, UnauthorizedHTTP401, UnauthorizedHTTP500,
	}, s.UnauthorizedForm) {
		return fmt.Errorf("unknown unauthorizedForm %q", s.UnauthorizedForm)
	}
	return validateGalaxyNames(s.RefusedMutations, s.FailingFields)
}

// answer writes the fault's status and body.
func (f Fault) answer(w http.ResponseWriter) {
	body, contentType := f.Body, f.ContentType
	switch {
	case body != "":
	case f.Status == http.StatusInternalServerError:
		body, contentType = `{"code":"INTERNAL_SERVER_ERROR","message":"internal server error"}`, "application/json"
	case f.Status >= 502 && f.Status <= 504:
		body = fmt.Sprintf("<!doctype html>\n<title>%d</title>\n<h1>%s</h1>\n", f.Status, http.StatusText(f.Status))
		contentType = "text/html; charset=utf-8"
	default:
		body = http.StatusText(f.Status) + "\n"
	}
	if contentType == "" {
		contentType = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", contentType)
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.WriteHeader(f.Status)
	_, _ = io.Copy(w, bytes.NewBufferString(body))
}
