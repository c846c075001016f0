package keyring

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"galaxygate/internal/background"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// Reloader gives a vault the keyset of its file, each time that the file has
// changed. A file that is swapped as Kubernetes does it is noticed like any
// other: by what it holds.
type Reloader struct {
	File  *File // as the vault's keyset was loaded from
	Vault *vault.Vault
	// Check returns an error where the keyset does not open what is stored.
	Check func(ctx context.Context, keys *vault.Keyset) error
	// Every is how often the file is read.
	Every  time.Duration
	Logger *slog.Logger
}

// Run watches the file until ctx ends. What it refuses is logged as an alarm,
// once, and tried again: a service may come back, a value be sealed anew. The end
// of that is logged as well.
func (r *Reloader) Run(ctx context.Context) error {
	background.Poll(ctx, r.Every, r.Reload, func(err error) {
		if err != nil {
			r.Logger.ErrorContext(ctx, "keyset not reloaded: the one in use stays",
				"alarm", true, "variable", "TOKEN_KEYSET_FILE", "error", err)
			return
		}
		r.Logger.InfoContext(ctx, "keyset file is good again")
	})
	return nil
}

// Reload replaces the vault's keyset where the file holds another. Its error says
// why that is refused.
func (r *Reloader) Reload(ctx context.Context) error {
	content, err := os.ReadFile(r.File.Name)
	if err != nil {
		return fmt.Errorf("read keyset: %w", err)
	}
	if bytes.Equal(content, r.File.loaded) {
		return nil
	}
	keys, err := vault.ReadKeyset(ctx, secret.New(string(content)), r.File.Wrapper)
	if err == nil {
		err = r.Check(ctx, keys)
	}
	if err != nil {
		return err
	}
	before := r.Vault.KeyIDs()
	r.Vault.Replace(keys)
	r.File.loaded = content
	r.Logger.InfoContext(ctx, "keyset reloaded", "primary_key_id", keys.Primary(),
		"key_ids", keys.KeyIDs(), "key_ids_before", before)
	return nil
}
