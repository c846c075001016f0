package graph

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"galaxygate/graph/model"
)

// knownScopes returns the scopes that the gateway knows. What each unlocks is
// read from the schema's @consent directives.
func knownScopes(schema *ast.Schema) []*model.ConsentScope {
	scopes := []*model.ConsentScope{
		{Name: "openid", Description: "Who the user is: the identity URN. Every sign-in asks for it."},
		{Name: "profile", Description: "The user's name and picture."},
		{Name: "email", Description: "The user's e-mail address."},
		{Name: "connected_accounts", Description: "The accounts that the user picks: what kind each is, and its address or name."},
		{Name: "erc_4337", Description: "The user's smart-contract wallets, and session keys for them."},
	}
	unlocks := consentFields(schema)
	for _, scope := range scopes {
		scope.Unlocks = unlocks[scope.Name]
		slices.Sort(scope.Unlocks)
	}
	return scopes
}

// consentFields returns the fields that need each scope, as Type.field.
func consentFields(schema *ast.Schema) map[string][]string {
	fields := make(map[string][]string)
	for _, definition := range schema.Types {
		for _, field := range definition.Fields {
			directive := field.Directives.ForName("consent")
			if directive == nil {
				continue
			}
			for _, scope := range directive.Arguments.ForName("scopes").Value.Children {
				fields[scope.Value.Raw] = append(fields[scope.Value.Raw], definition.Name+"."+field.Name)
			}
		}
	}
	return fields
}

// accountType is the schema's word for the provider's.
func accountType(raw string) model.AccountType {
	if t := model.AccountType(strings.ToUpper(raw)); t.IsValid() {
		return t
	}
	return model.AccountTypeOther
}
