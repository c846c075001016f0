package devrollup

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Merging says which identity forwards to which, at POST /dev/merge: identity
// URNs or keys such as alice.
type Merging struct {
	Older string `json:"older"`
	Into  string `json:"into"`
}

// Merge merges an identity into another, as Rollup does where both turn out to
// be one person's. The other gets the accounts, wallets and consents. The older
// one forwards: who signs in as it is the other, and so is the one whom its
// tokens that are out speak of, whatever "sub" is in them; a refresh names the
// other in the new access token. ErrUnknown where there is no such identity. It
// lasts until the process ends.
func (s *Server) Merge(m Merging) error {
	older, into, err := s.directory.merge(m.Older, m.Into)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, ok := s.consents[older]
	if !ok {
		return nil
	}
	to := s.consents[into]
	if to.email == "" {
		to.email = from.email
	}
	to.scopes = union(to.scopes, from.scopes)
	to.accounts = union(to.accounts, from.accounts)
	to.wallets = union(to.wallets, from.wallets)
	s.consents[into] = to
	delete(s.consents, older)
	return nil
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, one := range b {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// merge returns the URNs of both identities.
func (d *Directory) merge(older, into string) (olderURN, intoURN string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, err := d.find(older)
	if err != nil {
		return "", "", err
	}
	to, err := d.find(into)
	if err != nil || from == to {
		return "", "", ErrUnknown
	}
	olderURN, intoURN = from.URN, to.URN
	to.Accounts = append(to.Accounts, from.Accounts...)
	to.Wallets = append(to.Wallets, from.Wallets...)
	d.forwards[from.URN], d.forwards[from.Key] = to.URN, to.URN
	d.people = slices.DeleteFunc(d.people, func(p Person) bool { return p.URN == olderURN })
	return olderURN, intoURN, nil
}

// identity returns the identity that the URN stands for now.
func (d *Directory) identity(urn string) string {
	person, err := d.Person(urn)
	if err != nil {
		return urn
	}
	return person.URN
}

func (s *Server) merge(w http.ResponseWriter, r *http.Request) {
	var m Merging
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		http.Error(w, "decode merging: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.Merge(m); err != nil {
		http.Error(w, "no such two people", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
