package graph_test

import (
	"slices"
	"strings"

	"galaxygate/internal/devrollup"
)

// The objects of the reference, over the look-alike's directory.

func (r *reference) query() *refObject {
	return &refObject{"Query", map[string]refField{
		"viewer":  value(r.user(r.caller.URN)),
		"session": value(r.session()),
		"node": func(arguments map[string]any, _ []refSelection) (any, error) {
			id, _ := arguments["id"].(string)
			switch {
			case strings.HasPrefix(id, "urn:rollupid:identity/"):
				return r.user(id), nil
			case id == r.sessionID:
				return r.session(), nil
			case strings.Contains(id, "account"):
				return r.accountNode(id)
			}
			return nil, nil
		},
	}}
}

func (r *reference) session() *refObject {
	return &refObject{"Session", map[string]refField{
		"id": value(r.sessionID), "current": value(true), "kind": value("BROWSER"),
		"user": func(map[string]any, []refSelection) (any, error) { return r.user(r.caller.URN), nil },
	}}
}

// own is a field that is the viewer's alone, for consent to the scope, if any.
func (r *reference) own(urn, scope string, f refField) refField {
	return func(arguments map[string]any, selected []refSelection) (any, error) {
		if urn != r.caller.URN {
			return nil, refError("FORBIDDEN")
		}
		if scope != "" && !slices.Contains(r.scopes, scope) {
			return nil, refError("INSUFFICIENT_SCOPE")
		}
		return f(arguments, selected)
	}
}

func (r *reference) user(urn string) *refObject {
	p := r.caller
	return &refObject{"User", map[string]refField{
		"id":      value(urn),
		"profile": r.root("profile", func(map[string]any, []refSelection) (any, error) { return r.profile(urn), nil }),
		"email":   r.own(urn, "email", value(p.Email)),
		"name":    r.own(urn, "profile", value(p.Name)),
		"picture": r.own(urn, "profile", value(r.image(p.Image))),
		"smartContractWallets": r.own(urn, "erc_4337", value(list(p.Wallets, func(w devrollup.Wallet) any {
			return &refObject{"SmartContractWallet", map[string]refField{"nickname": value(w.Nickname), "address": value(w.Address)}}
		}))),
		"connectedAccounts": r.own(urn, "connected_accounts", r.accounts),
		"authorizedApps":    r.own(urn, "", r.root("authorizedApps", r.apps)),
		"appData":           r.own(urn, "", r.root("getExternalAppData", value(r.appData[p.URN]))),
		"galaxy":            r.own(urn, "", value(r.galaxy())),
		"authorization": r.own(urn, "", value(&refObject{"Authorization", map[string]refField{
			"status": value("ACTIVE"), "scopes": value(list(r.scopes, func(s string) any { return s })),
		}})),
		"sessions": r.own(urn, "", func(map[string]any, []refSelection) (any, error) {
			return &refObject{"SessionConnection", map[string]refField{
				"totalCount": value(1.), "nodes": value([]any{r.session()}),
				"edges": value([]any{&refObject{"SessionEdge", map[string]refField{"node": value(r.session())}}}),
			}}, nil
		}),
	}}
}

// apps leaves out what Galaxy has no title for where one is asked for, and says so
// once.
func (r *reference) apps(_ map[string]any, selected []refSelection) (any, error) {
	titled := slices.ContainsFunc(selected, func(s refSelection) bool { return s.field.Name == "title" })
	if titled && slices.Contains(r.failing, "App.title") {
		return []any{}, upstreamError
	}
	return list(r.caller.Apps, func(a devrollup.App) any {
		return &refObject{"AuthorizedApp", map[string]refField{
			"clientId": value(a.ClientID), "title": value(a.Title), "icon": value(r.image(a.Image)),
		}}
	}), nil
}

// shownFails reports whether it cannot be known which accounts Galaxy shows.
func (r *reference) shownFails() bool {
	return r.lost || slices.Contains(r.failing, "connectedAccounts") || slices.Contains(r.failing, "Node.qc")
}

// ids of the accounts that Galaxy does not show, as they once were.
var hidden = map[string]string{"alice@example.com": "account:iJ6H_APQR3gjpznyaVVXUA", "bob@example.org": "account:g8005wT0r3jd-P4xufZEow"}

func (r *reference) account(a devrollup.Account) *refObject {
	known := func(f refField) refField {
		return func(arguments map[string]any, selected []refSelection) (any, error) {
			if r.shownFails() {
				return nil, upstreamError
			}
			return f(arguments, selected)
		}
	}
	card := func(name string, v any) refField {
		return known(func(map[string]any, []refSelection) (any, error) {
			if !a.Public {
				return nil, nil
			}
			for _, failing := range []string{"accountProfiles", "AccountProfile.id", name} {
				if slices.Contains(r.failing, failing) {
					return nil, upstreamError
				}
			}
			return v, nil
		})
	}
	id, kind := a.URN, strings.ToUpper(a.Type)
	if !a.Public {
		id = hidden[a.Identifier]
	}
	if a.Type == "farcaster" {
		kind = "OTHER"
	}
	return &refObject{"ConnectedAccount", map[string]refField{
		"id": known(value(id)), "type": value(kind), "rawType": value(a.Type), "identifier": value(a.Identifier),
		"title": card("AccountProfile.title", a.Title), "icon": card("AccountProfile.icon", r.image(a.Image)),
	}}
}

func (r *reference) accountNode(id string) (any, error) {
	if !slices.Contains(r.scopes, "connected_accounts") {
		return nil, refError("INSUFFICIENT_SCOPE")
	}
	if r.shownFails() {
		return nil, upstreamError
	}
	for _, a := range r.caller.Accounts {
		if a.Public && a.URN == id || !a.Public && hidden[a.Identifier] == id {
			return r.account(a), nil
		}
	}
	return nil, nil
}

func (r *reference) accounts(arguments map[string]any, _ []refSelection) (any, error) {
	accounts := slices.SortedFunc(slices.Values(r.caller.Accounts), func(a, b devrollup.Account) int {
		return strings.Compare(a.Type+"\x00"+a.Identifier, b.Type+"\x00"+b.Identifier)
	})
	if types, ok := arguments["types"].([]any); ok {
		accounts = slices.DeleteFunc(accounts, func(a devrollup.Account) bool {
			return !slices.Contains(types, any(strings.ToUpper(a.Type)))
		})
	}
	total := len(accounts)
	if first, ok := arguments["first"]; ok && first != nil {
		accounts = accounts[:min(int(asInt(first)), total)]
	}
	return &refObject{"ConnectedAccountConnection", map[string]refField{
		"totalCount": value(float64(total)),
		"nodes":      value(list(accounts, func(a devrollup.Account) any { return r.account(a) })),
		"edges": value(list(accounts, func(a devrollup.Account) any {
			return &refObject{"ConnectedAccountEdge", map[string]refField{"node": value(r.account(a))}}
		})),
		"pageInfo": value(&refObject{"PageInfo", map[string]refField{
			"hasNextPage": value(len(accounts) < total), "hasPreviousPage": value(false),
		}}),
	}}, nil
}

// galaxy is Galaxy's own Query.
func (r *reference) galaxy() *refObject {
	target := func(arguments map[string]any) string {
		if urn, ok := arguments["targetIdentityURN"].(string); ok {
			return urn
		}
		return r.caller.URN
	}
	fields := map[string]refField{
		"profile": func(arguments map[string]any, _ []refSelection) (any, error) {
			return r.profile(target(arguments)), nil
		},
		"connectedAccounts": func(arguments map[string]any, _ []refSelection) (any, error) {
			p, ok := r.known(target(arguments))
			if !ok {
				return nil, nil
			}
			public := slices.DeleteFunc(slices.Clone(p.Accounts), func(a devrollup.Account) bool { return !a.Public })
			return list(public, r.node), nil
		},
		"authorizedApps": value(list(r.caller.Apps, func(a devrollup.App) any {
			return &refObject{"GalaxyApp", map[string]refField{
				"clientId": value(a.ClientID), "icon": value(r.image(a.Image)), "title": r.fallible("App.title", a.Title),
				"timestamp": value(float64(a.Since.UnixMilli())),
			}}
		})),
		"identityFromAlias": func(arguments map[string]any, _ []refSelection) (any, error) {
			for _, p := range r.people {
				for _, a := range p.Accounts {
					if a.Type == arguments["provider"] && a.Identifier == arguments["alias"] {
						return p.URN, nil
					}
				}
			}
			return nil, upstreamError
		},
		"accountProfile": func(arguments map[string]any, _ []refSelection) (any, error) {
			return r.card(arguments["accountURN"])
		},
		"accountProfiles": func(arguments map[string]any, _ []refSelection) (any, error) {
			urns, _ := arguments["accountURNList"].([]any)
			cards := []any{}
			for _, urn := range urns {
				card, err := r.card(urn)
				if err != nil {
					return nil, err
				}
				cards = append(cards, card)
			}
			return cards, nil
		},
		"scopes":                  r.scopesOf,
		"getExternalAppData":      value(r.appData[r.caller.URN]),
		"getAuthorizedIdentities": r.identities,
	}
	for name, f := range fields {
		fields[name] = r.root(name, f)
	}
	return &refObject{"GalaxyQuery", fields}
}

func (r *reference) known(urn string) (devrollup.Person, bool) {
	i := slices.IndexFunc(r.people, func(p devrollup.Person) bool { return p.URN == urn })
	if i < 0 {
		return devrollup.Person{}, false
	}
	return r.people[i], true
}

func (r *reference) image(name string) string { return r.url + "/images/" + name }

// profile is nil, and no *refObject, where there is none.
func (r *reference) profile(urn string) any {
	p, ok := r.known(urn)
	if !ok {
		return nil
	}
	picture := &refObject{"StandardPFP", map[string]refField{"image": value(r.image(p.Image))}}
	if p.NFT {
		picture = &refObject{"NFTPFP", map[string]refField{
			"image": r.fallible("NFTPFP.image", r.image(p.Image)), "isToken": value(p.IsToken),
		}}
	}
	return &refObject{"GalaxyProfile", map[string]refField{
		"displayName": r.fallible("Profile.displayName", p.Name), "pfp": r.fallible("Profile.pfp", picture),
	}}
}

func (r *reference) node(a devrollup.Account) any {
	nss := strings.TrimPrefix(a.URN, "urn:rollupid:")
	return &refObject{"GalaxyNode", map[string]refField{
		"id": value(strings.TrimPrefix(nss, "account/")), "baseUrn": value(a.URN), "nid": value("rollupid"), "nss": value(nss),
		"urn":      r.fallible("Node.urn", a.URN+"?+addr_type="+a.Type+"?=alias="+a.Identifier),
		"fragment": value(nil), "rc": value(map[string]any{"addr_type": a.Type}),
		"qc": r.fallible("Node.qc", map[string]any{"alias": a.Identifier, "hidden": false, "public": true}),
	}}
}

func (r *reference) card(urn any) (any, error) {
	for _, p := range r.people {
		for _, a := range p.Accounts {
			if a.URN == urn && (a.Public || p.URN == r.caller.URN) {
				return &refObject{"GalaxyAccountProfile", map[string]refField{
					"id": r.fallible("AccountProfile.id", a.URN), "type": value(a.Type), "address": value(a.Identifier),
					"title": r.fallible("AccountProfile.title", a.Title), "icon": r.fallible("AccountProfile.icon", r.image(a.Image)),
				}}, nil
			}
		}
	}
	return nil, upstreamError
}

func (r *reference) scopesOf(arguments map[string]any, _ []refSelection) (any, error) {
	all := []any{}
	for _, a := range r.caller.Apps {
		for _, known := range [][2]string{
			{"profile", "Profile"}, {"email", "E-mail"}, {"connected_accounts", "Connected accounts"}, {"erc_4337", "Smart contract wallets"},
		} {
			if a.ClientID == arguments["clientId"] && slices.Contains(a.Scopes, known[0]) {
				all = append(all, &refObject{"GalaxyScope", map[string]refField{
					"permission": r.fallible("Scope.permission", known[1]), "scopes": value([]any{known[0]}),
				}})
			}
		}
	}
	return all, nil
}

func (r *reference) identities(arguments map[string]any, _ []refSelection) (any, error) {
	options, _ := arguments["opts"].(map[string]any)
	who := slices.DeleteFunc(slices.Clone(r.people), func(p devrollup.Person) bool {
		return !slices.ContainsFunc(p.Apps, func(a devrollup.App) bool { return a.ClientID == "app" })
	})
	from := min(int(asInt(options["offset"])), len(who))
	to := min(from+int(asInt(options["limit"])), len(who))
	return list(who[from:to], func(p devrollup.Person) any {
		return &refObject{"GalaxyAuthorizationIdentity", map[string]refField{
			"identityURN": value(p.URN), "name": r.fallible("AuthorizationIdentity.name", p.Name), "imageURL": value(r.image(p.Image)),
		}}
	}), nil
}
