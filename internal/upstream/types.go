package upstream

import (
	"encoding/json"
	"fmt"
	"time"
)

// Claims are what userinfo says of a user, by their consent (OpenID Connect
// Core 1.0, section 5.1, and Rollup's own). Nil is what it does not say.
type Claims struct {
	Name              *string  `json:"name"`
	Picture           *string  `json:"picture"`
	Email             *string  `json:"email"`
	ConnectedAccounts Accounts `json:"connected_accounts"`
	Wallets           []Wallet `json:"erc_4337"`
}

// Accounts are the accounts that the user consented to share.
type Accounts []Account

// Account is a connected account as the user consented to share it. Type and
// identifier together tell it from the user's others.
type Account struct {
	Type       string `json:"type"` // the provider's word: "eth", "email", …
	Identifier string `json:"identifier"`
}

// Wallet is a smart-contract wallet (ERC-4337).
type Wallet struct {
	Nickname *string `json:"nickname"`
	Address  string  `json:"address"`
}

// App is an application that the user has authorized.
type App struct {
	ClientID     string
	Title        string
	Icon         *string
	AuthorizedAt time.Time
}

// UnmarshalJSON implements json.Unmarshaler for Galaxy's App, whose timestamp is
// in milliseconds.
func (a *App) UnmarshalJSON(b []byte) error {
	var wire struct {
		ClientID  string  `json:"clientId"`
		Title     string  `json:"title"`
		Icon      *string `json:"icon"`
		Timestamp float64 `json:"timestamp"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return fmt.Errorf("decode app: %w", err)
	}
	*a = App{
		ClientID:     wire.ClientID,
		Title:        wire.Title,
		Icon:         wire.Icon,
		AuthorizedAt: time.UnixMilli(int64(wire.Timestamp)).UTC(),
	}
	return nil
}
