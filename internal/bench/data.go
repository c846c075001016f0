package main

import (
	"fmt"
	"strings"
)

// shape says how much there is of what may be of any length.
type shape struct{ items, padding int }

// object is one of Galaxy's types; a field is a scalar, an object, or a list of
// objects.
type object struct {
	typename string
	fields   map[string]any
}

// galaxy returns the value of a field of Galaxy's Query. Nothing in it is null,
// and every item of a list takes as many bytes as the others.
func galaxy(name string, s shape) (any, bool) {
	switch name {
	case "profile":
		return galaxyProfileOf(s), true
	case "connectedAccounts":
		return many(s, connectedAccount), true
	case "authorizedApps":
		return many(s, authorizedApp), true
	case "accountProfile":
		return accountProfile(1), true
	case "accountProfiles":
		return many(s, accountProfile), true
	case "scopes":
		return many(s, func(i int) object {
			return object{"Scope", map[string]any{"permission": fmt.Sprintf("permission %04d", i), "scopes": []string{"openid", "profile"}}}
		}), true
	case "getAuthorizedIdentities":
		return many(s, authorizedIdentity), true
	case "identityFromAlias":
		return identityURN(1), true
	case "getExternalAppData":
		return appData(s), true
	}
	return nil, false
}

func many(s shape, item func(i int) object) []object {
	all := make([]object, s.items)
	for i := range all {
		all[i] = item(i + 1)
	}
	return all
}

// galaxyProfileOf has an image whose address is signed, as content networks do,
// with as long a signature as is wanted.
func galaxyProfileOf(s shape) object {
	image := image(1)
	if s.padding > 0 {
		image += "?sig=" + strings.Repeat("3f9a0c51d7e2b864", s.padding/16+1)[:max(s.padding-len("?sig="), 0)]
	}
	return object{"Profile", map[string]any{
		"displayName": "Alice",
		"pfp":         object{"StandardPFP", map[string]any{"image": image}},
	}}
}

func connectedAccount(i int) object {
	urn := accountURN(i)
	return object{"Node", map[string]any{
		"id": urn, "baseUrn": urn, "urn": urn + "?+addr_type=eth", "nid": "rollupid", "nss": "account/" + hex(i, 64), "fragment": "",
		"qc": map[string]any{"alias": address(i), "hidden": false, "public": true},
		"rc": map[string]any{"addr_type": "eth", "node_type": "crypto"},
	}}
}

func authorizedApp(i int) object {
	return object{"App", map[string]any{
		"clientId": hex(i, 32), "title": fmt.Sprintf("Application %04d", i), "icon": image(i), "timestamp": 1_700_000_000_000 + i,
	}}
}

func accountProfile(i int) object {
	return object{"AccountProfile", map[string]any{
		"id": accountURN(i), "type": "eth", "address": address(i), "title": fmt.Sprintf("Account %04d", i), "icon": image(i),
	}}
}

func authorizedIdentity(i int) object {
	return object{"AuthorizationIdentity", map[string]any{
		"identityURN": identityURN(i), "name": fmt.Sprintf("Person %04d", i), "imageURL": image(i),
	}}
}

// appData is a list of what an application may keep.
func appData(s shape) any {
	items := make([]any, s.items)
	for i := range items {
		items[i] = map[string]any{
			"id": hex(i, 16), "title": fmt.Sprintf("Item %04d", i), "done": i%2 == 0, "position": 1000.25 + float64(i%9000),
			"tags": []string{"home", "list"}, "due": map[string]any{"at": "2026-03-01T12:00:00Z", "remind": []int{5, 60}},
		}
	}
	return map[string]any{"version": 3, "items": items}
}

func address(i int) string     { return "0x" + hex(i, 40) }
func accountURN(i int) string  { return "urn:rollupid:account/0x" + hex(i, 64) }
func identityURN(i int) string { return "urn:rollupid:identity/0x" + hex(i, 64) }
func image(i int) string       { return "https://images.example.com/" + hex(i, 16) + "/public.png" }

// hex is a number for i of that many digits, 16 at least, which look random: times
// 2^64 divided by the golden ratio, without the lowest bits.
func hex(i, digits int) string {
	return fmt.Sprintf("%0*x", digits, uint64(i)*0x9e3779b97f4a7c15>>16)
}
