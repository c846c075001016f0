package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/cache"
	"galaxygate/internal/recent"
	"galaxygate/internal/secret"
)

// seenInterval is how often, at most, a session's LastSeenAt is written.
const seenInterval = time.Minute

// metLife is for how long a token is known to have been somebody's.
const metLife = 24 * time.Hour

// The bounds of a Cache: how many sessions, and for how long at most one that has
// ended elsewhere is taken for live where word of its end is lost.
const (
	cacheSize = 100_000
	cacheLife = 30 * time.Second
)

// Cache remembers live sessions by the SHA-256 of their token.
type Cache = cache.Cache[string, Session]

// NewCache returns an empty cache, whose sessions are forgotten by their ID. Size,
// Life and Subject of the options are its own to set: where the idle timeout is
// short, a session that is in use must be read, and so written as seen, before it
// ends.
func NewCache(idleTimeout time.Duration, o cache.Options[Session]) *Cache {
	o.Size, o.Life = cacheSize, min(cacheLife, idleTimeout/4)
	o.Subject = func(s Session) string { return s.ID }
	return cache.New[string](o)
}

// Manager knows the rules of a session's life. Its fields are set before first
// use and not changed after.
type Manager struct {
	Store Store
	Ender Ender
	// Cache answers for the Store; nil: nothing is remembered.
	Cache *Cache
	// Lookout tells of the ends of sessions. Only Forget, ForgetAll, Ended and Over
	// need it.
	Lookout *Lookout
	// IdleTimeout ends a session that is not used for so long, Lifetime any.
	IdleTimeout time.Duration
	Lifetime    time.Duration
	// Secure says that browsers reach the gateway by https, and so names and
	// marks the cookie.
	Secure bool
	// Unavailable answers a request whose session cannot be looked up now.
	Unavailable http.Handler
	Now         func() time.Time
	Logger      *slog.Logger

	met recent.Set // SHA-256s of the tokens that were somebody's of late
}

// New returns a session of that kind for the context's actor, not yet stored,
// and the token that is to carry it.
func (m *Manager) New(ctx context.Context, kind Kind) (Session, secret.Text) {
	now := m.Now()
	actor := audit.ActorFrom(ctx)
	return Session{
		ID:         rand.Text(),
		Kind:       kind,
		UserAgent:  actor.UserAgent,
		IPAddress:  actor.IPAddress,
		CreatedAt:  now,
		LastSeenAt: now,
		ExpiresAt:  m.expiry(now, now),
	}, secret.Random()
}

// authenticate returns the live session whose token has that SHA-256, or
// ErrNotFound, ErrReplaced among them.
// Any other error means that the store is away, and nothing about the session.
func (m *Manager) authenticate(ctx context.Context, tokenHash []byte) (Session, error) {
	s, err := m.Cache.Get(ctx, string(tokenHash), func(ctx context.Context) (Session, error) {
		return m.lookUp(ctx, tokenHash)
	})
	if err == nil && !m.Now().Before(s.ExpiresAt) {
		return m.lookUp(ctx, tokenHash) // it may have been used elsewhere meanwhile
	}
	return s, err
}

// lookUp reads the session from the store, and says there that it was seen.
func (m *Manager) lookUp(ctx context.Context, tokenHash []byte) (Session, error) {
	now := m.Now()
	s, err := m.Store.Session(ctx, tokenHash, now)
	switch {
	case errors.Is(err, ErrNotFound):
		m.met.Drop(string(tokenHash))
	case err == nil:
		m.met.Add(string(tokenHash), now, metLife)
	}
	if err != nil {
		return Session{}, fmt.Errorf("look up session: %w", err)
	}
	if now.Sub(s.LastSeenAt) < min(seenInterval, m.IdleTimeout/4) {
		return s, nil
	}
	seen := s
	seen.LastSeenAt, seen.ExpiresAt = now, m.expiry(s.CreatedAt, now)
	if err := m.Store.Touch(ctx, s.ID, seen.LastSeenAt, seen.ExpiresAt); err != nil {
		// A store that cannot be written still tells who is calling.
		m.Logger.WarnContext(ctx, "session not touched", "session_id", s.ID, "error", err)
		return s, nil
	}
	return seen, nil
}

// List returns the user's live sessions, newest first.
func (m *Manager) List(ctx context.Context, userID string) ([]Session, error) {
	return m.Store.Sessions(ctx, userID, m.Now())
}

// End ends the user's session and returns it, or ErrNotFound where it is not
// live or not this user's.
func (m *Manager) End(ctx context.Context, userID, id string, reason EndReason) (Session, error) {
	return m.Ender.End(ctx, userID, id, reason, m.Now())
}

// EndOthers ends the user's live sessions but the one to keep, and returns how
// many.
func (m *Manager) EndOthers(ctx context.Context, userID, keepID string) (int, error) {
	return m.Ender.EndOthers(ctx, userID, keepID, EndedByUser, m.Now())
}

// EndByProvider carries out the provider's logout and returns how many sessions
// ended, or ErrReplayed where it was carried out before.
func (m *Manager) EndByProvider(ctx context.Context, l Logout) (int, error) {
	return m.Ender.EndByProvider(ctx, l, m.Now())
}

// Forget says that the session with that ID has ended.
func (m *Manager) Forget(id string) {
	m.Cache.Forget(id)
	m.Lookout.Look(id)
}

// ForgetAll says that any session may have ended.
func (m *Manager) ForgetAll() {
	m.Cache.ForgetAll()
	m.Lookout.LookAtAll()
}

// Ended returns a channel that receives how the context's session ended, once it
// has, wherever that was decided, and is closed then. It is closed without a value
// where ctx ends first, and at once where ctx has no session.
func (m *Manager) Ended(ctx context.Context) <-chan End {
	ended := make(chan End, 1)
	c, ok := ctx.Value(contextKey{}).(*current)
	if !ok {
		close(ended)
		return ended
	}
	m.watch(ctx, c, func(end *End) {
		if end != nil {
			ended <- *end
		}
		close(ended)
	})
	return ended
}

// Over returns a channel that is closed when the context's session has ended. It
// stays open where ctx ends first, and where ctx has no session.
func (m *Manager) Over(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	if c, ok := ctx.Value(contextKey{}).(*current); ok {
		m.watch(ctx, c, func(end *End) {
			if end != nil {
				close(over)
			}
		})
	}
	return over
}

// watch has tell called with how the session ended, or with nil once ctx has. The
// store is asked only where memory does not vouch for the session: from the moment
// at which it is watched, word of its end is heard.
func (m *Manager) watch(ctx context.Context, c *current, tell func(*End)) {
	s := c.session.Load()
	watched := m.Lookout.watch(ctx, s.ID, s.ExpiresAt, tell)
	if !watched && m.Cache.ChangedSince(s.ID, c.since) {
		m.Lookout.Look(s.ID)
	}
}

// expiry is the sooner of the idle and the absolute end.
func (m *Manager) expiry(created, seen time.Time) time.Time {
	idle, absolute := seen.Add(m.IdleTimeout), created.Add(m.Lifetime)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}
