package graph

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"galaxygate/graph/model"
	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

func viewerOf(s session.Session) *model.User { return &model.User{ID: s.Subject} }

// toSession is s as its own user sees it from the current session.
func toSession(s, current session.Session) *model.Session {
	kind := model.SessionKindBrowser
	if s.Kind == session.Native {
		kind = model.SessionKindNative
	}
	return &model.Session{
		ID:         s.ID,
		User:       viewerOf(s),
		Kind:       kind,
		Current:    s.ID == current.ID,
		UserAgent:  optional(s.UserAgent),
		IPAddress:  optional(s.IPAddress),
		CreatedAt:  s.CreatedAt.UTC(),
		LastSeenAt: s.LastSeenAt.UTC(),
		ExpiresAt:  s.ExpiresAt.UTC(),
	}
}

func toAuthorization(g grant.Grant) *model.Authorization {
	status := model.AuthorizationStatusActive
	if g.Status != grant.Active {
		status = model.AuthorizationStatusReauthenticationRequired
	}
	return &model.Authorization{
		Status:               status,
		StatusReason:         optional(g.StatusReason),
		Scopes:               g.Scopes,
		AccessTokenExpiresAt: moment(g.AccessExpiresAt),
		LastRefreshedAt:      moment(g.LastRefreshedAt),
	}
}

func toActivity(e audit.Event) *model.Activity {
	kind := model.ActivityKind(strings.ToUpper(string(e.Kind)))
	if !kind.IsValid() {
		kind = model.ActivityKindOther
	}
	return &model.Activity{
		ID:             e.ID,
		Kind:           kind,
		At:             e.At.UTC(),
		Reason:         optional(e.Reason),
		SessionID:      optional(e.SessionID),
		ActorSessionID: optional(e.Actor.SessionID),
		IPAddress:      optional(e.Actor.IPAddress),
		UserAgent:      optional(e.Actor.UserAgent),
	}
}

// toAccount is an account with that ID, which is its URN where Galaxy shows it.
func toAccount(a upstream.Account, id string, shown bool) *model.ConnectedAccount {
	account := &model.ConnectedAccount{ID: id, Type: accountType(a.Type), RawType: a.Type, Identifier: a.Identifier}
	if shown {
		account.Urn = id
	}
	return account
}

// ofTypes returns the accounts of these types; all where none is named.
func ofTypes(accounts upstream.Accounts, types []model.AccountType) upstream.Accounts {
	if types == nil {
		return accounts
	}
	return slices.DeleteFunc(slices.Clone(accounts), func(a upstream.Account) bool {
		return !slices.Contains(types, accountType(a.Type))
	})
}

// maxTitle is the length of an account's title, in characters.
const maxTitle = 100

// accountTitle returns the title without the space around it.
func accountTitle(title string) (string, error) {
	title = strings.TrimSpace(title)
	if title == "" || utf8.RuneCountInString(title) > maxTitle {
		return "", badInput(fmt.Sprintf("title must have 1 to %d characters.", maxTitle))
	}
	return title, nil
}

// optional is nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// addresses returns pointers to the elements.
func addresses[T any](items []T) []*T {
	pointers := make([]*T, len(items))
	for i := range items {
		pointers[i] = &items[i]
	}
	return pointers
}
