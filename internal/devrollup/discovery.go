package devrollup

import (
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// serveDiscovery lists what Passport lists, and omits what it omits (OpenID
// Connect Discovery 1.0, section 3).
func (s *Server) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	issuer := s.config.Issuer
	document := map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                issuer + "/authorize",
		"token_endpoint":                        issuer + "/token",
		"userinfo_endpoint":                     issuer + "/userinfo",
		"jwks_uri":                              issuer + "/.well-known/jwks.json",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      []string{"openid", "profile", "email", "connected_accounts", "erc_4337"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		"claims_supported":                      []string{"sub", "name", "picture", "email", "connected_accounts", "erc_4337"},
	}
	if s.Switches().Revocation {
		document["revocation_endpoint"] = issuer + "/revoke"
	}
	writeJSON(w, http.StatusOK, document)
}

func (s *Server) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: s.key.Public(), KeyID: s.keyID, Algorithm: "ES256", Use: "sig"},
	}})
}
