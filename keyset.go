package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"galaxygate/internal/config"
	"galaxygate/internal/keyring"
	"galaxygate/internal/kms"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// keysetPoll is how often TOKEN_KEYSET_FILE is looked at.
const keysetPoll = 2 * time.Second

// keysetKeeper is where the keyset is, as the configuration has it. Everything
// that reads or writes the gateway's keyset does so by it.
func keysetKeeper(cfg *config.Config, out io.Writer, printed bool) (keyring.Keeper, error) {
	wrapper, err := keysetWrapper(cfg)
	if err != nil {
		return nil, err
	}
	name, inFile := cfg.File("TOKEN_KEYSET")
	if cfg.Development && cfg.Keyset.IsZero() {
		name, inFile = developmentKeyset, true
	}
	switch {
	case inFile && !printed:
		return &keyring.File{Name: name, Wrapper: wrapper}, nil
	case cfg.Keyset.IsZero():
		return nil, errors.New(`TOKEN_KEYSET: is required: "galaxygate keys new" makes one`)
	default:
		return keyring.Printed{Text: cfg.Keyset, Wrapper: wrapper, Out: out}, nil
	}
}

// keysetWrapper wraps keysets as the configuration says; nil: not at all.
func keysetWrapper(cfg *config.Config) (vault.Wrapper, error) {
	if cfg.KeysetKMS == "" {
		return nil, nil
	}
	// A token in a file is renewed while the gateway serves.
	token := func() (secret.Text, error) {
		name, ok := cfg.File("VAULT_TOKEN")
		if !ok {
			return cfg.VaultToken, nil
		}
		content, err := os.ReadFile(name) //nolint:gosec // the operator names it
		if err != nil {
			return secret.Text{}, fmt.Errorf("VAULT_TOKEN_FILE: %w", err)
		}
		return secret.New(strings.TrimSpace(string(content))), nil
	}
	key, err := kms.New(cfg.KeysetKMS, token, http.DefaultTransport)
	if err != nil {
		return nil, fmt.Errorf("TOKEN_KEYSET_KMS_URI: %w", err)
	}
	return key, nil
}

// openVault opens the vault of the configured keyset.
func openVault(ctx context.Context, cfg *config.Config) (keyring.Keeper, *vault.Vault, error) {
	keeper, err := keysetKeeper(cfg, nil, false)
	if err != nil {
		return nil, nil, err
	}
	keys, err := keeper.Load(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keysetVariable(cfg), err)
	}
	return keeper, keys.Vault(), nil
}

// checkKeyset says what is wrong with the keyset's settings, as far as that shows
// without asking a service.
func checkKeyset(ctx context.Context, cfg *config.Config) error {
	wrapper, err := keysetWrapper(cfg)
	if err != nil || cfg.Keyset.IsZero() {
		return err
	}
	if wrapper == nil {
		_, err = vault.ReadKeyset(ctx, cfg.Keyset, nil)
	} else {
		err = vault.CheckForm(cfg.Keyset, true)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", keysetVariable(cfg), err)
	}
	return nil
}

// keysetVariable is the variable that the keyset came by.
func keysetVariable(cfg *config.Config) string {
	if _, inFile := cfg.File("TOKEN_KEYSET"); inFile {
		return "TOKEN_KEYSET_FILE"
	}
	return "TOKEN_KEYSET"
}

// printNewKeyset writes a new keyset as the configuration wants it.
func printNewKeyset(ctx context.Context, cfg *config.Config, out io.Writer) error {
	text, err := vault.NewKeyset()
	if err != nil {
		return err
	}
	return printKeyset(ctx, cfg, text, out)
}

// printKeyset writes a keyset that is in clear as the configuration wants it:
// wrapped where that names a key.
func printKeyset(ctx context.Context, cfg *config.Config, text secret.Text, out io.Writer) error {
	wrapper, err := keysetWrapper(cfg)
	if err != nil {
		return err
	}
	keys, err := vault.ReadKeyset(ctx, text, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", keysetVariable(cfg), err)
	}
	return keyring.Printed{Wrapper: wrapper, Out: out}.Save(ctx, keys)
}
