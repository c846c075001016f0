package login

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"galaxygate/internal/redirect"
	"galaxygate/internal/scope"
)

// maxState is how long an app's state may be, in bytes.
const maxState = 1024

// authorize begins the sign-in of a native app (RFC 6749, section 4.1.1; RFC 8252): as
// login does, but what the callback ends with is a code for the app. Where it is not
// clear that the redirect URI is the app's, nobody is sent there.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) {
	if h.goHome(w, r) {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || repeated(query) {
		h.page(w, r, badApp)
		return
	}
	app := App{
		Client:      query.Get("client_id"),
		RedirectURI: query.Get("redirect_uri"),
		Challenge:   query.Get("code_challenge"),
		State:       query.Get("state"),
	}
	if !h.knows(app.Client) || !h.Returns.AllowsExactly(app.RedirectURI) {
		h.page(w, r, badApp)
		return
	}
	extra, problem := app.check(query)
	if problem != nil {
		h.Logger.InfoContext(r.Context(), "authorization request refused", "reason", problem.Code)
		h.backToApp(w, r, app, url.Values{"error": {problem.Code}, "error_description": {problem.Description}})
		return
	}
	h.begin(w, r, Attempt{Scopes: scope.Union(h.Scopes, extra, h.granted(r.Context())), App: &app})
}

// check returns the scopes that the request asks for, or what is wrong with it. A state
// that is not well-formed is not repeated.
func (a *App) check(query url.Values) (scopes []string, problem *oauthError) {
	if !wellFormedState(a.State) {
		a.State = ""
		return nil, invalidRequest("The state is too long or not printable ASCII.")
	}
	scopes, err := parseScopes(query["scope"])
	switch {
	case query.Get("request") != "":
		return nil, &oauthError{Code: "request_not_supported", Description: "The parameter request is not supported."}
	case query.Get("request_uri") != "":
		return nil, &oauthError{Code: "request_uri_not_supported", Description: "The parameter request_uri is not supported."}
	case query.Get("response_type") == "":
		return nil, invalidRequest("The response_type is missing.")
	case query.Get("response_type") != "code":
		return nil, &oauthError{Code: "unsupported_response_type", Description: "The response_type must be code."}
	case query.Get("response_mode") != "" && query.Get("response_mode") != "query":
		return nil, invalidRequest("The response_mode must be query.")
	case query.Get("code_challenge_method") != "S256": // absent, it is plain (RFC 7636, section 4.3)
		return nil, invalidRequest("The code_challenge_method must be S256.")
	case !isS256(a.Challenge):
		return nil, invalidRequest("The code_challenge must be a SHA-256 in base64url.")
	case err != nil:
		return nil, &oauthError{Code: "invalid_scope", Description: "The scope is not well-formed."}
	case slices.Contains(strings.Fields(query.Get("prompt")), "none"):
		// Whether the user would have to be asked is for the provider to know.
		return nil, &oauthError{Code: "interaction_required", Description: "Nobody is signed in without being asked."}
	}
	return scopes, nil
}

// wellFormedState reports whether the state is of a length that can be kept, and of
// the characters that it may have (RFC 6749, appendix A.5).
func wellFormedState(state string) bool {
	return len(state) <= maxState && !strings.ContainsFunc(state, func(c rune) bool { return c < ' ' || c > '~' })
}

// isS256 reports whether the challenge can be one of S256 (RFC 7636, section 4.2).
func isS256(challenge string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(sum) == 32 && len(challenge) == 43 // line breaks are decoded too
}

// repeated reports whether a parameter comes twice, which none may (RFC 6749, sections
// 3.1 and 3.2).
func repeated(parameters url.Values) bool {
	for _, values := range parameters {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// knows reports whether the client is a native app's.
func (h *Handler) knows(client string) bool { return slices.Contains(h.Clients, client) }

// vouched reports whether the host of the redirect URI vouches for who gets the code. On
// the device itself nobody does (RFC 8252, section 8.6). Nor where pages have the cookie:
// a script that does not belong there cannot read that, and must not get a token of its
// own instead without the user's seeing anything.
func (h *Handler) vouched(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "https" || redirect.IsLoopback(u.Hostname()) {
		return false
	}
	origin := "https://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	return origin != h.issuer() && !slices.Contains(h.Pages, origin)
}

// backToApp sends the browser to the app's redirect URI, which stays as it is, with the
// answer, the app's state, and who is answering (RFC 9207).
func (h *Handler) backToApp(w http.ResponseWriter, r *http.Request, app App, answer url.Values) {
	if app.State != "" {
		answer.Set("state", app.State)
	}
	answer.Set("iss", h.issuer())
	separator := "?"
	if strings.Contains(app.RedirectURI, "?") {
		separator = "&"
	}
	seeOther(w, r, app.RedirectURI+separator+answer.Encode())
}
