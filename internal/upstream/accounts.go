package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
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

// Accounts returns the accounts that the user has consented to share, each once,
// ordered by type and identifier. It asks userinfo alone.
func (c *Client) Accounts(ctx context.Context, userID string) ([]Account, error) {
	claims, err := c.Claims(ctx, userID)
	if err != nil {
		return nil, err
	}
	accounts := slices.DeleteFunc(slices.Clone(claims.ConnectedAccounts), func(a Account) bool {
		return a.Identifier == ""
	})
	slices.SortFunc(accounts, func(a, b Account) int {
		if order := strings.Compare(a.Type, b.Type); order != 0 {
			return order
		}
		return strings.Compare(a.Identifier, b.Identifier)
	})
	return slices.Compact(accounts), nil
}

// AccountID returns the account's URN where Galaxy shows the account, else an ID
// of the gateway's own.
func (c *Client) AccountID(ctx context.Context, userID string, a Account) (string, error) {
	shown, err := c.shown(ctx, userID)
	if err != nil {
		return "", err
	}
	if urn, ok := shown[canonical(a)]; ok {
		return urn, nil
	}
	return ownID(a), nil
}

// Account returns the shared account with that ID, or ErrAccountNotFound.
func (c *Client) Account(ctx context.Context, userID, id string) (Account, error) {
	accounts, err := c.Accounts(ctx, userID)
	if err != nil {
		return Account{}, err
	}
	for _, a := range accounts {
		of, err := c.AccountID(ctx, userID, a)
		if err != nil {
			return Account{}, err
		}
		if of == id {
			return a, nil
		}
	}
	return Account{}, ErrAccountNotFound
}

// Card returns how Galaxy presents the account. It asks Galaxy for the cards of
// all shared accounts at once, once their URNs are known.
func (c *Client) Card(ctx context.Context, userID string, a Account) (Card, error) {
	accounts, err := c.Accounts(ctx, userID)
	if err != nil {
		return Card{}, err
	}
	shown, err := c.shown(ctx, userID)
	if err != nil {
		return Card{}, err
	}
	urn, ok := shown[canonical(a)]
	if !ok {
		return Card{}, nil
	}
	var urns []string
	for _, other := range accounts {
		if u, ok := shown[canonical(other)]; ok {
			urns = append(urns, u)
		}
	}
	data, err := query[struct {
		Profiles []struct {
			ID    string  `json:"id"`
			Title *string `json:"title"`
			Icon  *string `json:"icon"`
		} `json:"accountProfiles"`
	}](ctx, c, userID, accountProfilesDocument, map[string]any{"urns": urns})
	for _, p := range data.Profiles {
		if bareURN(p.ID) == urn {
			return Card{Title: p.Title, Icon: p.Icon}, err
		}
	}
	return Card{}, err
}

// DisconnectAccount disconnects the account with that ID from the user's
// identity. It returns ErrAccountNotFound, or ErrAccountNotShown.
func (c *Client) DisconnectAccount(ctx context.Context, userID, id string) error {
	if _, err := c.changeable(ctx, userID, id); err != nil {
		return err
	}
	var data struct {
		Done bool `json:"disconnectAccount"`
	}
	return c.mutate(ctx, userID, disconnectAccountDocument, map[string]any{"urn": id}, &data, &data.Done)
}

// RenameAccount gives the account with that ID another title and returns it. It
// returns ErrAccountNotFound, or ErrAccountNotShown.
func (c *Client) RenameAccount(ctx context.Context, userID, id, title string) (Account, error) {
	a, err := c.changeable(ctx, userID, id)
	if err != nil {
		return Account{}, err
	}
	var data struct {
		Done bool `json:"updateAccountNickname"`
	}
	return a, c.mutate(ctx, userID, renameAccountDocument, map[string]any{"urn": id, "title": title}, &data, &data.Done)
}

// changeable returns the shared account with that ID, if Galaxy knows it too.
func (c *Client) changeable(ctx context.Context, userID, id string) (Account, error) {
	a, err := c.Account(ctx, userID, id)
	if err == nil && id == ownID(a) {
		err = ErrAccountNotShown
	}
	return a, err
}

// shown returns the URNs of the accounts that Galaxy shows, by canonical account.
func (c *Client) shown(ctx context.Context, userID string) (map[Account]string, error) {
	data, err := query[struct {
		Nodes []struct {
			BaseURN string `json:"baseUrn"`
			QC      struct {
				Alias string `json:"alias"`
			} `json:"qc"`
			RC struct {
				Type string `json:"addr_type"`
			} `json:"rc"`
		} `json:"connectedAccounts"`
	}](ctx, c, userID, connectedAccountsDocument, nil)
	shown := make(map[Account]string, len(data.Nodes))
	for _, n := range data.Nodes {
		shown[canonical(Account{Type: n.RC.Type, Identifier: n.QC.Alias})] = bareURN(n.BaseURN)
	}
	return shown, err
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
