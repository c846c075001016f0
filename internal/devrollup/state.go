package devrollup

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// state is what Passport remembers, as it is kept between runs. The people, and
// what Galaxy keeps for them, begin anew each time.
type state struct {
	Key            []byte // the signing key, PKCS #8
	KeyID          string
	Visitors       map[string]string
	Consents       map[string]keptConsent
	Authorizations []keptAuthorization // the refreshable ones first, oldest first
	Access         map[string]int      // "jti" → index of its authorization
	Refresh        map[string]keptRefresh
}

type keptConsent struct {
	Scopes   []string
	Email    string
	Accounts []string
	Wallets  []string
}

type keptAuthorization struct {
	Person string
	Scopes []string
	Dead   bool
}

type keptRefresh struct {
	Of   int
	Used bool
}

// Save writes what Load reads: the signing key is in it.
func (s *Server) Save(w io.Writer) error {
	key, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return fmt.Errorf("encode signing key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := state{
		Key: key, KeyID: s.keyID, Visitors: s.visitors, Consents: map[string]keptConsent{},
		Access: map[string]int{}, Refresh: map[string]keptRefresh{},
	}
	all := slices.Clone(s.order)
	index := func(a *authorization) int {
		i := slices.Index(all, a)
		if i < 0 {
			all, i = append(all, a), len(all)
		}
		return i
	}
	for person, c := range s.consents {
		kept.Consents[person] = keptConsent{c.scopes, c.email, c.accounts, c.wallets}
	}
	for id, a := range s.access {
		kept.Access[id] = index(a)
	}
	for id, r := range s.refresh {
		kept.Refresh[id] = keptRefresh{index(r.of), r.used}
	}
	for i, a := range all {
		kept.Authorizations = append(kept.Authorizations, keptAuthorization{a.person, a.scopes, a.dead || i >= len(s.order)})
	}
	if err := json.NewEncoder(w).Encode(kept); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// Load makes the server remember what an earlier one saved, in place of what it
// knows. It must be called before the server is used.
func (s *Server) Load(r io.Reader) error {
	var kept state
	if err := json.NewDecoder(r).Decode(&kept); err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(kept.Key)
	if err != nil {
		return fmt.Errorf("read signing key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("read signing key: it is of another kind")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.keyID = key, kept.KeyID
	for cookie, person := range kept.Visitors {
		s.visitors[cookie] = person
	}
	for person, c := range kept.Consents {
		s.consents[person] = consent{scopes: c.Scopes, email: c.Email, accounts: c.Accounts, wallets: c.Wallets}
	}
	all := make([]*authorization, len(kept.Authorizations))
	for i, a := range kept.Authorizations {
		all[i] = &authorization{person: a.Person, scopes: a.Scopes, dead: a.Dead}
		if !a.Dead {
			s.order = append(s.order, all[i])
		}
	}
	at := func(i int) *authorization {
		if i < 0 || i >= len(all) {
			return &authorization{dead: true}
		}
		return all[i]
	}
	for id, i := range kept.Access {
		s.access[id] = at(i)
	}
	for id, r := range kept.Refresh {
		s.refresh[id] = &refreshToken{of: at(r.Of), used: r.Used}
	}
	return nil
}
