package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"galaxygate/internal/budget"
	"galaxygate/internal/grant"
	"galaxygate/internal/plan"
	"galaxygate/internal/secret"
)

// Tokens gives access tokens. *grant.Source does.
type Tokens interface {
	// Token returns the token that Call would use, or its error where there is none.
	Token(ctx context.Context, userID string) (grant.Token, error)
	// Call runs do with the user's access token. Where do's error wraps
	// grant.ErrTokenRejected, the token is refreshed at most once and do runs at
	// most once more. It returns grant.ErrNotFound,
	// grant.ErrReauthenticationRequired, a *grant.Failure, or do's error.
	Call(ctx context.Context, userID string, do func(context.Context, grant.Token) error) error
}

// UserInfo asks the provider's userinfo endpoint.
type UserInfo interface {
	// UserInfo decodes into claims what the provider says of the access token's
	// user, who must be subject. Its error wraps grant.ErrTokenRejected or is a
	// *grant.Failure.
	UserInfo(ctx context.Context, access secret.Text, subject string, claims any) error
}

// Writes makes changes known to every replica.
type Writes interface {
	// Wrote says that the user has changed something at Galaxy: answers from
	// before are given out nowhere once it has returned.
	Wrote(ctx context.Context, userID string) error
}

// Client asks as the user. The errors of its methods are those of Tokens and of
// UserInfo, *Error for Galaxy's, and ctx's where that has ended.
type Client struct {
	Tokens   Tokens
	UserInfo UserInfo
	Galaxy   *Galaxy
	Answers  *Answers
	Writes   Writes
	Budget   *budget.Budget // of requests to Galaxy
	// Patience is how long a request waits for its turn in the budget.
	Patience time.Duration
	Observer Observer // may be nil
	Logger   *slog.Logger
}

// Caller is for whom is asked.
type Caller struct {
	UserID string
	// Consent names the user's consent as it stands: answers are the same for
	// operations of the same user and consent alone.
	Consent string
	// Cost adds up what the operation costs.
	Cost *Cost
}

// CallerOf is the user of the grant.
func CallerOf(g grant.Grant, cost *Cost) Caller {
	consent := make([]byte, 0, 256)
	consent = append(append(append(consent, g.UserID...), ' '), g.ID...)
	consent = append(append(consent, ' '), g.Status...) // one that must not be used any more has no answers
	consent = strconv.AppendInt(append(consent, ' '), g.AuthorizedAt.UnixMicro(), 10)
	consent = strconv.AppendInt(append(consent, ' '), g.Writes, 10)
	// What was asked with a grant that has ended since is not given out: its answers
	// may be about another person.
	consent = append(append(append(append(consent, ' '), g.Status...), ' '), g.StatusReason...)
	for _, scope := range g.Scopes {
		consent = append(append(consent, ' '), scope...)
	}
	return Caller{UserID: g.UserID, Consent: string(consent), Cost: cost}
}

// Cost is what one operation costs upstream.
type Cost struct {
	Galaxy   atomic.Int64 // requests
	UserInfo atomic.Int64 // requests
	Cached   atomic.Int64 // questions that were answered from memory, another replica's too
	Stale    atomic.Int64 // the age of the oldest answer past its time, in nanoseconds
	Took     atomic.Int64 // the longest wait for answers or a change, in nanoseconds
}

// Ask returns an answer for each question, for at most one request to Galaxy.
func (c *Client) Ask(ctx context.Context, who Caller, questions []plan.Question) []*Answer {
	keys := make([]string, len(questions))
	for i, q := range questions {
		keys[i] = who.Consent + "\n" + q.Key
	}
	late := &Error{Kind: Unavailable, Message: "No answer came."}
	return c.get(ctx, who, keys, late, func(ctx context.Context, indices []int) []*Answer {
		asked := make([]plan.Question, len(indices))
		for n, i := range indices {
			asked[n] = questions[i]
		}
		answers, err := c.query(ctx, who, asked, c.patience(keys, indices))
		if err == nil {
			return answers
		}
		answers = make([]*Answer, len(indices))
		for n, i := range indices {
			if answers[n] = c.instead(keys[i], err); answers[n] == nil {
				answers[n] = unansweredBy(err)
			}
		}
		return answers
	})
}

// get is Answers.get, and adds up the cost. Where the operation's time is up while it
// waits for another's request, late is the error.
func (c *Client) get(ctx context.Context, who Caller, keys []string, late error, ask fetch) []*Answer {
	began := c.Answers.now()
	answers, cached := c.Answers.get(ctx, keys, func(ctx context.Context, indices []int) (answers []*Answer) {
		defer func() {
			if value := recover(); value != nil { // it is an error for all who wait, and no more
				c.Logger.ErrorContext(ctx, "panic in a request", "stack", string(debug.Stack()))
				answers = nil
			}
		}()
		return ask(ctx, indices)
	})
	who.Cost.Cached.Add(int64(cached))
	raise(&who.Cost.Took, c.Answers.now().Sub(began))
	for i, a := range answers {
		raise(&who.Cost.Stale, a.Age)
		if a.Err == context.DeadlineExceeded { //nolint:errorlint // a wrapped one says already what the time was spent on
			answers[i] = unansweredBy(late)
		}
	}
	return answers
}

// raise makes the value at least d.
func raise(value *atomic.Int64, d time.Duration) {
	for old := value.Load(); old < int64(d) && !value.CompareAndSwap(old, int64(d)); old = value.Load() {
		continue
	}
}

// patience is how long to wait for a turn: not at all where older answers can be
// given instead.
func (c *Client) patience(keys []string, indices []int) time.Duration {
	for _, i := range indices {
		if c.Answers.old(keys[i]) == nil {
			return c.Patience
		}
	}
	return 0
}

// instead is an older answer where Galaxy takes no more requests, or nil.
func (c *Client) instead(key string, err error) *Answer {
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == RateLimited {
		return c.Answers.old(key)
	}
	return nil
}

// query asks Galaxy.
func (c *Client) query(ctx context.Context, who Caller, questions []plan.Question, patience time.Duration) (answers []*Answer, err error) {
	err = c.call(ctx, who, patience, func(ctx context.Context, t grant.Token, turn turn) (err error) {
		answers, err = c.Galaxy.query(ctx, t.Value, turn, questions)
		return err
	})
	return answers, err
}

// call calls Galaxy with the user's token, as far as the budget allows.
func (c *Client) call(
	ctx context.Context, who Caller, patience time.Duration, do func(context.Context, grant.Token, turn) error,
) error {
	// Who has no token is not to spend the others' turns.
	if _, err := c.Tokens.Token(ctx, who.UserID); err != nil {
		return err //nolint:wrapcheck // as Call's
	}
	// In its turn before a token is in use: who ends the session waits for that.
	if err := c.take(ctx, who, patience); err != nil {
		return err
	}
	sent := 0
	turn := func(ctx context.Context) error {
		if sent++; sent > 1 {
			if err := c.take(ctx, who, 0); err != nil {
				return err
			}
		}
		who.Cost.Galaxy.Add(1)
		return nil
	}
	err := c.Tokens.Call(ctx, who.UserID, func(ctx context.Context, t grant.Token) error { return do(ctx, t, turn) })
	heed(c.Budget, err) //nolint:contextcheck // it is emptied for all, whoever leaves
	return err
}

func (c *Client) take(ctx context.Context, who Caller, patience time.Duration) error {
	began, observer := c.Answers.now(), observed(c.Observer)
	err := turnIn(ctx, c.Budget, who.UserID, patience)
	if err == nil {
		observer.AwaitedTurn(c.Answers.now().Sub(began))
	} else if !errors.Is(err, context.Canceled) {
		observer.Refused(galaxyName, "budget")
	}
	return err
}

// turnIn takes a turn for the user in the budget. Its error is an *Error of kind
// RateLimited, or ctx's where the caller has left.
func turnIn(ctx context.Context, b *budget.Budget, user string, patience time.Duration) error {
	err := b.Take(ctx, user, patience)
	if e := (*budget.Exhausted)(nil); errors.As(err, &e) {
		return &Error{Kind: RateLimited, RetryAfter: e.RetryAfter}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: RateLimited}
	}
	return err //nolint:wrapcheck // ctx's
}

// heed empties the budget where the error is that Galaxy wants no more requests.
func heed(b *budget.Budget, err error) {
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == RateLimited && e.Status != 0 {
		b.Empty(e.RetryAfter)
	}
}

// Claims returns what userinfo says of the user.
func (c *Client) Claims(ctx context.Context, who Caller) (Claims, error) {
	key := []string{who.Consent + "\nuserinfo"}
	late := &grant.Failure{Kind: grant.Later, Reason: "timeout"}
	answers := c.get(ctx, who, key, late, func(ctx context.Context, _ []int) []*Answer {
		asked, claims := c.Answers.now(), json.RawMessage{}
		err := c.Tokens.Call(ctx, who.UserID, func(ctx context.Context, t grant.Token) error {
			who.Cost.UserInfo.Add(1)
			return c.UserInfo.UserInfo(ctx, t.Value, t.Subject, &claims)
		})
		if err != nil {
			return []*Answer{unansweredBy(fmt.Errorf("ask userinfo: %w", err))}
		}
		answer := newAnswer(claims, asked)
		if _, err := decode[Claims](answer); err != nil {
			return []*Answer{unansweredBy(&grant.Failure{Kind: grant.Later, Reason: "userinfo_malformed"})}
		}
		return []*Answer{answer}
	})
	return decode[Claims](answers[0])
}

// Apps returns the applications that an answer lists; nil where it has no list.
func Apps(a *Answer) ([]*App, error) {
	all, err := decode[[]*App](a)
	if all == nil {
		return nil, err
	}
	apps := make([]*App, 0, len(all))
	for _, app := range all { // Galaxy's list may hold nulls
		if app != nil {
			apps = append(apps, app)
		}
	}
	return apps, err
}

// SetAppData replaces what this application keeps with the user's identity.
func (c *Client) SetAppData(ctx context.Context, who Caller, value any) error {
	var data struct {
		Done bool `json:"setExternalAppData"`
	}
	return c.mutate(ctx, who, setAppDataDocument, map[string]any{"data": value}, &data, &data.Done)
}

// RegisterSessionKey registers the public key with the user's smart-contract
// wallet and returns the session key data for the wallet's SDK.
func (c *Client) RegisterSessionKey(ctx context.Context, who Caller, wallet, key string) (string, error) {
	var data struct {
		SessionKey string `json:"registerSessionKey"`
	}
	err := c.mutate(ctx, who, registerSessionKeyDocument, map[string]any{"key": key, "wallet": wallet}, &data, nil)
	return data.SessionKey, err
}

// mutate asks Galaxy for a change. Where confirmed is given, Galaxy must have set
// it.
func (c *Client) mutate(
	ctx context.Context, who Caller, document string, variables map[string]any, data any, confirmed *bool,
) error {
	asked, began := false, c.Answers.now()
	err := c.call(ctx, who, c.Patience, func(ctx context.Context, t grant.Token, turn turn) error {
		asked = true
		return c.Galaxy.ask(ctx, t.Value, turn, document, variables, data)
	})
	raise(&who.Cost.Took, c.Answers.now().Sub(began))
	if asked { // also after an error: what became of it is not known
		c.wrote(ctx, who)
	}
	if err == nil && confirmed != nil && !*confirmed {
		return &Error{Kind: Failed, Message: "Galaxy did not confirm the change."}
	}
	return err
}

// wrote makes a change known, also where the client has gone: it is done.
func (c *Client) wrote(ctx context.Context, who Caller) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wroteLimit)
	defer cancel()
	if err := c.Writes.Wrote(ctx, who.UserID); err != nil {
		c.Logger.WarnContext(ctx, "change at galaxy not made known: older answers may be seen for a while", "error", err)
	}
}

// wroteLimit bounds how long a mutation waits for every replica to hear of it.
const wroteLimit = 6 * time.Second
