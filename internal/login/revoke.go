package login

import (
	"context"
	"errors"
	"net/http"

	"galaxygate/internal/secret"
	"galaxygate/internal/session"
)

// revoke ends the session of a token (RFC 7009). A token that is unknown and one whose
// session has ended are answered as one that ends now: nobody can use it any more. An
// app that does not wait for the answer has signed out all the same.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) {
	form, problem := h.clientForm(w, r)
	if problem == nil && form.Get("token") == "" {
		problem = invalidRequest("The token is missing.")
	}
	if client := form.Get("client_id"); problem == nil && client != "" && !h.knows(client) {
		problem = invalidClient("The client is not known.")
	}
	if problem != nil {
		h.refuse(w, r, problem)
		return
	}
	h.running.Do(func() { h.endFor(w, r, secret.New(form.Get("token"))) })
}

func (h *Handler) endFor(w http.ResponseWriter, r *http.Request, token secret.Text) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endLimit)
	defer cancel()
	if err := h.end(ctx, token); err != nil {
		h.Logger.ErrorContext(r.Context(), "session not revoked", "error", err)
		h.refuse(w, r, storeFailed())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// end signs the holder of the token out, where it is a live session's.
func (h *Handler) end(ctx context.Context, token secret.Text) error {
	ctx, err := h.Sessions.WithToken(ctx, token)
	if err == nil {
		s, _ := session.FromContext(ctx)
		_, err = h.Sessions.End(ctx, s.UserID, s.ID, session.LoggedOut)
	}
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}
