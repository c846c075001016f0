package devrollup

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// writer returns the caller, or the refusal that outside callers meet where a
// mutation is not open to them.
func (r *resolver) writer(ctx context.Context, mutation string) (Person, error) {
	if slices.Contains(r.Switches().RefusedMutations, mutation) {
		return Person{}, &galaxyError{http.StatusForbidden, "You are not authorized!"}
	}
	return r.caller(ctx)
}

// owned turns the directory's ErrUnknown into Galaxy's refusal.
func owned(err error) (*bool, error) {
	if err != nil {
		return nil, &galaxyError{http.StatusForbidden, "You are not authorized!"}
	}
	done := true
	return &done, nil
}

// DisconnectAccount takes the account away. Where the caller had consented to
// show it, /userinfo wants a new consent from then on.
func (r *resolver) DisconnectAccount(ctx context.Context, args struct{ AccountURN string }) (*bool, error) {
	p, err := r.writer(ctx, "disconnectAccount")
	if err != nil {
		return nil, err
	}
	return owned(r.config.Directory.RemoveAccount(p.URN, args.AccountURN))
}

// UpdateAccountNickname changes the title.
func (r *resolver) UpdateAccountNickname(
	ctx context.Context, args struct{ AccountURN, Nickname string },
) (*bool, error) {
	p, err := r.writer(ctx, "updateAccountNickname")
	if err != nil {
		return nil, err
	}
	return owned(r.config.Directory.renameAccount(p.URN, args.AccountURN, args.Nickname))
}

type propertiesUpdate struct {
	AccountURN string
	Public     *bool
}

// UpdateConnectedAccountsProperties changes what others see.
func (r *resolver) UpdateConnectedAccountsProperties(
	ctx context.Context, args struct{ AccountURNList []propertiesUpdate },
) (*bool, error) {
	p, err := r.writer(ctx, "updateConnectedAccountsProperties")
	if err != nil {
		return nil, err
	}
	for _, update := range args.AccountURNList {
		if update.Public == nil {
			continue
		}
		if err := r.config.Directory.publishAccount(p.URN, update.AccountURN, *update.Public); err != nil {
			return owned(err)
		}
	}
	return owned(nil)
}

// RevokeAppAuthorization takes back all that the caller gave to an application.
func (r *resolver) RevokeAppAuthorization(ctx context.Context, args struct{ ClientID string }) (*bool, error) {
	p, err := r.writer(ctx, "revokeAppAuthorization")
	if err != nil {
		return nil, err
	}
	done, err := owned(r.config.Directory.revokeApp(p.URN, args.ClientID))
	if err == nil && r.config.OnRevoke != nil {
		r.config.OnRevoke(p.URN, args.ClientID)
	}
	return done, err
}

// SetExternalAppData replaces what the application keeps with the caller.
func (r *resolver) SetExternalAppData(ctx context.Context, args struct{ Payload jsonValue }) (*bool, error) {
	p, err := r.writer(ctx, "setExternalAppData")
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(args.Payload)
	if err != nil {
		return nil, &galaxyError{http.StatusBadRequest, "The payload is not JSON."}
	}
	r.config.Directory.SetAppData(p.URN, r.config.ClientID, data)
	return owned(nil)
}

// RegisterSessionKey returns what a wallet SDK would take, for a wallet of the
// caller's.
func (r *resolver) RegisterSessionKey(
	ctx context.Context, args struct{ SessionPublicKey, SmartContractWalletAccount string },
) (string, error) {
	p, err := r.writer(ctx, "registerSessionKey")
	if err != nil {
		return "", err
	}
	for _, w := range p.Wallets {
		if strings.EqualFold(w.Address, args.SmartContractWalletAccount) {
			return fmt.Sprintf("session-key:%s:%s", w.Address, args.SessionPublicKey), nil
		}
	}
	return "", &galaxyError{http.StatusForbidden, "You are not authorized!"}
}
