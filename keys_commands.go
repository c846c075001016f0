package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"galaxygate/internal/config"
	"galaxygate/internal/keyring"
	"galaxygate/internal/store"
	"galaxygate/internal/vault"
)

// replicaPoll is how often a command looks at what replicas have.
const replicaPoll = 500 * time.Millisecond

type keysCommands struct {
	New       keysNew       `cmd:"" help:"Print a new keyset for TOKEN_KEYSET or TOKEN_KEYSET_FILE."`
	Wrap      keysWrap      `cmd:"" help:"Print the keyset wrapped under the key of TOKEN_KEYSET_KMS_URI."`
	List      keysList      `cmd:"" help:"List the keys, how many stored values are sealed under each, and how many replicas have it."`
	Rotate    keysRotate    `cmd:"" help:"Add a key and make it the primary one once every replica has it."`
	Reencrypt keysReencrypt `cmd:"" help:"Seal all that is stored anew under the primary key."`
	Remove    keysRemove    `cmd:"" help:"Remove a key that nothing is sealed under any more."`
}

type keysNew struct{}

// Help implements kong.HelpProvider.
func (keysNew) Help() string {
	return "Where TOKEN_KEYSET_KMS_URI is set, the keyset is wrapped under the key that it names. " +
		"Keep the keyset like the users' passwords: without it, what is stored is lost."
}

func (keysNew) Run(p *program) error {
	cfg, err := config.LoadOnly(p.env, "TOKEN_KEYSET_KMS_URI", "VAULT_TOKEN")
	if err != nil {
		return err
	}
	return printNewKeyset(p.ctx, &cfg, p.stdout)
}

type keysWrap struct{}

// Help implements kong.HelpProvider.
func (keysWrap) Help() string {
	return "TOKEN_KEYSET or TOKEN_KEYSET_FILE gives the keyset in clear. Store what is printed in its place, " +
		"and start the replicas anew with TOKEN_KEYSET_KMS_URI set. The keys stay the same."
}

func (keysWrap) Run(p *program) error {
	cfg, err := config.LoadOnly(p.env, "TOKEN_KEYSET", "TOKEN_KEYSET_KMS_URI", "VAULT_TOKEN")
	switch {
	case err != nil:
		return err
	case cfg.Keyset.IsZero():
		return errors.New("TOKEN_KEYSET: there is no keyset to wrap")
	case cfg.KeysetKMS == "":
		return errors.New("TOKEN_KEYSET_KMS_URI: must name the key to wrap under")
	}
	return printKeyset(p.ctx, &cfg, cfg.Keyset, p.stdout)
}

type keysList struct{}

// Help implements kong.HelpProvider.
func (keysList) Help() string {
	return "The primary key seals, each opens. A pending key has been added by \"keys rotate\" and waits to be made primary."
}

func (keysList) Run(p *program) error {
	return p.withRing(keysetChange{}, func(ring *ring) error {
		keys, err := ring.Keeper.Load(p.ctx)
		if err != nil {
			return err
		}
		// What the keyset lacks is to be seen in the list; zeros from a database
		// that is nobody's would only mislead.
		if err := ring.Store.AcceptsKeyset(p.ctx, keys); errors.Is(err, store.ErrNeverServed) {
			return err
		}
		uses, err := ring.Store.KeyUses(p.ctx)
		if err != nil {
			return err
		}
		replicas, err := ring.Store.KeyHolders(p.ctx)
		if err != nil {
			return err
		}
		return listKeys(p.stdout, keys, uses, replicas)
	})
}

// listKeys writes a line for each key of the keyset, and for each that values are
// sealed under and the keyset lacks.
func listKeys(w io.Writer, keys *vault.Keyset, uses map[uint32]int, replicas []keyring.Replica) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tSTATE\tVALUES\tREPLICAS")
	line := func(id uint32, state string) {
		have := 0
		for _, replica := range replicas {
			if slices.Contains(replica.KeyIDs, id) {
				have++
			}
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%d\t%d of %d\n", id, state, uses[id], have, len(replicas))
		delete(uses, id)
	}
	pending, isPending := keys.Pending()
	for i, id := range keys.KeyIDs() {
		switch {
		case i == 0:
			line(id, "primary")
		case isPending && id == pending:
			line(id, "pending")
		default:
			line(id, "old")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(uses)) {
		line(id, "MISSING")
	}
	return table.Flush()
}

// keysetChange is what every command that changes the keyset may be told.
type keysetChange struct {
	Timeout time.Duration `default:"2m" help:"How long to wait for replicas (${default})."`
	Print   bool          `help:"Print the keyset instead of rewriting TOKEN_KEYSET_FILE, as where that is read-only."`
}

type keysRotate struct {
	keysetChange
}

// Help implements kong.HelpProvider.
func (keysRotate) Help() string {
	return `With TOKEN_KEYSET_FILE: a key is added to the file, which the replicas reload; once each that serves has the key, it is made the primary one. A rotation that was cut off goes on where it was.

With TOKEN_KEYSET, or --print: the keyset with the new key is printed. Give it to every replica, and call again with it, TOKEN_KEYSET_FILE naming what was printed: then the keyset with that key as the primary one is printed.

Stored values stay under the old key until "galaxygate keys reencrypt".`
}

func (c keysRotate) Run(p *program) error {
	return p.withRing(c.keysetChange, func(ring *ring) error {
		rotated, err := ring.Rotate(p.ctx)
		if err != nil {
			return err
		}
		say := fmt.Sprintf("Key %d is the primary one. Now run: galaxygate keys reencrypt", rotated.KeyID)
		switch {
		case !rotated.Promoted:
			say = fmt.Sprintf("Key %d is added to this keyset. %s, then run this again with %s.", rotated.KeyID, ring.give(), ring.with())
		case !ring.Keeper.Shared():
			say = fmt.Sprintf("Key %d is the primary one of this keyset. %s, then run with %s: galaxygate keys reencrypt", rotated.KeyID, ring.give(), ring.with())
		}
		_, err = fmt.Fprintln(p.stderr, say)
		return err
	})
}

type keysReencrypt struct {
	Timeout time.Duration `default:"2m" help:"How long to wait until every replica seals under the primary key (${default})."`
}

// Help implements kong.HelpProvider.
func (keysReencrypt) Help() string {
	return "The replicas may serve meanwhile. It may be cut off at any time and run again: what is done stays done."
}

func (c keysReencrypt) Run(p *program) error {
	return p.withRing(keysetChange{Timeout: c.Timeout}, func(ring *ring) error {
		keys, err := ring.AwaitPrimary(p.ctx)
		if err != nil {
			return err
		}
		return reencrypt(p, ring.db, keys)
	})
}

// passes is how often everything is looked at: a replica may have sealed a value
// under the old key that it stores only now.
const passes = 3

// reencrypt seals what is under older keys anew and says what was done. What is
// left is an error, so that a script does not remove the old key.
func reencrypt(p *program, db *store.DB, keys *vault.Keyset) error {
	var all store.Resealed
	for range passes {
		uses, err := db.KeyUses(p.ctx)
		if err != nil {
			return err
		}
		bar := newProgress(p.stderr, "sealed anew", others(uses, keys.Primary()))
		done, err := db.Reseal(p.ctx, keys, func(r store.Resealed) { bar.show(r.Values + r.Replaced + r.Unreadable) })
		bar.end()
		all.Values, all.Unreadable = all.Values+done.Values, done.Unreadable
		if err != nil {
			return fmt.Errorf("%w (%d values were sealed anew; run it again to go on)", err, all.Values)
		}
		if done.Values+done.Replaced == 0 {
			break
		}
	}
	if _, err := fmt.Fprintf(p.stdout, "Sealed %d values anew under key %d.\n", all.Values, keys.Primary()); err != nil {
		return err
	}
	uses, err := db.KeyUses(p.ctx)
	left := others(uses, keys.Primary())
	switch {
	case err != nil || left == 0:
		return err
	case all.Unreadable > 0:
		return fmt.Errorf("%d values are still under older keys, of which %d are damaged and do not open: their users must sign in again", left, all.Unreadable)
	default:
		return fmt.Errorf("%d values are still under older keys: run it again", left)
	}
}

// others is how many values are sealed under other keys than the primary one.
func others(uses map[uint32]int, primary uint32) int {
	n := 0
	for id, count := range uses {
		if id != primary {
			n += count
		}
	}
	return n
}

type keysRemove struct {
	keysetChange
	ID     uint32 `arg:"" optional:"" help:"The key's ID, as \"keys list\" shows it."`
	Unused bool   `help:"Remove every key that is neither primary nor pending nor in use."`
}

// Help implements kong.HelpProvider.
func (keysRemove) Help() string {
	return "The primary key, and a key that stored values are sealed under, are not removed. " +
		"A backup of the database from before needs the removed key: keep the keyset of that time with it."
}

// Validate is called by kong.
func (c keysRemove) Validate() error {
	if c.Unused == (c.ID != 0) {
		return errors.New("give either a key's ID or --unused")
	}
	return nil
}

func (c keysRemove) Run(p *program) error {
	return p.withRing(c.keysetChange, func(ring *ring) error {
		removed, err := []uint32{c.ID}, error(nil)
		if c.Unused {
			removed, err = ring.RemoveUnused(p.ctx)
		} else {
			err = ring.Remove(p.ctx, c.ID)
		}
		if err != nil {
			return err
		}
		say := ""
		for _, id := range removed {
			say += fmt.Sprintf("Key %d is removed.\n", id)
		}
		switch {
		case say == "":
			say = "No key is unused.\n"
		case !ring.Keeper.Shared():
			say += ring.give() + ".\n"
		}
		_, err = fmt.Fprint(p.stderr, say)
		return err
	})
}

// ring is what a command on keys works on.
type ring struct {
	*keyring.Ring
	db       *store.DB
	variable string // that the keyset came by
}

// give says how replicas come by a keyset that was printed.
func (r *ring) give() string {
	if r.variable == "TOKEN_KEYSET" {
		return "Give the keyset to every replica, which is to be started anew with it"
	}
	return "Give the keyset to every replica"
}

// with says how the next command comes by it.
func (r *ring) with() string {
	if r.variable == "TOKEN_KEYSET" {
		return "it in TOKEN_KEYSET"
	}
	return "TOKEN_KEYSET_FILE naming it"
}

// withRing runs do on the keyset and the database.
func (p *program) withRing(change keysetChange, do func(*ring) error) error {
	cfg, err := config.LoadOnly(p.env, "DATABASE_URL", "TOKEN_KEYSET", "TOKEN_KEYSET_KMS_URI", "VAULT_TOKEN")
	if err != nil {
		return err
	}
	if err := checkKeyset(p.ctx, &cfg); err != nil {
		return err
	}
	keeper, err := keysetKeeper(&cfg, p.stdout, change.Print)
	if err != nil {
		return err
	}
	db, err := p.open(&cfg, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.SchemaCurrent(p.ctx); err != nil {
		return fmt.Errorf("look at the database, before anything is changed: %w", err)
	}
	return do(&ring{
		Ring: &keyring.Ring{
			Keeper: keeper, Store: db, Timeout: change.Timeout, Poll: replicaPoll, Waiting: waitingFor(p.stderr),
		},
		db: db, variable: keysetVariable(&cfg),
	})
}

// waitingFor says how many replicas are waited for, each time that it changes.
func waitingFor(w io.Writer) func(lagging, all []keyring.Replica) {
	said := ""
	return func(lagging, all []keyring.Replica) {
		say := fmt.Sprintf("Waiting for replicas: %d of %d have loaded the keyset.", len(all)-len(lagging), len(all))
		if say != said {
			_, _ = fmt.Fprintln(w, say)
		}
		said = say
	}
}
