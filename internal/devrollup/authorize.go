package devrollup

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// visitorCookie carries the sign-in at Passport itself. Cookies do not tell
// ports apart, so its name must not be that of anyone else on this machine.
const visitorCookie = "devrollup_passport"

// code is an authorization code that waits to be spent.
type code struct {
	of          *authorization
	redirectURI string
	nonce       string
	challenge   string // RFC 7636; empty where none was sent
	method      string
	expires     time.Time
}

// authorizeRequest is a request of RFC 6749, section 4.1.1, that may be
// answered by a redirect.
type authorizeRequest struct {
	query  url.Values
	scopes []string // the known ones
}

// serveAuthorize is the whole conversation: pages by GET, their forms by POST to
// the same URL, then back to the application.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("client_id") != s.config.ClientID {
		s.showProblem(w, "Passport does not know this application: the client_id is another one.")
		return
	}
	if !slices.Contains(s.config.RedirectURIs, query.Get("redirect_uri")) {
		s.showProblem(w, "This redirect_uri is not registered for the application.")
		return
	}
	request := authorizeRequest{query: query, scopes: requestedScopes(query.Get("scope"))}
	if query.Get("response_type") != "code" {
		request.refuse(w, r, "unsupported_response_type")
		return
	}
	if r.Method == http.MethodPost {
		s.answerForm(w, r, request)
		return
	}
	person, signedIn := s.visitor(r)
	if !signedIn {
		if query.Get("prompt") == "none" {
			request.refuse(w, r, "login_required")
			return
		}
		s.showSignIn(w)
		return
	}
	s.continueAs(w, r, request, person)
}

// continueAs asks the person for what they have not granted yet, and sends them
// back at once where there is nothing to ask.
func (s *Server) continueAs(w http.ResponseWriter, r *http.Request, request authorizeRequest, p Person) {
	earlier, known := s.consentOf(p.URN)
	ask := s.missingScopes(p, earlier, request.scopes)
	prompt := strings.Fields(request.query.Get("prompt"))
	if slices.Contains(prompt, "consent") {
		ask = request.scopes
	} else if known && len(ask) == 0 {
		s.sendCode(w, r, request, p, earlier)
		return
	}
	if slices.Contains(prompt, "none") {
		request.refuse(w, r, "consent_required")
		return
	}
	s.showConsent(w, p, earlier, request.scopes, ask)
}

func (s *Server) answerForm(w http.ResponseWriter, r *http.Request, request authorizeRequest) {
	if err := r.ParseForm(); err != nil {
		s.showProblem(w, "The form cannot be read.")
		return
	}
	if key := r.PostForm.Get("person"); key != "" && r.PostForm.Get("decision") == "" {
		s.signIn(w, r, key)
		return
	}
	person, signedIn := s.visitor(r)
	// A form that was shown to someone else, before another tab signed in as
	// this person, decides nothing.
	shownTo := r.PostForm.Get("person")
	if !signedIn || shownTo != "" && shownTo != person.Key {
		again(w, r)
		return
	}
	switch r.PostForm.Get("decision") {
	case "allow":
		s.allow(w, r, request, person)
	case "deny":
		request.refuse(w, r, "access_denied")
	case "switch":
		s.signOut(w, r)
	default:
		s.showProblem(w, "The form says neither allow nor deny.")
	}
}

func (s *Server) allow(w http.ResponseWriter, r *http.Request, request authorizeRequest, p Person) {
	earlier, _ := s.consentOf(p.URN)
	ask := s.missingScopes(p, earlier, request.scopes)
	if slices.Contains(strings.Fields(request.query.Get("prompt")), "consent") {
		ask = request.scopes
	}
	next := decide(p, earlier, ask, r.PostForm["scope"], r.PostForm["account"])
	s.mu.Lock()
	s.consents[p.URN] = next
	s.mu.Unlock()
	err := s.directory.authorizeApp(p.URN, App{
		ClientID: s.config.ClientID, Title: s.config.AppName, Image: "app.svg",
		Since: s.now(), Scopes: append([]string{"openid"}, next.scopes...),
	})
	if err != nil {
		s.showProblem(w, "This person is gone.")
		return
	}
	s.sendCode(w, r, request, p, next)
}

// sendCode sends the browser back with a code for what was both requested and
// granted.
func (s *Server) sendCode(w http.ResponseWriter, r *http.Request, request authorizeRequest, p Person, c consent) {
	scopes := []string{"openid"}
	for _, scope := range request.scopes {
		if slices.Contains(c.scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	value := randomText(24)
	s.recordIssued(value)
	life := s.Switches().CodeLife.or(120 * time.Second)
	s.mu.Lock()
	s.codes[value] = code{
		of:          &authorization{person: p.URN, scopes: scopes},
		redirectURI: request.query.Get("redirect_uri"),
		nonce:       request.query.Get("nonce"),
		challenge:   request.query.Get("code_challenge"),
		method:      request.query.Get("code_challenge_method"),
		expires:     s.now().Add(life),
	}
	s.mu.Unlock()
	request.back(w, r, url.Values{"code": {value}})
}

// refuse sends the browser back with an error (RFC 6749, section 4.1.2.1).
func (request authorizeRequest) refuse(w http.ResponseWriter, r *http.Request, reason string) {
	request.back(w, r, url.Values{"error": {reason}})
}

func (request authorizeRequest) back(w http.ResponseWriter, r *http.Request, answer url.Values) {
	target, err := url.Parse(request.query.Get("redirect_uri"))
	if err != nil {
		http.Error(w, "bad redirect_uri", http.StatusBadRequest)
		return
	}
	if state := request.query.Get("state"); state != "" {
		answer.Set("state", state)
	}
	query := target.Query()
	for name := range answer {
		query.Set(name, answer.Get(name))
	}
	target.RawQuery = query.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

// visitor returns who is signed in at Passport in this browser.
func (s *Server) visitor(r *http.Request) (Person, bool) {
	cookie, err := r.Cookie(visitorCookie)
	if err != nil {
		return Person{}, false
	}
	s.mu.Lock()
	urn := s.visitors[cookie.Value]
	s.mu.Unlock()
	person, err := s.directory.Person(urn)
	return person, err == nil
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request, key string) {
	person, err := s.directory.Person(key)
	if err != nil {
		s.showProblem(w, "There is no such person.")
		return
	}
	value := randomText(24)
	s.recordIssued(value)
	s.mu.Lock()
	s.visitors[value] = person.URN
	s.mu.Unlock()
	s.setVisitorCookie(w, value, 0)
	again(w, r)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(visitorCookie); err == nil {
		s.mu.Lock()
		delete(s.visitors, cookie.Value)
		s.mu.Unlock()
	}
	s.setVisitorCookie(w, "", -1)
	again(w, r)
}

func (s *Server) setVisitorCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: visitorCookie, Value: value, Path: "/authorize", MaxAge: maxAge, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.config.Issuer, "https:"),
	})
}

// again shows the page of this URL anew.
func again(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/authorize?"+r.URL.RawQuery, http.StatusSeeOther) //nolint:gosec // the path is fixed
}
