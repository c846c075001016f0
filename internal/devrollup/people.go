package devrollup

import "time"

// The identities of the two people; their keys in forms are "alice" and "bob".
const (
	AliceURN = "urn:rollupid:identity/0xa11ce0000000000000000000000000000000a11c"
	BobURN   = "urn:rollupid:identity/0xb0b0000000000000000000000000000000000b0b"
)

// Person is someone who can sign in.
type Person struct {
	Key      string // what the sign-in form posts
	URN      string // the identity URN, "sub"
	Name     string
	Image    string // a name under /images/
	NFT      bool   // whether the picture is an NFTPFP
	IsToken  bool   // NFTPFP.isToken
	Email    string // the identifier of one of the accounts
	Accounts []Account
	Wallets  []Wallet
	Apps     []App
}

// Account is an account connected to an identity.
type Account struct {
	URN        string
	Type       string // rc.addr_type
	Identifier string // qc.alias
	Title      string
	Image      string // a name under /images/
	Public     bool   // whether Galaxy shows it
}

// Wallet is a smart-contract wallet (ERC-4337).
type Wallet struct {
	Nickname string
	Address  string
}

// App is an application that a person has authorized.
type App struct {
	ClientID string
	Title    string
	Image    string // a name under /images/
	Since    time.Time
	Scopes   []string
}

func alice() Person {
	return Person{
		Key: "alice", URN: AliceURN, Name: "Alice Example", Image: "alice.svg",
		NFT: true, IsToken: true, Email: "alice@example.com",
		Accounts: []Account{
			{
				URN: "urn:rollupid:account/0x1a00000000000000000000000000000000000001", Type: "eth",
				Identifier: "0x1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
				Title:      "alice.eth", Image: "ethereum.svg", Public: true,
			},
			{
				URN: "urn:rollupid:account/0x1a00000000000000000000000000000000000002", Type: "email",
				Identifier: "alice@example.com", Title: "Alice's mail", Image: "mail.svg",
			},
			{
				URN: "urn:rollupid:account/0x1a00000000000000000000000000000000000003", Type: "github",
				Identifier: "alice-example", Title: "Alice on GitHub", Image: "github.svg", Public: true,
			},
			{
				URN: "urn:rollupid:account/0x1a00000000000000000000000000000000000004", Type: "farcaster",
				Identifier: "alice.cast", Title: "Alice's casts", Image: "farcaster.svg", Public: true,
			},
		},
		Wallets: []Wallet{
			{Nickname: "Everyday", Address: "0x4337a11ce00000000000000000000000000000a1"},
			{Nickname: "Savings", Address: "0x4337a11ce00000000000000000000000000000a2"},
		},
		Apps: []App{{
			ClientID: "ticket-booth", Title: "Ticket Booth", Image: "ticket-booth.svg",
			Since: time.Date(2026, time.March, 14, 9, 26, 53, 0, time.UTC), Scopes: []string{"openid", "profile"},
		}},
	}
}

func bob() Person {
	return Person{
		Key: "bob", URN: BobURN, Name: "Bob Example", Image: "bob.svg", Email: "bob@example.org",
		Accounts: []Account{
			{
				URN: "urn:rollupid:account/0xb000000000000000000000000000000000000001", Type: "google",
				Identifier: "bob@example.org", Title: "Bob at Google", Image: "google.svg",
			},
			{
				URN: "urn:rollupid:account/0xb000000000000000000000000000000000000002", Type: "eth",
				Identifier: "0xb1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e",
				Title:      "bob.eth", Image: "ethereum.svg", Public: true,
			},
			{
				URN: "urn:rollupid:account/0xb000000000000000000000000000000000000003", Type: "discord",
				Identifier: "bob#4337", Title: "Bob on Discord", Image: "discord.svg", Public: true,
			},
		},
		Wallets: []Wallet{{Nickname: "Bob's wallet", Address: "0x4337b0b0000000000000000000000000000000b1"}},
		Apps: []App{{
			ClientID: "recipe-box", Title: "Recipe Box", Image: "recipe-box.svg",
			Since: time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC), Scopes: []string{"openid", "profile", "email"},
		}},
	}
}
