package main

import (
	"fmt"
	"slices"
	"strings"
)

// The sizes of an answer.
const (
	tiny  = 45
	small = 1 << 10
	large = 100 << 10
)

// scenario is one operation of a client's, and what the proxy is asked instead.
type scenario struct {
	name  string
	about string
	// operation is the client's, and document what the proxy fetches of the stub:
	// an answer of the same size.
	operation, document string
	bytes               int // of the answer, about
	fields              int // among which the bytes are divided: those of Galaxy's Query
	remember            bool
}

// perField is how large the stub makes the value of one field of Galaxy's Query.
func (s scenario) perField() int { return s.bytes / s.fields }

// settings are the gateway's for this scenario, beside the ordinary ones.
func (s scenario) settings() map[string]string {
	if s.remember {
		return nil
	}
	return map[string]string{"GALAXY_CACHE": "0"}
}

const (
	profile  = `profile { displayName pfp { ... on StandardPFP { image } ... on NFTPFP { image isToken } } }`
	apps     = `authorizedApps { clientId title icon authorizedAt }`
	accounts = `connectedAccounts { nodes { type identifier } totalCount }`

	nodes = `connectedAccounts { id baseUrn urn nid nss qc rc }`

	galaxyProfile = `profile { displayName pfp { __typename ... on StandardPFP { image } ... on NFTPFP { image isToken } } }`
	galaxyApps    = `authorizedApps { clientId title icon timestamp }`
)

// scenarios is everything that is measured.
func scenarios() []scenario {
	return []scenario{{
		name: "A", about: "one Galaxy field",
		operation: viewer(profile), document: "{ " + galaxyProfile + " }",
		bytes: small, fields: 1,
	}, {
		name: "B", about: "one Galaxy field, a list of objects",
		operation: viewer(underGalaxy(nodes)), document: "{ " + nodes + " }",
		bytes: large, fields: 1,
	}, {
		name: "C", about: "ten Galaxy fields",
		operation: viewer(underGalaxy(repeat("p", 10, withURN(profile)))),
		document:  "{ " + repeat("p", 10, withURN(galaxyProfile)) + " }",
		bytes:     small, fields: 10,
	}, {
		name: "D", about: "ten Galaxy fields",
		operation: viewer(underGalaxy(repeat("a", 10, withURN(nodes)))),
		document:  "{ " + repeat("a", 10, withURN(nodes)) + " }",
		bytes:     large, fields: 10,
	}, {
		name: "E", about: "profile and accounts, remembered",
		operation: viewer(profile, accounts), document: "{ " + galaxyProfile + " connectedAccounts { qc rc } }",
		bytes: small, fields: 2, remember: true,
	}, {
		name: "F", about: "profile and accounts",
		operation: viewer(profile, accounts), document: "{ " + galaxyProfile + " connectedAccounts { qc rc } }",
		bytes: small, fields: 2,
	}, {
		name: "G", about: "one Galaxy field, a list that is decoded",
		operation: viewer(apps), document: "{ " + galaxyApps + " }",
		bytes: large, fields: 1,
	}, {
		name: "H", about: "no Galaxy field: a tiny answer",
		operation: viewer("id"), document: "{ one: __typename another: __typename }",
		bytes: tiny, fields: 1,
	}}
}

func viewer(fields ...string) string { return "{ viewer { " + strings.Join(fields, " ") + " } }" }

func underGalaxy(fields string) string { return "galaxy { " + fields + " }" }

// withURN gives the field an identity to be asked about.
func withURN(field string) string {
	return strings.Replace(field, " {", `(targetIdentityURN: "urn:rollupid:identity/0x%d") {`, 1)
}

// repeat returns the field n times under aliases that begin with that letter. A
// %d in it is the alias's number.
func repeat(alias string, n int, field string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d: %s", alias, i+1, strings.ReplaceAll(field, "%d", fmt.Sprint(i+1)))
	}
	return strings.Join(all, " ")
}

// choose returns the scenarios with these names, separated by commas; all where
// there are none.
func choose(names string) ([]scenario, error) {
	all := scenarios()
	if names == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
