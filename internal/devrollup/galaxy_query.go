package devrollup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// resolver is the root of both operations.
type resolver struct{ *Galaxy }

var errFailing = errors.New("Unexpected error.") //nolint:staticcheck // GraphQL Yoga's own words

// The field names that switches may name.
func failableFields() []string {
	return []string{
		"profile", "connectedAccounts", "authorizedApps", "identityFromAlias", "accountProfile",
		"accountProfiles", "scopes", "getExternalAppData", "getAuthorizedIdentities",
		"AccountProfile.id", "AccountProfile.title", "AccountProfile.icon",
		"Profile.displayName", "Profile.pfp", "NFTPFP.image", "Node.urn", "Node.qc",
		"App.title", "Scope.permission", "AuthorizationIdentity.name",
	}
}

func mutationNames() []string {
	return []string{
		"disconnectAccount", "updateAccountNickname", "updateConnectedAccountsProperties",
		"revokeAppAuthorization", "setExternalAppData", "registerSessionKey",
	}
}

func validateGalaxyNames(mutations, fields []string) error {
	for _, name := range mutations {
		if !slices.Contains(mutationNames(), name) {
			return errors.New("refusedMutations: there is no " + name)
		}
	}
	for _, name := range fields {
		if !slices.Contains(failableFields(), name) {
			return errors.New("failingFields: there is no " + name)
		}
	}
	return nil
}

// jsonValue is the scalar JSON.
type jsonValue struct{ value any }

// ImplementsGraphQLType tells graphql-go which scalar this is.
func (jsonValue) ImplementsGraphQLType(name string) bool { return name == "JSON" }

// UnmarshalGraphQL takes any value.
func (j *jsonValue) UnmarshalGraphQL(input any) error {
	j.value = input
	return nil
}

// MarshalJSON implements json.Marshaler.
func (j jsonValue) MarshalJSON() ([]byte, error) { return json.Marshal(j.value) }

type profile struct {
	galaxy      *Galaxy
	displayName string
	pfp         *pfp
}

// DisplayName is the person's name.
func (p *profile) DisplayName() (*string, error) {
	return &p.displayName, p.galaxy.fails("Profile.displayName")
}

// PFP is the person's picture.
func (p *profile) PFP() (*pfp, error) { return p.pfp, p.galaxy.fails("Profile.pfp") }

type pfp struct {
	galaxy       *Galaxy
	image        string
	nft, isToken bool
}

type standardPFP struct{ Image *string }

type nftPFP struct {
	pfp     *pfp
	IsToken *bool
}

// Image is the picture's address.
func (p *nftPFP) Image() (*string, error) { return &p.pfp.image, p.pfp.galaxy.fails("NFTPFP.image") }

func (p *pfp) ToStandardPFP() (*standardPFP, bool) { return &standardPFP{&p.image}, !p.nft }

func (p *pfp) ToNFTPFP() (*nftPFP, bool) { return &nftPFP{p, &p.isToken}, p.nft }

type node struct {
	galaxy                *Galaxy
	urn                   string
	qc                    jsonValue
	ID, BaseURN, NID, NSS string
	Fragment              *string
	RC                    *jsonValue
}

// URN is the whole URN.
func (n *node) URN() (string, error) { return n.urn, n.galaxy.fails("Node.urn") }

// QC is the URN's q-component.
func (n *node) QC() (*jsonValue, error) { return &n.qc, n.galaxy.fails("Node.qc") }

type app struct {
	galaxy         *Galaxy
	title          string
	ClientID, Icon string
	Timestamp      float64
}

// Title is the application's name.
func (a *app) Title() (string, error) { return a.title, a.galaxy.fails("App.title") }

type accountProfile struct {
	galaxy  *Galaxy
	account Account
	Type    *string
	Address *string
}

type scope struct {
	galaxy     *Galaxy
	permission string
	Scopes     []*string
}

// Permission is what the person agreed to.
func (s *scope) Permission() (string, error) { return s.permission, s.galaxy.fails("Scope.permission") }

type authorizationIdentity struct {
	galaxy                *Galaxy
	name                  string
	IdentityURN, ImageURL *string
}

// Name is the person's name.
func (i *authorizationIdentity) Name() (*string, error) {
	return &i.name, i.galaxy.fails("AuthorizationIdentity.name")
}

// caller returns the person whose token came with the request.
func (r *resolver) caller(ctx context.Context) (Person, error) {
	identity, _ := ctx.Value(identityKey{}).(Identity)
	person, err := r.config.Directory.Person(identity.Subject)
	if err != nil {
		return Person{}, &galaxyError{http.StatusUnauthorized, "You are not authenticated!"}
	}
	return person, nil
}

// target returns the person that an argument names, else the caller.
func (r *resolver) target(ctx context.Context, urn *string) (Person, error) {
	if urn == nil {
		return r.caller(ctx)
	}
	return r.config.Directory.Person(*urn)
}

// fails returns the error of a field that the switches let fail.
func (g *Galaxy) fails(field string) error {
	if slices.Contains(g.Switches().FailingFields, field) {
		return errFailing
	}
	return nil
}

// Profile is null for an identity that there is not.
func (r *resolver) Profile(ctx context.Context, args struct{ TargetIdentityURN *string }) (*profile, error) {
	if err := r.fails("profile"); err != nil {
		return nil, err
	}
	p, err := r.target(ctx, args.TargetIdentityURN)
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &profile{r.Galaxy, p.Name, &pfp{r.Galaxy, imageURL(r.config.Origin, p.Image), p.NFT, p.IsToken}}, nil
}

// ConnectedAccounts are the public ones alone, also for the caller's own
// identity.
func (r *resolver) ConnectedAccounts(ctx context.Context, args struct{ TargetIdentityURN *string }) (*[]*node, error) {
	if err := r.fails("connectedAccounts"); err != nil {
		return nil, err
	}
	p, err := r.target(ctx, args.TargetIdentityURN)
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	nodes := []*node{}
	for _, a := range p.Accounts {
		if a.Public {
			nodes = append(nodes, r.accountNode(a))
		}
	}
	return &nodes, nil
}

func (g *Galaxy) accountNode(a Account) *node {
	nss := strings.TrimPrefix(a.URN, "urn:rollupid:")
	return &node{
		galaxy: g, ID: strings.TrimPrefix(nss, "account/"), BaseURN: a.URN, NID: "rollupid", NSS: nss,
		urn: a.URN + "?+addr_type=" + a.Type + "?=alias=" + a.Identifier,
		qc:  jsonValue{map[string]any{"alias": a.Identifier, "hidden": false, "public": a.Public}},
		RC:  &jsonValue{map[string]any{"addr_type": a.Type}},
	}
}

// AuthorizedApps are the applications that the caller let in.
func (r *resolver) AuthorizedApps(ctx context.Context) (*[]*app, error) {
	if err := r.fails("authorizedApps"); err != nil {
		return nil, err
	}
	p, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	apps := make([]*app, 0, len(p.Apps))
	for _, a := range p.Apps {
		apps = append(apps, &app{
			galaxy: r.Galaxy, title: a.Title, ClientID: a.ClientID, Icon: imageURL(r.config.Origin, a.Image),
			Timestamp: float64(a.Since.UnixMilli()),
		})
	}
	return &apps, nil
}

// IdentityFromAlias finds who has an account.
func (r *resolver) IdentityFromAlias(args struct{ Provider, Alias string }) (string, error) {
	if err := r.fails("identityFromAlias"); err != nil {
		return "", err
	}
	for _, p := range r.config.Directory.People() {
		if i := p.accountIndex(args.Alias); i >= 0 && p.Accounts[i].Type == args.Provider {
			return p.URN, nil
		}
	}
	return "", &galaxyError{http.StatusNotFound, "Identity not found."}
}

// AccountProfile describes an account that is public or the caller's.
func (r *resolver) AccountProfile(ctx context.Context, args struct{ AccountURN string }) (*accountProfile, error) {
	if err := r.fails("accountProfile"); err != nil {
		return nil, err
	}
	return r.describe(ctx, args.AccountURN)
}

// AccountProfiles answers in the order of the list.
func (r *resolver) AccountProfiles(
	ctx context.Context, args struct{ AccountURNList *[]string },
) ([]*accountProfile, error) {
	if err := r.fails("accountProfiles"); err != nil {
		return nil, err
	}
	profiles := []*accountProfile{}
	if args.AccountURNList == nil {
		return profiles, nil
	}
	for _, urn := range *args.AccountURNList {
		described, err := r.describe(ctx, urn)
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, described)
	}
	return profiles, nil
}

func (r *resolver) describe(ctx context.Context, urn string) (*accountProfile, error) {
	caller, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	account, owner, err := r.config.Directory.account(urn)
	if err != nil || !account.Public && owner.URN != caller.URN {
		return nil, &galaxyError{http.StatusNotFound, "Account not found."}
	}
	return &accountProfile{r.Galaxy, account, &account.Type, &account.Identifier}, nil
}

// ID is the account's URN.
func (a *accountProfile) ID() (string, error) {
	return a.account.URN, a.galaxy.fails("AccountProfile.id")
}

// Title is the nickname.
func (a *accountProfile) Title() (*string, error) {
	return &a.account.Title, a.galaxy.fails("AccountProfile.title")
}

// Icon is a picture's address.
func (a *accountProfile) Icon() (*string, error) {
	icon := imageURL(a.galaxy.config.Origin, a.account.Image)
	return &icon, a.galaxy.fails("AccountProfile.icon")
}

// Scopes are what the caller let an application see.
func (r *resolver) Scopes(ctx context.Context, args struct{ ClientID string }) ([]*scope, error) {
	if err := r.fails("scopes"); err != nil {
		return nil, err
	}
	p, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	scopes := []*scope{}
	for _, a := range p.Apps {
		for _, known := range knownScopes() {
			if a.ClientID == args.ClientID && slices.Contains(a.Scopes, known.Name) {
				scopes = append(scopes, &scope{r.Galaxy, known.Title, []*string{&known.Name}})
			}
		}
	}
	return scopes, nil
}

// GetExternalAppData is what the application keeps with the caller.
func (r *resolver) GetExternalAppData(ctx context.Context) (*jsonValue, error) {
	if err := r.fails("getExternalAppData"); err != nil {
		return nil, err
	}
	p, err := r.caller(ctx)
	if err != nil {
		return nil, err
	}
	data := r.config.Directory.AppData(p.URN, r.config.ClientID)
	if data == nil {
		return nil, nil
	}
	return &jsonValue{data}, nil
}

// GetAuthorizedIdentities are the people who let the application in.
func (r *resolver) GetAuthorizedIdentities(
	args struct{ Opts struct{ Offset, Limit int32 } },
) (*[]*authorizationIdentity, error) {
	if err := r.fails("getAuthorizedIdentities"); err != nil {
		return nil, err
	}
	identities := []*authorizationIdentity{}
	for _, p := range r.config.Directory.People() {
		if slices.ContainsFunc(p.Apps, func(a App) bool { return a.ClientID == r.config.ClientID }) {
			image := imageURL(r.config.Origin, p.Image)
			identities = append(identities, &authorizationIdentity{r.Galaxy, p.Name, &p.URN, &image})
		}
	}
	from := min(max(int(args.Opts.Offset), 0), len(identities))
	to := min(from+max(int(args.Opts.Limit), 0), len(identities))
	identities = identities[from:to]
	return &identities, nil
}
