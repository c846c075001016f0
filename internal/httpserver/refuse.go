package httpserver

import (
	"encoding/json"
	"net/http"

	"galaxygate/internal/graphqlhttp"
)

// Refuse answers the request with the refusal: as a GraphQL error where GraphQL is
// served, as OAuth's where its clients ask, as plain text elsewhere.
func Refuse(w http.ResponseWriter, r *http.Request, refusal graphqlhttp.Refusal) {
	switch r.URL.Path {
	case graphqlhttp.Path:
		graphqlhttp.Refuse(w, r, refusal)
	case "/auth/token", "/auth/revoke":
		refuseOAuth(w, r, refusal)
	default:
		refusal.SetHeader(w.Header())
		http.Error(w, refusal.Text(r.Context()), refusal.Status)
	}
}

// refuseOAuth answers with JSON as RFC 6749 has it, section 5.2.
func refuseOAuth(w http.ResponseWriter, r *http.Request, refusal graphqlhttp.Refusal) {
	code := "invalid_request"
	switch refusal.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		code = "temporarily_unavailable"
	case http.StatusInternalServerError:
		code = "server_error"
	}
	refusal.SetHeader(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refusal.Status)
	// What fails here fails for the client, too.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": refusal.Text(r.Context())})
}
