package devrollup

import (
	"bytes"
	"net/http"
	"slices"
)

// personView is a person as the pages show them.
type personView struct {
	Person
	Picture string
}

// scopeView is a scope on the consent page.
type scopeView struct {
	scopeInfo
	Accounts []accountView // with connected_accounts alone
}

type accountView struct {
	Account
	Picture string
	Ticked  bool
}

type consentView struct {
	App     string
	Person  personView
	Granted []scopeInfo // granted before, not asked for again
	Ask     []scopeView
}

func (s *Server) view(p Person) personView {
	return personView{p, imageURL(s.config.Issuer, p.Image)}
}

func (s *Server) showSignIn(w http.ResponseWriter) {
	var people []personView
	for _, p := range s.directory.People() {
		people = append(people, s.view(p))
	}
	s.render(w, http.StatusOK, "signin.html", map[string]any{"App": s.config.AppName, "People": people})
}

// showConsent asks for what is in ask; what else was requested is listed as
// granted already.
func (s *Server) showConsent(w http.ResponseWriter, p Person, earlier consent, requested, ask []string) {
	page := consentView{App: s.config.AppName, Person: s.view(p)}
	for _, known := range knownScopes() {
		switch {
		case slices.Contains(ask, known.Name):
			shown := scopeView{scopeInfo: known}
			if known.Name == "connected_accounts" {
				shown.Accounts = s.accountViews(p, earlier)
			}
			page.Ask = append(page.Ask, shown)
		case slices.Contains(requested, known.Name):
			page.Granted = append(page.Granted, known)
		}
	}
	s.render(w, http.StatusOK, "consent.html", page)
}

// accountViews ticks what was picked before, or everything the first time.
func (s *Server) accountViews(p Person, earlier consent) []accountView {
	var views []accountView
	for _, a := range p.Accounts {
		views = append(views, accountView{
			Account: a, Picture: imageURL(s.config.Issuer, a.Image),
			Ticked: len(earlier.accounts) == 0 || slices.Contains(earlier.accounts, a.URN),
		})
	}
	return views
}

func (s *Server) showProblem(w http.ResponseWriter, message string) {
	s.render(w, http.StatusBadRequest, "problem.html", map[string]any{"Message": message})
}

// render writes a page. Its policy says nothing of form-action: browsers apply
// it to every redirect that follows a form, and here the way leads on to the
// application and from there to wherever it likes, another origin or an app's
// own scheme.
func (s *Server) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, "cannot show the page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}
