package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// Tokens gives access tokens. *grant.Source does.
type Tokens interface {
	// Call runs do with the user's access token. Where do's error wraps
	// grant.ErrTokenRejected, the token is refreshed at most once and do runs at
	// most once more. It returns grant.ErrNotFound,
	// grant.ErrReauthenticationRequired, a *grant.Failure, or do's error.
	Call(ctx context.Context, userID string, do func(context.Context, grant.Token) error) error
}

// UserInfo asks the provider's userinfo endpoint.
type UserInfo interface {
	// UserInfo decodes into claims what the provider says of the access token's
	// user, who must be subject. Its error wraps grant.ErrTokenRejected or is a
	// *grant.Failure.
	UserInfo(ctx context.Context, access secret.Text, subject string, claims any) error
}

// Client asks as the user. Within the context of one NewRequest each distinct
// question is asked once. The errors of its methods are those of Tokens and of
// UserInfo, *Error for Galaxy's, and ctx's where that has ended; with a Partial
// *Error there is a value too.
type Client struct {
	Tokens   Tokens
	UserInfo UserInfo
	Galaxy   *Galaxy
}

// Claims returns what userinfo says of the user.
func (c *Client) Claims(ctx context.Context, userID string) (Claims, error) {
	return Once(ctx, "userinfo "+userID, func(ctx context.Context) (Claims, error) {
		var claims Claims
		err := c.Tokens.Call(ctx, userID, func(ctx context.Context, t grant.Token) error {
			claims = Claims{}
			return c.UserInfo.UserInfo(ctx, t.Value, t.Subject, &claims)
		})
		if err != nil {
			return Claims{}, fmt.Errorf("ask userinfo: %w", err)
		}
		return claims, nil
	})
}

// Profile returns the public profile of the identity with that URN, asked for as
// the user; nil where it has none.
func (c *Client) Profile(ctx context.Context, userID, urn string) (*Profile, error) {
	data, err := query[struct {
		Profile *Profile `json:"profile"`
	}](ctx, c, userID, profileDocument, map[string]any{"urn": urn})
	return data.Profile, err
}

// AuthorizedApps returns the applications that the user has authorized.
func (c *Client) AuthorizedApps(ctx context.Context, userID string) ([]*App, error) {
	data, err := query[struct {
		Apps []*App `json:"authorizedApps"`
	}](ctx, c, userID, authorizedAppsDocument, nil)
	apps := make([]*App, 0, len(data.Apps))
	for _, app := range data.Apps { // Galaxy's list may hold nulls
		if app != nil {
			apps = append(apps, app)
		}
	}
	return apps, err
}

// AppData returns what this application keeps with the user's identity, numbers
// as json.Number; nil where it keeps nothing.
func (c *Client) AppData(ctx context.Context, userID string) (any, error) {
	data, err := query[struct {
		AppData json.RawMessage `json:"getExternalAppData"`
	}](ctx, c, userID, appDataDocument, nil)
	if err != nil || len(data.AppData) == 0 {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data.AppData))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("decode app data: %w", err)
	}
	return value, nil
}

// SetAppData replaces what this application keeps with the user's identity.
func (c *Client) SetAppData(ctx context.Context, userID string, value any) error {
	var data struct {
		Done bool `json:"setExternalAppData"`
	}
	return c.mutate(ctx, userID, setAppDataDocument, map[string]any{"data": value}, &data, &data.Done)
}

// RegisterSessionKey registers the public key with the user's smart-contract
// wallet and returns the session key data for the wallet's SDK.
func (c *Client) RegisterSessionKey(ctx context.Context, userID, wallet, key string) (string, error) {
	var data struct {
		SessionKey string `json:"registerSessionKey"`
	}
	err := c.mutate(ctx, userID, registerSessionKeyDocument, map[string]any{"key": key, "wallet": wallet}, &data, nil)
	return data.SessionKey, err
}

// query asks Galaxy, once within the context's request.
func query[T any](ctx context.Context, c *Client, userID, document string, variables map[string]any) (T, error) {
	key, err := json.Marshal([]any{userID, document, variables})
	if err != nil {
		var zero T
		return zero, fmt.Errorf("encode variables: %w", err)
	}
	return Once(ctx, string(key), func(ctx context.Context) (T, error) {
		var data T
		err := c.Tokens.Call(ctx, userID, func(ctx context.Context, t grant.Token) error {
			var zero T
			data = zero
			return c.Galaxy.ask(ctx, t.Value, document, variables, &data)
		})
		return data, err
	})
}

// mutate asks Galaxy for a change, after which every question of the context's
// request may have another answer. Where confirmed is given, Galaxy must have
// set it.
func (c *Client) mutate(
	ctx context.Context, userID, document string, variables map[string]any, data any, confirmed *bool,
) error {
	defer forgetAll(ctx)
	err := c.Tokens.Call(ctx, userID, func(ctx context.Context, t grant.Token) error {
		return c.Galaxy.ask(ctx, t.Value, document, variables, data)
	})
	if err == nil && confirmed != nil && !*confirmed {
		return &Error{Kind: Failed, Message: "Galaxy did not confirm the change."}
	}
	return err
}

// IsPartial reports whether a value came beside the error.
func IsPartial(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Partial
}
