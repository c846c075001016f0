package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"galaxygate/internal/scope"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// codeLife is how long an app has from the callback until it fetches its session.
const codeLife = time.Minute

// endLimit is how long it may take until a session is over everywhere, which a
// revocation and a replay of a code wait for.
const endLimit = 15 * time.Second

// tokenAnswer is a session's token as OAuth has it (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds, until the session ends if nothing is asked
	Scope       string `json:"scope"`
}

// token gives an app its session for a code (RFC 6749, section 4.1.3; RFC 7636,
// section 4.5).
func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache")
	form, problem := h.clientForm(w, r)
	if problem == nil {
		problem = checkGrant(form)
	}
	if problem != nil {
		h.refuse(w, r, problem)
		return
	}
	h.running.Do(func() { h.redeem(w, r, form) })
}

func checkGrant(form url.Values) *oauthError {
	switch {
	case form.Get("client_id") == "":
		return invalidRequest("The client_id is missing.")
	case form.Get("grant_type") == "":
		return invalidRequest("The grant_type is missing.")
	case form.Get("grant_type") != "authorization_code":
		return &oauthError{Code: "unsupported_grant_type", Description: "The grant_type must be authorization_code."}
	case form.Get("code") == "":
		return invalidRequest("The code is missing.")
	}
	return nil
}

// redeem uses the code, which is a use of it also where the client does not wait for
// the answer, forgot what the code is bound to, or is none that is known (any more).
func (h *Handler) redeem(w http.ResponseWriter, r *http.Request, form url.Values) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endLimit)
	defer cancel()
	redemption := Redemption{Code: Code{
		Code:        secret.New(form.Get("code")),
		Client:      form.Get("client_id"),
		RedirectURI: form.Get("redirect_uri"),
		Challenge:   challengeOf(form.Get("code_verifier")),
	}}
	if !h.knows(redemption.Code.Client) {
		redemption.Code.Challenge = "" // no code is bound to that
	}
	redemption.Session, redemption.SessionToken = h.Sessions.New(r.Context(), session.Native)
	redeemed, err := h.Store.RedeemCode(ctx, redemption, h.Now())
	switch {
	case errors.Is(err, ErrNoCode):
		h.refuseCode(w, r, form, err)
		return
	case err != nil:
		h.Logger.ErrorContext(r.Context(), "authorization code not redeemed", "error", err)
		h.refuse(w, r, storeFailed())
		return
	}
	h.Logger.InfoContext(r.Context(), "session given to an app",
		"user_id", redeemed.Session.UserID, "session_id", redeemed.Session.ID)
	h.answerJSON(w, r, http.StatusOK, tokenAnswer{
		AccessToken: redemption.SessionToken.Reveal(),
		TokenType:   "Bearer",
		ExpiresIn:   int64(redeemed.Session.ExpiresAt.Sub(h.Now()).Seconds()),
		Scope:       strings.Join(scope.Union([]string{"openid"}, redeemed.Scopes), " "),
	})
}

// refuseCode tells the client of every bad code the same. The operator may want to
// know of one that was stolen.
func (h *Handler) refuseCode(w http.ResponseWriter, r *http.Request, form url.Values, err error) {
	switch {
	case errors.Is(err, ErrCodeReplayed):
		h.Logger.WarnContext(r.Context(), "authorization code replayed: the session that it made is ended")
	case errors.Is(err, ErrCodeMisused):
		h.Logger.WarnContext(r.Context(), "authorization code spent by a wrong use")
	}
	if !h.knows(form.Get("client_id")) {
		h.refuse(w, r, invalidClient("The client is not known."))
		return
	}
	if form.Get("redirect_uri") == "" || form.Get("code_verifier") == "" {
		h.refuse(w, r, invalidRequest("The redirect_uri or the code_verifier is missing. The code is spent."))
		return
	}
	h.refuse(w, r, &oauthError{
		Code:        "invalid_grant",
		Description: "The code is unknown, expired or spent, or was issued for another client, redirect_uri or code_verifier.",
	})
}

// challengeOf returns the verifier's S256 challenge, or nothing where it is no verifier
// (RFC 7636, sections 4.1 and 4.6).
func challengeOf(verifier string) string {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, func(c rune) bool { return !unreserved(c) }) {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// unreserved reports whether the character is one of RFC 3986, section 2.3.
func unreserved(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c)
}
