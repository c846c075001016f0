package login

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The paths at which the gateway is an authorization server for native apps.
const (
	authorizePath = "/auth/authorize"
	tokenPath     = "/auth/token" //nolint:gosec // G101: a path
	revokePath    = "/auth/revoke"
	metadataPath  = "/.well-known/oauth-authorization-server"
)

// retryStore is when a request may come again that the store could not serve.
const retryStore = time.Second

// oauthError is an error as OAuth has it (RFC 6749, sections 4.1.2.1 and 5.2). Its
// description repeats nothing of the request.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`

	status int // 400 where it is none
}

func invalidRequest(description string) *oauthError {
	return &oauthError{Code: "invalid_request", Description: description}
}

// invalidClient comes with the challenge that its status wants (RFC 6749, section 5.2).
func invalidClient(description string) *oauthError {
	return &oauthError{Code: "invalid_client", Description: description, status: http.StatusUnauthorized}
}

// storeFailed says that the same request may come again.
func storeFailed() *oauthError {
	return &oauthError{
		Code:        "temporarily_unavailable",
		Description: "Something on our side is not available. Please try again in a moment.",
		status:      http.StatusServiceUnavailable,
	}
}

// postOnly refuses other methods as next would refuse a request.
func (h *Handler) postOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem := invalidRequest("The method must be POST.")
			problem.status = http.StatusMethodNotAllowed
			h.refuse(w, r, problem)
			return
		}
		next(w, r)
	})
}

// clientForm reads the form of a native app's request. A parameter without a value is
// none (RFC 6749, section 3.2). The client is public: it has nothing to authenticate
// itself with, and whoever tries is another.
func (h *Handler) clientForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return nil, invalidRequest("The parameters must come as a form, in the body alone.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || repeated(r.PostForm) {
		return nil, invalidRequest("The form cannot be read, is too long, or has a parameter twice.")
	}
	form := r.PostForm
	if form.Get("client_secret") != "" || form.Get("client_assertion") != "" || authenticates(r) {
		return nil, invalidClient("The client must not authenticate itself: it is public.")
	}
	return form, nil
}

// authenticates reports whether the request has credentials of a client. A session's
// are none.
func authenticates(r *http.Request) bool {
	credentials := r.Header.Get("Authorization")
	scheme, _, _ := strings.Cut(credentials, " ")
	return credentials != "" && !strings.EqualFold(scheme, "Bearer")
}

// refuse answers with the error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, problem *oauthError) {
	status := problem.status
	switch status {
	case 0:
		status = http.StatusBadRequest
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="galaxygate"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryStore.Seconds())))
	}
	h.Logger.InfoContext(r.Context(), "request of an app refused", "reason", problem.Code)
	h.answerJSON(w, r, status, problem)
}

// answerJSON answers with JSON that nobody may keep (RFC 6749, section 5.1).
func (h *Handler) answerJSON(w http.ResponseWriter, r *http.Request, status int, answer any) {
	w.Header().Set("Cache-Control", "no-store")
	h.writeJSON(w, r, status, answer)
}

func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		h.Logger.DebugContext(r.Context(), "answer not written", "error", err)
	}
}
