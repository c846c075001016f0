package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// callbackLimit is the time that a sign-in's last steps may take.
const callbackLimit = 30 * time.Second

// callback takes the browser back from the provider (OpenID Connect Core 1.0,
// section 3.1.2.5) and signs it in.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) {
	state := secret.New(r.URL.Query().Get("state"))
	attempt, err := h.Store.TakeAttempt(r.Context(), state, h.browserCookie(r), h.Now())
	if errors.Is(err, ErrNoAttempt) {
		h.fail(w, r, Attempt{}, failure{badState, "state", nil})
		return
	}
	if err != nil {
		h.fail(w, r, Attempt{}, failure{storeAway, "store", err})
		return
	}
	h.running.Do(func() { h.complete(w, r, attempt) })
}

// complete signs the browser in whose attempt is spent. A browser that leaves now,
// or a gateway that stops, must not leave tokens behind that nobody knows.
func (h *Handler) complete(w http.ResponseWriter, r *http.Request, attempt Attempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callbackLimit)
	defer cancel()
	signIn, problem := h.exchange(ctx, r.URL.Query(), attempt)
	if problem != nil {
		h.fail(w, r, attempt, *problem)
		return
	}
	h.prepare(r.Context(), &signIn, attempt.App)
	created, err := h.Store.SignIn(ctx, signIn, h.Now())
	if err != nil {
		// The tokens are not revoked: they may be stored all the same, where the
		// answer was lost, or be the ones of the stored grant once more.
		h.fail(w, r, attempt, failure{storeAway, "store", err})
		return
	}
	h.Logger.InfoContext(r.Context(), "signed in", "user_id", created.UserID, "session_id", created.ID, "kind", created.Kind)
	if attempt.App != nil {
		h.backToApp(w, r, *attempt.App, url.Values{"code": {signIn.Code.Code.Reveal()}})
		return
	}
	h.Sessions.SetCookie(w, signIn.SessionToken)
	if attempt.ReturnTo == "" {
		attempt.ReturnTo = h.PublicURL.JoinPath("/").String()
	}
	seeOther(w, r, attempt.ReturnTo)
}

// prepare gives the sign-in its session: the browser's, in place of the one that it has,
// or the app's. Nobody learns the token of the latter, which lives no longer than its
// code: so whatever ends sessions makes the code void.
func (h *Handler) prepare(ctx context.Context, s *SignIn, app *App) {
	if app == nil {
		s.Session, s.SessionToken = h.Sessions.New(ctx, session.Browser)
		if old, ok := session.FromContext(ctx); ok {
			s.EndSessionID = old.ID
		}
		return
	}
	s.Session, s.SessionToken = h.Sessions.New(ctx, session.Native)
	if end := h.Now().Add(codeLife); end.Before(s.Session.ExpiresAt) {
		s.Session.ExpiresAt = end
	}
	s.Code = &Code{Code: secret.Random(), Client: app.Client, RedirectURI: app.RedirectURI, Challenge: app.Challenge}
}

// exchange turns the provider's authorization response into tokens that belong
// to a verified identity.
func (h *Handler) exchange(ctx context.Context, query url.Values, a Attempt) (SignIn, *failure) {
	if code := query.Get("error"); code != "" {
		return SignIn{}, refusal(code)
	}
	if query.Get("code") == "" {
		return SignIn{}, &failure{providerBroken, "code_missing", nil}
	}
	identity, tokens, err := h.Provider.Exchange(ctx, secret.New(query.Get("code")), a.Verifier, a.Nonce)
	if err != nil {
		f := providerFailure(err)
		return SignIn{}, &f
	}
	if iss := query.Get("iss"); iss != "" && iss != identity.Issuer { // RFC 9207
		h.discard(ctx, tokens)
		return SignIn{}, &failure{providerBroken, "issuer", nil}
	}
	// The access token must be the same person's as the ID token. A provider
	// that cannot say so now is asked again with every query.
	var claims struct{}
	err = h.Provider.UserInfo(ctx, tokens.Access, identity.Subject, &claims)
	if errors.Is(err, grant.ErrSubjectMismatch) {
		h.discard(ctx, tokens)
		return SignIn{}, &failure{providerBroken, "userinfo_subject", err}
	}
	if tokens.Scopes == nil {
		tokens.Scopes = a.Scopes // RFC 6749, section 5.1
	}
	return SignIn{
		Issuer:            identity.Issuer,
		Subject:           identity.Subject,
		ProviderSessionID: identity.SessionID,
		Tokens:            tokens,
	}, nil
}

// discard has the tokens of a refused sign-in taken back at the provider.
func (h *Handler) discard(ctx context.Context, t grant.Tokens) {
	if err := h.Outbox.EnqueueRevocation(ctx, grant.PendingRevocation{Kind: grant.RevokeTokens, Tokens: t}); err != nil {
		h.Logger.WarnContext(ctx, "tokens of a refused sign-in not to be revoked", "error", err)
	}
}

// record writes the failure to the audit log. Where the store has just failed,
// the log alone has it: the browser does not wait for the store a second time.
func (h *Handler) record(ctx context.Context, f failure) {
	if f.page == storeAway {
		return
	}
	event := audit.Event{Kind: audit.SignInFailed, Reason: f.reason, At: h.Now()}
	if err := h.Audit.Record(ctx, event); err != nil {
		h.Logger.ErrorContext(ctx, "audit event not recorded", "kind", event.Kind, "error", err)
	}
}

// fail ends a sign-in that did not succeed: it is logged and recorded, and the
// browser goes back to where it came from with an error (RFC 6749, section
// 4.1.2.1), or else gets a page with a way on.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, a Attempt, f failure) {
	switch {
	case f.page == providerRefuses:
		h.Logger.ErrorContext(r.Context(), "provider refuses the gateway: check ROLLUP_CLIENT_ID and ROLLUP_CLIENT_SECRET",
			"alarm", true, "reason", f.reason, "error", f.err)
	case f.err != nil:
		h.Logger.WarnContext(r.Context(), "sign-in failed", "reason", f.reason, "error", f.err)
	default:
		h.Logger.InfoContext(r.Context(), "sign-in failed", "reason", f.reason)
	}
	h.record(r.Context(), f)
	c := f.page.content()
	if a.App != nil {
		h.backToApp(w, r, *a.App, url.Values{"error": {c.code}, "error_description": {c.text}})
		return
	}
	target, err := url.Parse(a.ReturnTo)
	if a.ReturnTo == "" || err != nil {
		h.page(w, r, f.page)
		return
	}
	query := target.Query()
	query.Set("error", c.code)
	query.Set("error_description", c.text)
	target.RawQuery = query.Encode()
	seeOther(w, r, target.String())
}
