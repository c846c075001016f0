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
	session     Session
	tokenHash   []byte
	since       time.Time // when it was live
	left        atomic.Bool
	clearCookie func()
}

// FromContext returns the session that the request carries, and whether it
// carries a live one.
func FromContext(ctx context.Context) (Session, bool) {
	c, ok := ctx.Value(contextKey{}).(*current)
	if !ok || c.left.Load() {
		return Session{}, false
	}
	return c.session, true
}

// Confirm returns nil where the session of the context's request is live still,
// and ErrNotFound where it has ended since the request began, on whichever
// replica. Any other error means that the store, which is asked when memory does
// not tell, is away. A context without a session is nobody's to confirm: nil.
func (m *Manager) Confirm(ctx context.Context) error {
	c, ok := ctx.Value(contextKey{}).(*current)
	if !ok {
		return nil
	}
	if c.left.Load() {
		return ErrNotFound
	}
	if !m.Cache.ChangedSince(c.session.ID, c.since) {
		return nil
	}
	_, err := m.authenticate(ctx, c.tokenHash)
	return err
}

// Leave makes the context's request anonymous from here on, because its session
// has ended, and the response clear the cookie where the session came by it. It
// must be called before the response's header is written.
func Leave(ctx context.Context) {
	if c, ok := ctx.Value(contextKey{}).(*current); ok && !c.left.Swap(true) {
		c.clearCookie()
	}
}

// Middleware puts the session that the request carries, as bearer token or else
// as cookie, into its context. A request without a live one is anonymous, and a
// cookie that carries none is cleared. Where the store is away the answer is
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
		since, hash := m.Now(), token.Hash()
		s, err := m.authenticate(r.Context(), hash)
		switch {
		case errors.Is(err, ErrReplaced):
			// The browser has signed in again while this request was under way:
			// clearing the cookie would take the new session from it.
			next.ServeHTTP(w, r)
		case errors.Is(err, ErrNotFound):
			clearCookie()
			next.ServeHTTP(w, r)
		case err != nil:
			if r.Context().Err() == nil {
				m.Logger.ErrorContext(r.Context(), "session not looked up", "error", err)
			}
			m.Unavailable.ServeHTTP(w, r)
		default:
			actor := audit.ActorFrom(r.Context())
			actor.SessionID = s.ID
			ctx := audit.WithActor(r.Context(), actor)
			ctx = context.WithValue(ctx, contextKey{}, &current{session: s, tokenHash: hash, since: since, clearCookie: clearCookie})
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
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return secret.New(strings.TrimSpace(bearer)), false
	}
	if cookie, err := r.Cookie(m.CookieName()); err == nil {
		return secret.New(cookie.Value), true
	}
	return secret.Text{}, false
}
