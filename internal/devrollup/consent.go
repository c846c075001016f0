package devrollup

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// errDataGone means that something which the person consented to is no longer
// theirs to show.
var errDataGone = errors.New("consented data is gone")

// consent is what a person lets the application see. It is never changed once
// it is stored.
type consent struct {
	scopes   []string
	email    string
	accounts []string // URNs of the connected accounts that were picked
	wallets  []string // addresses
}

// scopeInfo is a scope as the consent page explains it.
type scopeInfo struct {
	Name        string
	Title       string
	Description string
}

// knownScopes are the scopes that can be refused, in the order of the page.
// Others that are asked for are not granted; openid is implied.
func knownScopes() []scopeInfo {
	return []scopeInfo{
		{"profile", "Profile", "Your name and picture"},
		{"email", "E-mail", "Your e-mail address"},
		{"connected_accounts", "Connected accounts", "The accounts that you pick below"},
		{"erc_4337", "Smart contract wallets", "Nickname and address of your wallets"},
	}
}

// requestedScopes returns the known scopes among those of a scope parameter.
func requestedScopes(parameter string) []string {
	asked := strings.Fields(parameter)
	var scopes []string
	for _, known := range knownScopes() {
		if slices.Contains(asked, known.Name) {
			scopes = append(scopes, known.Name)
		}
	}
	return scopes
}

// claims returns what the scopes show of the person, or errDataGone.
func (s *Server) claims(p Person, c consent, scopes []string) (map[string]any, error) {
	all := map[string]any{"sub": p.URN}
	for _, scope := range scopes {
		if scope != "openid" && !slices.Contains(c.scopes, scope) {
			return nil, errDataGone
		}
		shown, err := s.scopeClaims(p, c, scope)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, shown)
	}
	return all, nil
}

func (s *Server) scopeClaims(p Person, c consent, scope string) (map[string]any, error) {
	switch scope {
	case "profile":
		return map[string]any{"name": p.Name, "picture": imageURL(s.config.Issuer, p.Image)}, nil
	case "email":
		if p.accountIndex(c.email) < 0 {
			return nil, errDataGone
		}
		return map[string]any{"email": c.email}, nil
	case "connected_accounts":
		accounts := make([]map[string]string, 0, len(c.accounts))
		for _, urn := range c.accounts {
			i := p.accountIndex(urn)
			if i < 0 {
				return nil, errDataGone
			}
			accounts = append(accounts, map[string]string{"type": p.Accounts[i].Type, "identifier": p.Accounts[i].Identifier})
		}
		return map[string]any{"connected_accounts": accounts}, nil
	case "erc_4337":
		wallets := make([]map[string]string, 0, len(c.wallets))
		for _, w := range p.Wallets {
			if slices.Contains(c.wallets, w.Address) {
				wallets = append(wallets, map[string]string{"nickname": w.Nickname, "address": w.Address})
			}
		}
		return map[string]any{"erc_4337": wallets}, nil
	}
	return nil, nil
}

// missingScopes returns the scopes that the person must still be asked for:
// those never granted, and those whose data is gone since.
func (s *Server) missingScopes(p Person, c consent, requested []string) []string {
	var missing []string
	for _, scope := range requested {
		if _, err := s.claims(p, c, []string{scope}); err != nil {
			missing = append(missing, scope)
		}
	}
	return missing
}

// consentOf returns the person's consent and whether there is one.
func (s *Server) consentOf(person string) (consent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.consents[person]
	return c, ok
}

// decide merges an answer into the earlier consent: of the scopes that were
// asked for, those allowed are in and the others out.
func decide(p Person, earlier consent, asked, allowed, accounts []string) consent {
	next := earlier
	next.scopes = nil
	for _, scope := range knownScopes() {
		wanted := allowed
		if !slices.Contains(asked, scope.Name) {
			wanted = earlier.scopes
		}
		if slices.Contains(wanted, scope.Name) {
			next.scopes = append(next.scopes, scope.Name)
		}
	}
	if slices.Contains(asked, "email") {
		next.email = p.Email
	}
	if slices.Contains(asked, "connected_accounts") {
		next.accounts = nil
		for _, a := range p.Accounts {
			if slices.Contains(accounts, a.URN) {
				next.accounts = append(next.accounts, a.URN)
			}
		}
	}
	if slices.Contains(asked, "erc_4337") {
		next.wallets = nil
		for _, w := range p.Wallets {
			next.wallets = append(next.wallets, w.Address)
		}
	}
	return next
}
