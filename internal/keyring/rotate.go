package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"galaxygate/internal/vault"
)

// Errors that callers explain.
var (
	// ErrLagging means that the time to wait for replicas is over.
	ErrLagging = errors.New("not every replica has got so far")
	// ErrInUse means that a key is still needed.
	ErrInUse = errors.New("the key is still in use")
)

// Replica is a process that serves.
type Replica struct {
	ID     string
	KeyIDs []uint32 // the keys that it opens values under; it seals under the first
}

// Store knows what is stored under keys, and who has them.
type Store interface {
	// AcceptsKeyset returns an error where the keyset does not open what is stored,
	// or where the store cannot know what is in use.
	AcceptsKeyset(ctx context.Context, keys *vault.Keyset) error
	// KeyUses returns how many values are sealed under each key.
	KeyUses(ctx context.Context) (map[uint32]int, error)
	// KeyHolders returns the replicas that serve now.
	KeyHolders(ctx context.Context) ([]Replica, error)
}

// Ring changes a keyset that replicas serve with.
type Ring struct {
	Keeper Keeper
	Store  Store
	// Timeout bounds a wait for replicas, Poll is how often they are looked at.
	Timeout time.Duration
	Poll    time.Duration
	// Waiting is told of the replicas that are waited for, each time that they
	// are looked at: those that lag, of all. In the end none lags.
	Waiting func(lagging, all []Replica)
}

// Rotated is how far a rotation came.
type Rotated struct {
	KeyID    uint32
	Promoted bool // else the keyset that was printed is to be given to the replicas first
}

// Rotate adds a key, waits until every replica has it, and makes it the primary
// one. Where a key is pending already, that is led on. Nothing is changed while
// the store cannot be asked, or holds what the keyset does not open.
func (r *Ring) Rotate(ctx context.Context) (Rotated, error) {
	keys, err := r.load(ctx)
	if err != nil {
		return Rotated{}, err
	}
	pending, resumed := keys.Pending()
	if !resumed {
		if keys, err = keys.WithNewKey(); err != nil {
			return Rotated{}, err
		}
		pending, _ = keys.Pending()
		if err = r.Keeper.Save(ctx, keys); err != nil || !r.Keeper.Shared() {
			return Rotated{KeyID: pending}, err
		}
	}
	has := func(replica Replica) bool { return slices.Contains(replica.KeyIDs, pending) }
	if err := r.await(ctx, has); err != nil {
		return Rotated{KeyID: pending}, fmt.Errorf("key %d is added and not primary yet: %w", pending, err)
	}
	if keys, err = keys.Promoted(); err != nil {
		return Rotated{KeyID: pending}, err
	}
	if err := r.Keeper.Save(ctx, keys); err != nil {
		return Rotated{KeyID: pending}, err
	}
	return Rotated{KeyID: pending, Promoted: true}, nil
}

// AwaitPrimary waits until every replica seals under the keyset's primary key,
// and returns the keyset.
func (r *Ring) AwaitPrimary(ctx context.Context) (*vault.Keyset, error) {
	keys, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	err = r.await(ctx, func(replica Replica) bool { return replica.sealsUnder(keys.Primary()) })
	if err != nil {
		return nil, fmt.Errorf("key %d is primary in this keyset, and not where values are sealed: %w", keys.Primary(), err)
	}
	return keys, nil
}

// Remove removes a key that nothing needs any more: values that are sealed under
// it and replicas that seal under it are ErrInUse, the primary key is
// vault.ErrPrimary.
func (r *Ring) Remove(ctx context.Context, keyID uint32) error {
	keys, err := r.load(ctx)
	if err != nil {
		return err
	}
	without, err := keys.Without(keyID)
	if err != nil {
		return fmt.Errorf("key %d: %w", keyID, err)
	}
	use, err := r.use(ctx)
	if err == nil {
		err = use.of(keyID)
	}
	if err != nil {
		return err
	}
	return r.Keeper.Save(ctx, without)
}

// RemoveUnused removes every key that nothing needs any more, and returns them. A
// pending key stays.
func (r *Ring) RemoveUnused(ctx context.Context) ([]uint32, error) {
	keys, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	use, err := r.use(ctx)
	if err != nil {
		return nil, err
	}
	var removed []uint32
	pending, isPending := keys.Pending()
	for _, id := range keys.KeyIDs() {
		if id == keys.Primary() || isPending && id == pending || use.of(id) != nil {
			continue
		}
		if keys, err = keys.Without(id); err != nil {
			return nil, fmt.Errorf("key %d: %w", id, err)
		}
		removed = append(removed, id)
	}
	if len(removed) == 0 && r.Keeper.Shared() {
		return nil, nil
	}
	return removed, r.Keeper.Save(ctx, keys)
}

// inUse is what keys are needed for.
type inUse struct {
	replicas []Replica
	values   map[uint32]int
}

// use asks the replicas first: one that seals under another key now does not go
// back to this one, so that no value can come after the count.
func (r *Ring) use(ctx context.Context) (use inUse, err error) {
	if use.replicas, err = r.Store.KeyHolders(ctx); err == nil {
		use.values, err = r.Store.KeyUses(ctx)
	}
	return use, err
}

// of returns ErrInUse where the key is needed.
func (u inUse) of(keyID uint32) error {
	for _, replica := range u.replicas {
		if replica.sealsUnder(keyID) {
			return fmt.Errorf("key %d: %w: replica %s seals under it; wait until it has loaded the keyset", keyID, ErrInUse, replica.ID)
		}
	}
	if n := u.values[keyID]; n > 0 {
		return fmt.Errorf(`key %d: %w: %d stored values are sealed under it; run "galaxygate keys reencrypt" first`, keyID, ErrInUse, n)
	}
	return nil
}

func (r *Ring) load(ctx context.Context) (*vault.Keyset, error) {
	keys, err := r.Keeper.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.Store.AcceptsKeyset(ctx, keys); err != nil {
		return nil, fmt.Errorf("look at the database, before anything is changed: %w", err)
	}
	return keys, nil
}

// await waits until the condition is true of every replica that serves.
func (r *Ring) await(ctx context.Context, condition func(Replica) bool) error {
	poll := time.NewTicker(r.Poll)
	defer poll.Stop()
	late := time.NewTimer(r.Timeout)
	defer late.Stop()
	waited := false
	for {
		all, err := r.Store.KeyHolders(ctx)
		if err != nil {
			return err
		}
		lagging := slices.DeleteFunc(slices.Clone(all), condition)
		if waited = waited || len(lagging) > 0; waited {
			r.Waiting(lagging, all)
		}
		if len(lagging) == 0 {
			return nil
		}
		select {
		case <-poll.C:
		case <-late.C:
			return fmt.Errorf("%w within %v: %s", ErrLagging, r.Timeout, names(lagging))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r Replica) sealsUnder(keyID uint32) bool { return len(r.KeyIDs) > 0 && r.KeyIDs[0] == keyID }

func names(replicas []Replica) string {
	ids := make([]string, len(replicas))
	for i, replica := range replicas {
		ids[i] = replica.ID
	}
	return strings.Join(ids, ", ")
}
