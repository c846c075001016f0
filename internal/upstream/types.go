package upstream

import (
	"encoding/json"
	"fmt"
	"time"
)

// Claims are what userinfo says of a user, by their consent (OpenID Connect
// Core 1.0, section 5.1, and Rollup's own). Nil is what it does not say.
type Claims struct {
	Name              *string   `json:"name"`
	Picture           *string   `json:"picture"`
	Email             *string   `json:"email"`
	ConnectedAccounts []Account `json:"connected_accounts"`
	Wallets           []Wallet  `json:"erc_4337"`
}

// Account is a connected account as the user consented to share it. Type and
// identifier together tell it from the user's others.
type Account struct {
	Type       string `json:"type"` // the provider's word: "eth", "email", …
	Identifier string `json:"identifier"`
}

// Card is how Galaxy presents an account. Nil is what it does not show.
type Card struct {
	Title *string
	Icon  *string
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

// Profile is a user's public profile.
type Profile struct {
	DisplayName *string
	Pfp         PFP // nil: none
}

// PFP is a profile picture: a StandardPFP or an NFTPFP.
type PFP interface {
	// IsPfp marks the kinds of profile pictures.
	IsPfp()
}

// StandardPFP is an image.
type StandardPFP struct {
	Image *string `json:"image"`
}

// NFTPFP is the image of a non-fungible token.
type NFTPFP struct {
	Image   *string `json:"image"`
	IsToken *bool   `json:"isToken"`
}

// IsPfp implements PFP.
func (StandardPFP) IsPfp() {}

// IsPfp implements PFP.
func (NFTPFP) IsPfp() {}

// UnmarshalJSON implements json.Unmarshaler. A kind of picture that is not known
// here is none.
func (p *Profile) UnmarshalJSON(b []byte) error {
	var wire struct {
		DisplayName *string `json:"displayName"`
		PFP         *struct {
			Typename string `json:"__typename"`
			NFTPFP
		} `json:"pfp"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return fmt.Errorf("decode profile: %w", err)
	}
	*p = Profile{DisplayName: wire.DisplayName}
	if wire.PFP == nil {
		return nil
	}
	switch wire.PFP.Typename {
	case "StandardPFP":
		p.Pfp = StandardPFP{Image: wire.PFP.Image}
	case "NFTPFP":
		p.Pfp = wire.PFP.NFTPFP
	}
	return nil
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
