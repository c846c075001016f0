package devrollup

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"galaxygate/internal/secret"
)

// refusal is an error of Passport's, in its own form and in the standard one.
type refusal struct {
	status   int
	code     string
	message  string
	standard string // the error code of RFC 6749 or RFC 6750
}

func badRequest(message, standard string) *refusal {
	return &refusal{http.StatusBadRequest, "BAD_REQUEST", message, standard}
}

func unauthorized(message, standard string) *refusal {
	return &refusal{http.StatusUnauthorized, "UNAUTHORIZED", message, standard}
}

func internalError() *refusal {
	return &refusal{http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "internal server error", "server_error"}
}

// refuse answers with the refusal, in the form that the switches ask for.
func (s *Server) refuse(w http.ResponseWriter, err *refusal) {
	if !s.Switches().StandardErrors {
		writeJSON(w, err.status, map[string]string{"code": err.code, "message": err.message})
		return
	}
	status := http.StatusBadRequest
	switch err.standard {
	case "invalid_client":
		status = http.StatusUnauthorized
	case "invalid_token":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case "server_error":
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, map[string]string{"error": err.standard, "error_description": err.message})
}

// tokenCounter counts by grant type.
func tokenCounter(r *http.Request) string {
	if r.ParseForm() == nil {
		switch kind := r.PostForm.Get("grant_type"); kind {
		case "authorization_code", "refresh_token":
			return string(Token) + ":" + kind
		}
	}
	return string(Token) + ":other"
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	form, err := s.clientForm(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	var answer map[string]string
	switch form.Get("grant_type") {
	case "authorization_code":
		answer, err = s.exchange(form)
	case "refresh_token":
		answer, err = s.refreshTokens(form.Get("refresh_token"))
	default:
		err = badRequest("unsupported grant type", "unsupported_grant_type")
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	answer["token_type"] = "Bearer"
	writeJSON(w, http.StatusOK, answer)
}

// clientForm returns the form, once it has authenticated the client by
// client_secret_post, the only way that Passport knows.
func (s *Server) clientForm(r *http.Request) (url.Values, *refusal) {
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("cannot read the form", "invalid_request")
	}
	if r.PostForm.Get("client_id") == "" || !s.config.ClientSecret.Equal(secret.New(r.PostForm.Get("client_secret"))) {
		return nil, badRequest("invalid client credentials", "invalid_client")
	}
	if r.PostForm.Get("client_id") != s.config.ClientID {
		return nil, badRequest("mismatch client id", "invalid_client")
	}
	return r.PostForm, nil
}

// exchange spends a code: once, whatever comes of it.
func (s *Server) exchange(form url.Values) (map[string]string, *refusal) {
	s.mu.Lock()
	c, ok := s.codes[form.Get("code")]
	delete(s.codes, form.Get("code"))
	s.mu.Unlock()
	if !ok || !s.now().Before(c.expires) {
		return nil, unauthorized("expired code", "invalid_grant")
	}
	if form.Get("redirect_uri") != c.redirectURI {
		return nil, badRequest("mismatch redirect uri", "invalid_grant")
	}
	if !c.verifies(form.Get("code_verifier")) {
		return nil, badRequest("mismatch code challenge", "invalid_grant")
	}
	person, err := s.directory.Person(c.of.person)
	granted, _ := s.consentOf(person.URN)
	if err != nil {
		return nil, unauthorized("expired code", "invalid_grant")
	}
	claims, err := s.claims(person, granted, c.of.scopes)
	if err != nil {
		return nil, unauthorized("Authorized data error. Re-authorization by user required", "invalid_grant")
	}
	s.keep(c.of)
	access, errAccess := s.issueAccess(c.of)
	refresh, errRefresh := s.issueRefresh(c.of)
	id, errID := s.issueID(c, claims)
	if errAccess != nil || errRefresh != nil || errID != nil {
		return nil, internalError()
	}
	return map[string]string{"access_token": access, "refresh_token": refresh, "id_token": id}, nil
}

// verifies checks the verifier against the challenge, where there is one
// (RFC 7636, section 4.6).
func (c code) verifies(verifier string) bool {
	if c.challenge == "" {
		return true
	}
	if c.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = encodeBytes(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(c.challenge)) == 1
}

// refreshTokens returns a new access token and nothing else, unless refresh
// tokens rotate.
func (s *Server) refreshTokens(presented string) (map[string]string, *refusal) {
	rotate := s.Switches().RotateRefreshTokens
	of, refused := s.present(presented, rotate)
	if refused != nil {
		return nil, refused
	}
	access, err := s.issueAccess(of)
	if err != nil {
		return nil, internalError()
	}
	answer := map[string]string{"access_token": access}
	if rotate {
		if answer["refresh_token"], err = s.issueRefresh(of); err != nil {
			return nil, internalError()
		}
	}
	return answer, nil
}

// present uses a refresh token. A used one that comes again is taken for
// stolen, and ends its whole family.
func (s *Server) present(presented string, rotate bool) (*authorization, *refusal) {
	id, err := s.parse(presented)
	if err != nil {
		return nil, unauthorized("invalid token", "invalid_grant")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.refresh[id]
	if !ok || token.of.dead {
		return nil, unauthorized("expired token", "invalid_grant")
	}
	if token.used {
		token.of.dead = true
		return nil, unauthorized("expired token", "invalid_grant")
	}
	token.used = rotate
	return token.of, nil
}

func (s *Server) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	live, err := s.verifyAccess(bearer(r))
	if err != nil {
		s.refuse(w, unauthorized("expired token", "invalid_token"))
		return
	}
	person, err := s.directory.Person(live.person)
	granted, _ := s.consentOf(person.URN)
	if err != nil {
		s.refuse(w, unauthorized("expired token", "invalid_token"))
		return
	}
	claims, err := s.claims(person, granted, live.scopes)
	if err != nil {
		s.refuse(w, unauthorized("Authorized data error. Re-authorization by user required", "invalid_token"))
		return
	}
	if s.Switches().Forgery == ForgedUserinfoSubject {
		claims["sub"] = "urn:rollupid:identity/0x0000000000000000000000000000000000000bad"
	}
	writeJSON(w, http.StatusOK, claims)
}

// serveRevoke takes an access or refresh token back (RFC 7009). A refresh token
// takes its family and the access tokens of that sign-in with it.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if !s.Switches().Revocation {
		http.NotFound(w, r)
		return
	}
	form, refused := s.clientForm(r)
	if refused != nil {
		s.refuse(w, refused)
		return
	}
	// What is not ours, or no longer live, is revoked already (section 2.2).
	if id, err := s.parse(form.Get("token")); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.access, id)
		if token, ok := s.refresh[id]; ok {
			token.of.dead = true
			for access, of := range s.access {
				if of == token.of {
					delete(s.access, access)
				}
			}
		}
	}
	w.WriteHeader(http.StatusOK)
}

// bearer returns the token of the Authorization header, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
