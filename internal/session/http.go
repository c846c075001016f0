package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/secret"
)

type contextKey struct{}

// current is what the context of a signed-in request holds.
type current struct {
	session   atomic.Pointer[Session] // as it was when last seen
	tokenHash []byte
	since     time.Time // when it was live
	left      atomic.Bool
	leave     func() // called when it is left
}

// FromContext returns the session that the request carries, and whether it
// carries a live one.
func FromContext(ctx context.Context) (Session, bool) {
	c, ok := ctx.Value(contextKey{}).(*current)
	if !ok || c.left.Load() {
		return Session{}, false
	}
	return *c.session.Load(), true
}

// Confirm returns nil where the session of the context's request is live still,
// and ErrNotFound where it has ended since the request began, on whichever
// replica. Any other error means that the store, which is asked when memory does
// not tell, is away. A context without a session is nobody's to confirm: nil.
func (m *Manager) Confirm(ctx context.Context) error {
	c, ok := ctx.Value(contextKey{}).(*current)
	if ok && !c.left.Load() && !m.Cache.ChangedSince(c.session.Load().ID, c.since) {
		return nil
	}
	return m.Renew(ctx)
}

// Renew is Confirm for what outlives a request: the session counts as used, and one
// that was not used for too long has ended.
func (m *Manager) Renew(ctx context.Context) error {
	c, ok := ctx.Value(contextKey{}).(*current)
	if !ok {
		return nil
	}
	if c.left.Load() {
		return ErrNotFound
	}
	s, err := m.authenticate(ctx, c.tokenHash)
	if err == nil {
		c.session.Store(&s)
	}
	return err
}

// Leave makes the context's request anonymous from here on, because its session
// has ended, and the response clear the cookie where the session came by it, if
// its header has not been written yet. That of a WebSocket has.
func Leave(ctx context.Context) {
	if c, ok := ctx.Value(contextKey{}).(*current); ok && !c.left.Swap(true) {
		c.leave()
	}
}

// Middleware puts the session that the request carries, as bearer token or else
// as cookie, into its context. A request without a live one is anonymous, and a
// cookie that carries none is cleared; for a bearer token that carries none the answer
// says so in its header (RFC 6750, section 3). Where the store is away the answer is
// Unavailable's: nobody is taken for signed out.
func (m *Manager) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, byCookie := m.token(r)
		if token.IsZero() {
			next.ServeHTTP(w, r)
			return
		}
		clearCookie := func() {
			if byCookie {
				m.ClearCookie(w)
			}
		}
		refuseBearer := func() {
			if !byCookie {
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			}
		}
		leave := clearCookie
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			leave = func() {} // the response is over before anything is asked
		}
		ctx, err := m.enter(r.Context(), token, leave)
		switch {
		case errors.Is(err, ErrReplaced):
			// The browser has signed in again while this request was under way:
			// clearing the cookie would take the new session from it.
			refuseBearer()
			next.ServeHTTP(w, r)
		case errors.Is(err, ErrNotFound):
			clearCookie()
			refuseBearer()
			next.ServeHTTP(w, r)
		case err != nil:
			if r.Context().Err() == nil {
				m.Logger.ErrorContext(r.Context(), "session not looked up", "error", err)
			}
			m.Unavailable.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

// Remembers reports whether the token that the request carries was somebody's when it
// was last looked up here, not long ago, or the request carries none. A token for which
// it does not may be made up, and has Middleware ask the store.
func (m *Manager) Remembers(r *http.Request) bool {
	token, _ := m.token(r)
	return token.IsZero() || m.met.Has(string(token.Hash()), m.Now())
}

// WithBearer returns the context with the session whose token is given as an
// Authorization header gives it, instead of the one that it has. It returns
// ErrNotFound where that session is not live, and the context as it is where
// nothing is given, or no bearer token. Any other error means that the store is
// away, and nothing about the session.
func (m *Manager) WithBearer(ctx context.Context, authorization string) (context.Context, error) {
	token, ok := bearer(authorization)
	switch {
	case !ok:
		return ctx, nil
	case token.IsZero():
		return nil, ErrNotFound
	}
	return m.WithToken(ctx, token)
}

// WithToken returns the context with the session of that token, or WithBearer's
// errors.
func (m *Manager) WithToken(ctx context.Context, token secret.Text) (context.Context, error) {
	return m.enter(ctx, token, func() {})
}

// enter returns the context with the live session of that token, or
// authenticate's error. Leave is called when the session is left.
func (m *Manager) enter(ctx context.Context, token secret.Text, leave func()) (context.Context, error) {
	since, hash := m.Now(), token.Hash()
	s, err := m.authenticate(ctx, hash)
	if err != nil {
		return nil, err
	}
	actor := audit.ActorFrom(ctx)
	actor.SessionID = s.ID
	ctx = audit.WithActor(ctx, actor)
	c := &current{tokenHash: hash, since: since, leave: leave}
	c.session.Store(&s)
	return context.WithValue(ctx, contextKey{}, c), nil
}

// SetCookie gives the browser the session's token until the session's absolute
// end.
func (m *Manager) SetCookie(w http.ResponseWriter, token secret.Text) {
	cookie := m.cookie()
	cookie.Value = token.Reveal()
	cookie.MaxAge = int(m.Lifetime.Seconds())
	http.SetCookie(w, cookie)
}

// ClearCookie takes the session's token from the browser.
func (m *Manager) ClearCookie(w http.ResponseWriter) {
	cookie := m.cookie()
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// CookieName is the name of the session cookie. Over https the prefix keeps
// other hosts of the site from setting it (RFC 6265bis, section 4.1.3.2).
func (m *Manager) CookieName() string {
	if m.Secure {
		return "__Host-galaxygate"
	}
	return "galaxygate"
}

func (m *Manager) cookie() *http.Cookie {
	return &http.Cookie{
		Name:     m.CookieName(),
		Path:     "/",
		Secure:   m.Secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// token returns the session token of the request, and whether it came by
// cookie. A bearer token wins (RFC 6750, section 2.1).
func (m *Manager) token(r *http.Request) (_ secret.Text, byCookie bool) {
	if token, ok := bearer(r.Header.Get("Authorization")); ok {
		return token, false
	}
	if cookie, err := r.Cookie(m.CookieName()); err == nil {
		return secret.New(cookie.Value), true
	}
	return secret.Text{}, false
}

// bearer returns the token of an Authorization header, and whether it is of that
// scheme.
func bearer(authorization string) (token secret.Text, ok bool) {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}, false
	}
	return secret.New(strings.TrimSpace(text)), true
}
