package login

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// BackChannelLogout is where the provider sends its logout tokens. One sender
// speaks for all users, so its requests must not share an allowance with theirs.
// Nothing is written, and nothing but the provider's keys is asked for, before a
// token is verified.
const BackChannelLogout = "/auth/backchannel-logout"

// retryLogout is when the provider may send a token again that could not be
// carried out now.
const retryLogout = 5 * time.Second

// The answers to a logout token that was not carried out.
const (
	logoutRequest  = "The request must be a form with one logout_token."
	logoutToken    = "The logout token is not valid."
	logoutReplayed = "The logout token was used before."
	logoutLater    = "The logout could not be carried out now."
)

// backChannelLogout ends the sessions that a logout token of the provider's names
// (OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8). The token alone
// says who is asking: there is no session, and no cookie counts.
func (h *Handler) backChannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		h.refuseLogout(w, r, logoutRequest, "malformed_request")
		return
	}
	l, err := h.Provider.VerifyLogout(r.Context(), secret.New(r.PostForm.Get("logout_token")))
	if err != nil {
		f := grant.AsFailure(err)
		if f.Kind == grant.SignInAgain {
			h.refuseLogout(w, r, logoutToken, f.Reason)
			return
		}
		h.postponeLogout(w, r, max(f.RetryAfter, retryLogout), err)
		return
	}
	ended, err := h.Sessions.EndByProvider(r.Context(), session.Logout{
		Issuer:            l.Issuer,
		Subject:           l.Subject,
		ProviderSessionID: l.SessionID,
		TokenID:           l.TokenID,
		ExpiresAt:         l.ExpiresAt,
	})
	switch {
	case errors.Is(err, session.ErrReplayed):
		h.refuseLogout(w, r, logoutReplayed, "logout_token_replayed")
	case err != nil:
		h.postponeLogout(w, r, retryLogout, err)
	default:
		h.Logger.InfoContext(r.Context(), "signed out by the provider", "sessions", ended)
		w.WriteHeader(http.StatusOK)
	}
}

// refuseLogout says that to send the same token again is of no use. Anyone may send
// garbage, so that the log does not warn of it.
func (h *Handler) refuseLogout(w http.ResponseWriter, r *http.Request, description, reason string) {
	h.Logger.InfoContext(r.Context(), "logout token refused", "reason", reason)
	h.answerJSON(w, r, http.StatusBadRequest, invalidRequest(description))
}

// postponeLogout says that the same token may be sent again.
func (h *Handler) postponeLogout(w http.ResponseWriter, r *http.Request, wait time.Duration, err error) {
	h.Logger.WarnContext(r.Context(), "logout token not carried out", "error", err)
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	h.answerJSON(w, r, http.StatusServiceUnavailable, &oauthError{Code: "temporarily_unavailable", Description: logoutLater})
}
