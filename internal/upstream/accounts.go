package upstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"galaxygate/internal/plan"
)

// Errors of what is done with a connected account.
var (
	// ErrAccountNotFound means that the user has not shared such an account.
	ErrAccountNotFound = errors.New("account not found")
	// ErrAccountNotShown means that Galaxy does not show the account, which
	// therefore cannot be changed from here.
	ErrAccountNotShown = errors.New("account not shown by galaxy")
)

// The prefixes of the IDs of accounts: Rollup's account URNs, and the gateway's
// own for accounts that Galaxy does not show.
const (
	accountURNPrefix = "urn:rollupid:account/"
	ownIDPrefix      = "account:"
)

// IsAccountID reports whether the ID may be that of an account.
func IsAccountID(id string) bool {
	return strings.HasPrefix(id, accountURNPrefix) || strings.HasPrefix(id, ownIDPrefix)
}

// UnmarshalJSON implements json.Unmarshaler: the accounts come each once, ordered
// by type and identifier.
func (a *Accounts) UnmarshalJSON(b []byte) error {
	var all []Account
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("decode accounts: %w", err)
	}
	all = slices.DeleteFunc(all, func(a Account) bool { return a.Identifier == "" })
	slices.SortFunc(all, func(a, b Account) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Identifier, b.Identifier))
	})
	*a = slices.Compact(all)
	return nil
}

// Shown are the accounts that Galaxy shows: their URNs.
type Shown map[Account]string

// UnmarshalJSON implements json.Unmarshaler for what plan.Accounts asks for.
func (s *Shown) UnmarshalJSON(b []byte) error {
	var nodes []struct {
		BaseURN string `json:"baseUrn"`
		QC      struct {
			Alias string `json:"alias"`
		} `json:"qc"`
		RC struct {
			Type string `json:"addr_type"`
		} `json:"rc"`
	}
	if err := json.Unmarshal(b, &nodes); err != nil {
		return fmt.Errorf("decode shown accounts: %w", err)
	}
	*s = make(Shown, len(nodes))
	for _, n := range nodes {
		(*s)[canonical(Account{Type: n.RC.Type, Identifier: n.QC.Alias})] = bareURN(n.BaseURN)
	}
	return nil
}

// ShownIn are the accounts in the answer to plan.Accounts.
func ShownIn(a *Answer) (Shown, error) {
	shown, err := decode[Shown](a)
	if err == nil && len(a.Errors) > 0 {
		err = a.Errors[0].Error
	}
	return shown, err
}

// URN is what Galaxy calls the account; empty where it does not show it.
func (s Shown) URN(a Account) string { return s[canonical(a)] }

// ID is the account's URN where Galaxy shows the account, else an ID of the
// gateway's own.
func (s Shown) ID(a Account) string { return cmp.Or(s.URN(a), ownID(a)) }

// URNs are those of the accounts that are shown.
func (s Shown) URNs(accounts []Account) []string {
	var urns []string
	for _, a := range accounts {
		if urn := s.URN(a); urn != "" {
			urns = append(urns, urn)
		}
	}
	return urns
}

// Find returns the one of the accounts that has that ID, or ErrAccountNotFound.
func (s Shown) Find(accounts []Account, id string) (Account, error) {
	i := slices.IndexFunc(accounts, func(a Account) bool { return s.ID(a) == id })
	if i < 0 {
		return Account{}, ErrAccountNotFound
	}
	return accounts[i], nil
}

// Cards are how Galaxy shows accounts: their titles and icons, by URN.
type Cards struct {
	indices map[string]int
	cards   []map[string]*string
	errors  []FieldError
}

// CardsIn are those in the answer to plan.Cards.
func CardsIn(a *Answer) (Cards, error) {
	cards, err := decode[[]map[string]*string](a)
	c := Cards{indices: make(map[string]int, len(cards)), cards: cards, errors: a.Errors}
	for i, card := range cards {
		if id := card["id"]; id != nil {
			c.indices[bareURN(*id)] = i
		}
	}
	return c, err
}

// Of is the "title" or the "icon" of the account with that URN; nil where Galaxy
// has none.
func (c Cards) Of(urn, field string) (*string, error) {
	i, ok := c.indices[urn]
	for _, e := range c.errors {
		if len(e.Path) < 2 || ok && e.Path[0] == i && e.Path[1] == field {
			return nil, e.Error
		}
	}
	if !ok {
		return nil, nil
	}
	return c.cards[i][field], nil
}

// DisconnectAccount disconnects the account with that ID from the user's
// identity. It returns ErrAccountNotFound, or ErrAccountNotShown.
func (c *Client) DisconnectAccount(ctx context.Context, who Caller, id string) error {
	if _, err := c.changeable(ctx, who, id); err != nil {
		return err
	}
	var data struct {
		Done bool `json:"disconnectAccount"`
	}
	return c.mutate(ctx, who, disconnectAccountDocument, map[string]any{"urn": id}, &data, &data.Done)
}

// RenameAccount gives the account with that ID another title and returns it. It
// returns ErrAccountNotFound, or ErrAccountNotShown.
func (c *Client) RenameAccount(ctx context.Context, who Caller, id, title string) (Account, error) {
	a, err := c.changeable(ctx, who, id)
	if err != nil {
		return Account{}, err
	}
	var data struct {
		Done bool `json:"updateAccountNickname"`
	}
	return a, c.mutate(ctx, who, renameAccountDocument, map[string]any{"urn": id, "title": title}, &data, &data.Done)
}

// changeable returns the shared account with that ID, if Galaxy knows it too.
func (c *Client) changeable(ctx context.Context, who Caller, id string) (Account, error) {
	claims, err := c.Claims(ctx, who)
	if err != nil {
		return Account{}, err
	}
	question, err := plan.Accounts().With()
	if err != nil {
		return Account{}, err
	}
	shown, err := ShownIn(c.Ask(ctx, who, []plan.Question{question})[0])
	if err != nil {
		return Account{}, err
	}
	a, err := shown.Find(claims.ConnectedAccounts, id)
	if err == nil && id == ownID(a) {
		err = ErrAccountNotShown
	}
	return a, err
}

// canonical is the account as Galaxy and userinfo both would write it: they may
// differ in the case of the type, and of an address's hexadecimal digits.
func canonical(a Account) Account {
	a.Type = strings.ToLower(a.Type)
	if a.Type == "eth" || a.Type == "wallet" {
		a.Identifier = strings.ToLower(a.Identifier)
	}
	return a
}

// ownID is the ID of an account that Galaxy does not show.
func ownID(a Account) string {
	sum := sha256.Sum256([]byte(a.Type + ":" + a.Identifier))
	return ownIDPrefix + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// bareURN is the URN without the components that RFC 8141, section 2.3, lets
// follow the name.
func bareURN(urn string) string {
	if end := strings.IndexAny(urn, "?#"); end >= 0 {
		return urn[:end]
	}
	return urn
}
