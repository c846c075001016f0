package httpserver

import (
	"net/http"

	"galaxygate/internal/graphqlhttp"
)

// Refuse answers the request with the refusal: as a GraphQL error where GraphQL is
// served, as plain text elsewhere.
func Refuse(w http.ResponseWriter, r *http.Request, refusal graphqlhttp.Refusal) {
	if r.URL.Path == graphqlhttp.Path {
		graphqlhttp.Refuse(w, r, refusal)
		return
	}
	refusal.SetHeader(w.Header())
	http.Error(w, refusal.Text(r.Context()), refusal.Status)
}
