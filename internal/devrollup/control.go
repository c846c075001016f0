package devrollup

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Expiry says what comes to its end at POST /dev/expire.
type Expiry struct {
	// Person is an identity URN or a key such as alice; empty, everyone.
	Person string `json:"person"`
	// AccessTokens makes userinfo and Galaxy refuse the access tokens.
	AccessTokens bool `json:"accessTokens"`
	// RefreshTokens ends the refresh tokens.
	RefreshTokens bool `json:"refreshTokens"`
	// Consent makes the next sign-in ask for everything again.
	Consent bool `json:"consent"`
	// Account is the URN or identifier of an account to disconnect; Person must
	// be named. Where it was consented to, userinfo wants a new consent.
	Account string `json:"account"`
}

// Expire ends what the expiry names; ErrUnknown where it names someone or
// something that there is not.
func (s *Server) Expire(e Expiry) error {
	urn := ""
	if e.Person != "" || e.Account != "" {
		person, err := s.directory.Person(e.Person)
		if err != nil {
			return err
		}
		urn = person.URN
	}
	if e.Account != "" {
		if err := s.directory.RemoveAccount(urn, e.Account); err != nil {
			return err
		}
	}
	if e.AccessTokens {
		s.ExpireAccessTokens(urn)
	}
	if e.RefreshTokens {
		s.RevokeRefreshTokens(urn)
	}
	if e.Consent {
		s.ForgetConsent(urn)
	}
	return nil
}

// controlHandler is /dev/, closed to everyone but this machine, and to web
// pages that a browser on this machine has open: they can neither send JSON
// across origins nor pass for a loopback host by their name.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dev/{$}", s.showControls)
	mux.HandleFunc("GET /dev/counters", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Counters())
	})
	mux.HandleFunc("DELETE /dev/counters", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetCounters()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /dev/issued", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, append([]string{}, s.Issued()...))
	})
	mux.HandleFunc("GET /dev/switches", s.showSwitches)
	mux.HandleFunc("POST /dev/switches", s.setSwitches)
	mux.HandleFunc("DELETE /dev/switches", func(w http.ResponseWriter, r *http.Request) {
		s.Set(func(all *Switches) { *all = Switches{} })
		s.showSwitches(w, r)
	})
	mux.HandleFunc("POST /dev/expire", s.expire)
	mux.HandleFunc("POST /dev/merge", s.merge)
	return loopbackOnly(http.NewCrossOriginProtection().Handler(mux))
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopbackHost(r.Host) {
			http.Error(w, "for this machine alone", http.StatusForbidden)
			return
		}
		if r.Method == http.MethodPost {
			mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if mediaType != "application/json" {
				http.Error(w, "send application/json", http.StatusUnsupportedMediaType)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

func (s *Server) showSwitches(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Switches())
}

func (s *Server) setSwitches(w http.ResponseWriter, r *http.Request) {
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if err := s.trySet(func(all *Switches) error { return all.apply(body) }); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.showSwitches(w, r)
}

func (s *Server) expire(w http.ResponseWriter, r *http.Request) {
	var e Expiry
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		http.Error(w, "decode expiry: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.Expire(e); errors.Is(err, ErrUnknown) {
		http.Error(w, "no such person or account", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) showControls(w http.ResponseWriter, _ *http.Request) {
	var switches strings.Builder
	encoder := json.NewEncoder(io.Writer(&switches))
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s.Switches()); err != nil {
		http.Error(w, "cannot show the switches", http.StatusInternalServerError)
		return
	}
	var people []personView
	for _, p := range s.directory.People() {
		people = append(people, s.view(p))
	}
	s.render(w, http.StatusOK, "dev.html", map[string]any{
		"Issuer": s.config.Issuer, "People": people, "Counters": s.Counters(), "Switches": switches.String(),
	})
}
