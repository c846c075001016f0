package storetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/session"
)

// Model is what the comments of grant.Store and grant.Leases promise, in memory
// and in as few words as that takes. Every store is compared with it, so tests
// that need the store's clock to be theirs may run on it.
//
// Its fields are set before first use. It is safe for concurrent use.
type Model struct {
	// Now is the store's clock.
	Now func() time.Time

	mu       sync.Mutex
	grants   map[string]modelled // by the user's ID
	sessions map[string]string   // the user's ID by that of each live one; they do not expire
	pending  []grant.PendingRevocation
	events   []string // the audit log in short
	watchers map[string]map[chan struct{}]struct{}
}

// modelled is a grant as stored: its lease and its retry end at a time, and its
// Lapses are those that were taken over, since lapsedAt.
type modelled struct {
	grant.Grant
	leaseEnds, lapsedAt, retryAt time.Time
}

// clone returns a model in the same state, with no watchers.
func (m *Model) clone() *Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Model{
		Now: m.Now, grants: maps.Clone(m.grants), sessions: maps.Clone(m.sessions),
		pending: slices.Clone(m.pending), events: slices.Clone(m.events),
	}
}

// Grant implements grant.Store.
func (m *Model) Grant(_ context.Context, userID string) (grant.Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grant(userID)
}

func (m *Model) grant(userID string) (grant.Grant, error) {
	row, found := m.grants[userID]
	if !found {
		return grant.Grant{}, grant.ErrNotFound
	}
	now := m.Now()
	row.lapse(now)
	row.LeaseLeft = max(row.leaseEnds.Sub(now), 0)
	row.RetryIn = max(row.retryAt.Sub(now), 0)
	if row.Lapses > 0 {
		row.LapsedFor = now.Sub(row.lapsedAt)
	}
	row.Refreshable = !row.Refresh.IsZero()
	return row.Grant, nil
}

// Erase implements grant.Store.
func (m *Model) Erase(_ context.Context, userID string) (grant.PendingRevocation, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, err := m.grant(userID)
	if err != nil {
		return grant.PendingRevocation{}, 0, err
	}
	delete(m.grants, userID)
	erased := grant.PendingRevocation{
		ID: g.ID, Kind: grant.RevokeConsent, UserID: userID, GrantID: g.ID, Attempts: 1,
		Tokens: grant.Tokens{Access: g.Access, AccessExpiresAt: g.AccessExpiresAt, Refresh: g.Refresh},
	}
	if g.StatusReason == grant.ReasonSubject {
		erased.Kind = grant.RevokeTokens
	}
	m.pending = append(m.pending, erased)
	ended := m.endOthers(userID, "", session.AuthorizationRevoked)
	m.record(audit.Revoked, "")
	m.wake(g.ID)
	return erased, ended, nil
}

// Wrote implements Store.
func (m *Model) Wrote(_ context.Context, userID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if row, found := m.grants[userID]; found {
		row.Writes++
		m.set(row)
	}
	return nil
}

// PendingRevocations returns how many revocations Erase and SignIn have left, by
// kind.
func (m *Model) PendingRevocations(context.Context) (map[string]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make(map[string]int)
	for _, p := range m.pending {
		counts[string(p.Kind)]++
	}
	return counts, nil
}

// SignIn is login.Store's, of the user with that ID, and begins the session with
// that ID. The grant gets the given ID where the user has none yet.
func (m *Model) SignIn(grantID, userID, sessionID string, t grant.Tokens, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, found := m.grants[userID]
	if !found {
		row.ID, row.UserID, row.Rotation = grantID, userID, grant.RotationUnknown
	}
	kept := !row.Refresh.IsZero() && (t.Refresh.IsZero() || t.Refresh.Equal(row.Refresh))
	if !kept && !row.Refresh.IsZero() {
		m.pending = append(m.pending, grant.PendingRevocation{
			Kind: grant.RevokeTokens, UserID: userID, GrantID: row.ID, Tokens: grant.Tokens{Refresh: row.Refresh},
		})
		m.record(audit.Revoked, string(session.Replaced))
	}
	if !kept {
		row.Refresh = t.Refresh
		row.Version++
		row.LeaseOwner, row.leaseEnds = "", time.Time{}
		row.clearLapses()
	}
	m.spare(userID, t)
	row.Status, row.StatusReason = grant.Active, ""
	row.AuthorizedAt, row.ObtainedAt, row.LastRefreshedAt = now, now, time.Time{}
	row.setAccess(t)
	row.clearFailures()
	m.set(row)
	if m.sessions == nil {
		m.sessions = make(map[string]string)
	}
	m.sessions[sessionID] = userID
	m.record(audit.SignedIn, "")
}

// spare keeps what has come from the revocations that the user has pending.
func (m *Model) spare(userID string, came grant.Tokens) {
	m.pending = slices.DeleteFunc(m.pending, func(p grant.PendingRevocation) bool {
		return p.UserID == userID && (p.Tokens.Access.Equal(came.Access) ||
			!came.Refresh.IsZero() && p.Tokens.Refresh.Equal(came.Refresh))
	})
	for i := range m.pending {
		if m.pending[i].UserID == userID {
			m.pending[i].Kind = grant.RevokeTokens
		}
	}
}

// End implements session.Ender. Of the session it returns the IDs.
func (m *Model) End(_ context.Context, userID, id string, reason session.EndReason, _ time.Time) (session.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[id] != userID {
		return session.Session{}, session.ErrNotFound
	}
	m.endSession(id, reason)
	return session.Session{ID: id, UserID: userID}, nil
}

// EndOthers implements session.Ender.
func (m *Model) EndOthers(_ context.Context, userID, keepID string, reason session.EndReason, _ time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endOthers(userID, keepID, reason), nil
}

func (m *Model) endOthers(userID, keepID string, reason session.EndReason) (ended int) {
	for id, of := range m.sessions {
		if of == userID && id != keepID {
			m.endSession(id, reason)
			ended++
		}
	}
	return ended
}

func (m *Model) endSession(id string, reason session.EndReason) {
	delete(m.sessions, id)
	kind := audit.SessionEnded
	if reason == session.LoggedOut {
		kind = audit.SignedOut
	}
	m.record(kind, string(reason))
}

// Acquire implements grant.Leases.
func (m *Model) Acquire(_ context.Context, g grant.Grant, owner string, d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, found := m.grants[g.UserID]
	now := m.Now()
	if !found || row.ID != g.ID || row.Version != g.Version || row.LeaseOwner != g.LeaseOwner ||
		row.Status != grant.Active || now.Before(row.leaseEnds) {
		return grant.ErrLost
	}
	if !slices.Contains(slices.Collect(maps.Values(m.sessions)), g.UserID) {
		return grant.ErrSignedOut
	}
	row.lapse(now)
	row.LeaseOwner, row.leaseEnds = owner, now.Add(d)
	m.set(row)
	return nil
}

// Release implements grant.Leases.
func (m *Model) Release(_ context.Context, g grant.Grant, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.endLease(g, owner)
	if err != nil {
		return err
	}
	m.set(row)
	return nil
}

// Publish implements grant.Leases.
func (m *Model) Publish(_ context.Context, g grant.Grant, owner string, t grant.Tokens, now time.Time) (grant.Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.endLease(g, owner)
	if err != nil && !m.interrupted(g) {
		return grant.Grant{}, err
	}
	if err != nil {
		row = m.grants[g.UserID]
		row.Status, row.StatusReason = grant.Active, ""
	}
	row.Version++
	row.clearLapses()
	if row.Rotation != grant.Rotates {
		row.Rotation = grant.KeepsToken
	}
	if !t.Refresh.IsZero() && !t.Refresh.Equal(row.Refresh) {
		row.Refresh, row.Rotation = t.Refresh, grant.Rotates
	}
	if row.AuthorizedAt.Equal(g.AuthorizedAt) {
		row.ObtainedAt, row.LastRefreshedAt = now, now
		row.setAccess(t)
		row.clearFailures()
	}
	m.set(row)
	m.record(audit.Refreshed, "")
	return m.grant(g.UserID)
}

// Fail implements grant.Leases.
func (m *Model) Fail(_ context.Context, g grant.Grant, owner string, f *grant.Failure, retryIn time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.endLease(g, owner)
	if err != nil {
		return err
	}
	if !row.AuthorizedAt.Equal(g.AuthorizedAt) {
		m.set(row)
		return grant.ErrLost
	}
	row.clearLapses()
	row.Failures++
	row.LastFailure = &grant.Failure{Kind: f.Kind, Reason: f.Reason, Message: f.Message, Status: f.Status}
	row.retryAt = m.Now().Add(retryIn)
	if f.Kind == grant.SignInAgain {
		row.Status, row.StatusReason, row.retryAt = grant.ReauthenticationRequired, f.Reason, time.Time{}
	}
	m.set(row)
	m.record(audit.RefreshFailed, f.Reason)
	return nil
}

// endLease returns the stored grant without owner's lease, or ErrLost.
func (m *Model) endLease(g grant.Grant, owner string) (modelled, error) {
	row, found := m.grants[g.UserID]
	if !found || row.ID != g.ID || row.Version != g.Version || row.LeaseOwner == "" || row.LeaseOwner != owner {
		return modelled{}, grant.ErrLost
	}
	row.LeaseOwner, row.leaseEnds = "", time.Time{}
	return row, nil
}

// interrupted reports whether nothing has come since g but word of an interrupted
// refresh.
func (m *Model) interrupted(g grant.Grant) bool {
	row, found := m.grants[g.UserID]
	return found && row.ID == g.ID && row.Version == g.Version && row.AuthorizedAt.Equal(g.AuthorizedAt) &&
		row.Status == grant.ReauthenticationRequired && row.StatusReason == grant.ReasonInterrupted
}

// lapse counts the lease of a row that has run out.
func (row *modelled) lapse(now time.Time) {
	if row.LeaseOwner == "" || now.Before(row.leaseEnds) {
		return
	}
	if row.Lapses == 0 {
		row.lapsedAt = row.leaseEnds
	}
	row.Lapses++
}

func (row *modelled) clearLapses() {
	row.Lapses, row.lapsedAt = 0, time.Time{}
}

func (row *modelled) setAccess(t grant.Tokens) {
	row.Access, row.AccessExpiresAt = t.Access, t.AccessExpiresAt
	if t.Scopes != nil {
		row.Scopes = t.Scopes
	}
}

func (row *modelled) clearFailures() {
	row.Failures, row.LastFailure, row.retryAt = 0, nil, time.Time{}
}

func (m *Model) set(row modelled) {
	if m.grants == nil {
		m.grants = make(map[string]modelled)
	}
	m.grants[row.UserID] = row
	m.wake(row.ID)
}

func (m *Model) record(kind audit.Kind, reason string) {
	m.events = append(m.events, inShort(audit.Event{Kind: kind, Reason: reason}))
}

// Watch implements grant.Store.
func (m *Model) Watch(grantID string) (wake <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchers == nil {
		m.watchers = make(map[string]map[chan struct{}]struct{})
	}
	if m.watchers[grantID] == nil {
		m.watchers[grantID] = make(map[chan struct{}]struct{})
	}
	m.watchers[grantID][c] = struct{}{}
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers[grantID], c)
	}
}

func (m *Model) wake(grantID string) {
	for c := range m.watchers[grantID] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
