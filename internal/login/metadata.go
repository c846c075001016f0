package login

import "net/http"

// metadata tells native apps what they can ask here (RFC 8414, section 2).
func (h *Handler) metadata(w http.ResponseWriter, r *http.Request) {
	public := []string{"none"}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	for _, name := range []string{"Set-Cookie", "WWW-Authenticate"} {
		w.Header().Del(name) // a cache that many share would give it to all of them
	}
	h.writeJSON(w, r, http.StatusOK, map[string]any{
		"issuer":                                         h.issuer(),
		"authorization_endpoint":                         h.PublicURL.JoinPath(authorizePath).String(),
		"token_endpoint":                                 h.PublicURL.JoinPath(tokenPath).String(),
		"revocation_endpoint":                            h.PublicURL.JoinPath(revokePath).String(),
		"scopes_supported":                               h.Scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          public,
		"revocation_endpoint_auth_methods_supported":     public,
		"authorization_response_iss_parameter_supported": true,
	})
}

// issuer is how the gateway calls itself as an authorization server.
func (h *Handler) issuer() string { return h.PublicURL.String() }
