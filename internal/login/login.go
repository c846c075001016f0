package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/background"
	"galaxygate/internal/grant"
	"galaxygate/internal/passport"
	"galaxygate/internal/redirect"
	"galaxygate/internal/scope"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// attemptLife is how long a browser has from the redirect to the provider until
// the callback.
const attemptLife = 10 * time.Minute

// Provider is the OpenID Provider. Its errors are *grant.Failure.
type Provider interface {
	AuthCodeURL(ctx context.Context, a passport.Authorization) (string, error)
	Exchange(ctx context.Context, code, verifier, nonce secret.Text) (passport.Identity, grant.Tokens, error)
	UserInfo(ctx context.Context, access secret.Text, subject string, claims any) error
	VerifyLogout(ctx context.Context, token secret.Text) (passport.Logout, error)
}

// Handler signs browsers in and out, and out where the provider says so. Its
// fields are set before first use and not changed after.
type Handler struct {
	Provider  Provider
	Store     Store
	Grants    grant.Store
	Outbox    grant.Outbox
	Sessions  *session.Manager
	Audit     audit.Log
	PublicURL *url.URL
	Returns   redirect.Rules // where sign-in may return to beside PublicURL
	Clients   []string       // the client IDs of native apps
	Pages     []string       // the origins of pages that may call with the cookie, beside PublicURL
	Scopes    []string       // asked for at every sign-in
	Now       func() time.Time
	Logger    *slog.Logger

	running background.Group // what goes on when its client has left
}

// Routes returns the handler's paths, as patterns of http.ServeMux.
func (h *Handler) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /auth/login":           getOnly(h.login),
		"GET /auth/callback":        getOnly(h.callback),
		"POST /auth/logout":         http.HandlerFunc(h.logout),
		"POST " + BackChannelLogout: http.HandlerFunc(h.backChannelLogout),

		"GET " + authorizePath: getOnly(h.authorize),
		tokenPath:              h.postOnly(h.token),
		revokePath:             h.postOnly(h.revoke),
		"GET " + metadataPath:  http.HandlerFunc(h.metadata),
	}
}

// Wait waits until the sign-ins under way have ended, also those whose browser has
// left, or ctx has.
func (h *Handler) Wait(ctx context.Context) error {
	if err := h.running.Wait(ctx); err != nil {
		return fmt.Errorf("wait for sign-ins: %w", err)
	}
	return nil
}

// getOnly refuses HEAD, which http.ServeMux takes for GET: a look must not begin
// or spend a sign-in.
func getOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}

// login sends the browser to the provider (OpenID Connect Core 1.0, section
// 3.1.2.1).
func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	if h.goHome(w, r) {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.page(w, r, badReturn)
		return
	}
	returnTo, err := h.returnTo(query["return_to"])
	if err != nil {
		h.page(w, r, badReturn)
		return
	}
	extra, err := parseScopes(query["scope"])
	if err != nil {
		h.page(w, r, badScope)
		return
	}
	h.begin(w, r, Attempt{Scopes: scope.Union(h.Scopes, extra, h.granted(r.Context())), ReturnTo: returnTo})
}

// begin sends the browser to the provider to sign in as the attempt says, which is
// filled here with what is random. The user is asked each time where nobody vouches for
// the app.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, a Attempt) {
	a.State, a.Nonce, a.Verifier = secret.Random(), secret.Random(), secret.Random()
	a.Browser = h.browser(w, r)
	a.ExpiresAt = h.Now().Add(attemptLife)
	target, err := h.Provider.AuthCodeURL(r.Context(), passport.Authorization{
		State:    a.State,
		Nonce:    a.Nonce,
		Verifier: a.Verifier,
		Scopes:   a.Scopes,
		Consent:  a.App != nil && !h.vouched(a.App.RedirectURI),
	})
	if err != nil {
		h.fail(w, r, a, providerFailure(err))
		return
	}
	if err := h.Store.SaveAttempt(r.Context(), a); err != nil {
		h.fail(w, r, a, failure{storeAway, "store", err})
		return
	}
	seeOther(w, r, target)
}

// maxForm is the size of a form, in bytes.
const maxForm = 16 << 10

// logout ends the session of the request. Where to go then is said in the query
// or in a form.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		h.page(w, r, badReturn)
		return
	}
	returnTo, err := h.returnTo(r.Form["return_to"])
	if err != nil {
		h.page(w, r, badReturn)
		return
	}
	if s, ok := session.FromContext(r.Context()); ok {
		// A page that is left at once has signed out all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endLimit)
		defer cancel()
		_, err := h.Sessions.End(ctx, s.UserID, s.ID, session.LoggedOut)
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			h.Logger.ErrorContext(r.Context(), "session not ended", "session_id", s.ID, "error", err)
			h.page(w, r, storeAway)
			return
		}
	}
	// Only a cookie that came is cleared: a request of another site comes without.
	session.Leave(r.Context())
	if returnTo == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	seeOther(w, r, returnTo)
}

// goHome sends a browser that came by another name of this machine to the same path
// of PublicURL, and reports whether it did.
func (h *Handler) goHome(w http.ResponseWriter, r *http.Request) bool {
	if !h.elsewhere(r) {
		return false
	}
	here := h.PublicURL.JoinPath(r.URL.Path)
	here.RawQuery = r.URL.RawQuery
	seeOther(w, r, here.String())
	return true
}

// elsewhere reports whether the browser came by another name of this machine
// than PublicURL's, 127.0.0.1 for localhost: the callback, which comes by
// PublicURL, would not see the cookies of the other name. On another port it is
// a proxy that has rewritten the host.
func (h *Handler) elsewhere(r *http.Request) bool {
	host, port, err := net.SplitHostPort(r.Host)
	return err == nil && host != h.PublicURL.Hostname() && port == h.PublicURL.Port() &&
		redirect.IsLoopback(host) && redirect.IsLoopback(h.PublicURL.Hostname())
}

// returnTo resolves the values of a return_to parameter: none is "", one is an
// absolute URL that is allowed, and anything else an error.
func (h *Handler) returnTo(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return h.Returns.Resolve(h.PublicURL, values[0])
	default:
		return "", redirect.ErrRefused
	}
}

// granted returns the scopes that the user of this request's session has
// already consented to: consenting to more must not take these away. Those of a
// grant that cannot be read could not be used either.
func (h *Handler) granted(ctx context.Context) []string {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil
	}
	g, err := h.Grants.Grant(ctx, s.UserID)
	if err != nil && !errors.Is(err, grant.ErrNotFound) {
		h.Logger.WarnContext(ctx, "granted scopes not read", "session_id", s.ID, "error", err)
	}
	return g.Scopes
}

// browser returns the value of the cookie that binds attempts to this browser,
// and sets it anew. It is one cookie for all attempts, so that two tabs may
// sign in at once.
func (h *Handler) browser(w http.ResponseWriter, r *http.Request) secret.Text {
	value := h.browserCookie(r)
	if value.IsZero() {
		value = secret.Random()
	}
	http.SetCookie(w, &http.Cookie{
		Name:     h.browserCookieName(),
		Value:    value.Reveal(),
		Path:     "/",
		MaxAge:   int(attemptLife.Seconds()),
		Secure:   h.Sessions.Secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // the callback comes from the provider's site
	})
	return value
}

func (h *Handler) browserCookie(r *http.Request) secret.Text {
	cookie, err := r.Cookie(h.browserCookieName())
	if err != nil || len(cookie.Value) != secret.RandomLength {
		return secret.Text{}
	}
	return secret.New(cookie.Value)
}

func (h *Handler) browserCookieName() string { return h.Sessions.CookieName() + "-login" }

// parseScopes reads space-separated scopes (RFC 6749, section 3.3), at most 50.
func parseScopes(values []string) ([]string, error) {
	scopes := strings.Fields(strings.Join(values, " "))
	if len(scopes) > 50 {
		return nil, fmt.Errorf("%d scopes", len(scopes))
	}
	for _, one := range scopes {
		if !scope.Valid(one) {
			return nil, errors.New("not a scope")
		}
	}
	return scopes, nil
}

// seeOther redirects to the provider or to an address that Returns allows, and
// keeps the response out of every cache.
func seeOther(w http.ResponseWriter, r *http.Request, target string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // G710: see above
}
