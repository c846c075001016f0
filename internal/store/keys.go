package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"galaxygate/internal/keyring"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// ErrWrongKeyset means that a keyset is not the one under which the database was
// written.
var ErrWrongKeyset = errors.New("keyset does not open what is stored in this database: use the keyset that it was written with")

// ErrNeverServed means that a database tells nothing of what is in use.
var ErrNeverServed = errors.New("no gateway has ever served from this database: is DATABASE_URL the gateway's own?")

// sealedColumn is a column that holds sealed values or NULL. Each is sealed at the
// place of that table, row and column.
type sealedColumn struct {
	table, key, column string // key is the primary key
	hashed             bool   // the key is bytes, hexadecimal in the place; else text
}

// sealedColumns are all that the vault has sealed.
func sealedColumns() []sealedColumn {
	return []sealedColumn{
		{table: "grants", key: "id", column: "access_token"},
		{table: "grants", key: "id", column: "refresh_token"},
		{table: "sign_in_attempts", key: "state_hash", column: "sealed", hashed: true},
		{table: "revocations", key: "id", column: "sealed"},
		{table: "vault_canary", key: "id", column: "sealed"},
	}
}

// statement fills in the names, which SQL cannot bind.
func (c sealedColumn) statement(query string) string {
	keyType := "TEXT"
	if c.hashed {
		keyType = "{bytes}"
	}
	return strings.NewReplacer("{table}", c.table, "{key}", c.key, "{column}", c.column, "{key type}", keyType).Replace(query)
}

// place is where the value in the row with that key is sealed.
func (c sealedColumn) place(key any) vault.Place {
	row, _ := key.(string)
	if hash, ok := key.([]byte); ok {
		row = hex.EncodeToString(hash)
	}
	return vault.Place{Table: c.table, Row: row, Column: c.column}
}

// The key's ID is in the first six bytes of a sealed value.
const countKeysSQL = `
SELECT substr({column}, 1, 6) AS beginning, COUNT(*) AS uses
  FROM {table} WHERE {column} IS NOT NULL GROUP BY substr({column}, 1, 6)`

// KeyUses implements keyring.Store.
func (db *DB) KeyUses(ctx context.Context) (map[uint32]int, error) {
	uses := make(map[uint32]int)
	for _, c := range sealedColumns() {
		var counts []struct {
			Beginning []byte `db:"beginning"`
			Uses      int    `db:"uses"`
		}
		if err := db.list(ctx, db.read, &counts, c.statement(countKeysSQL)); err != nil {
			return nil, explain(ctx, "count keys in use", err)
		}
		for _, count := range counts {
			if id, ok := vault.SealedUnder(count.Beginning); ok {
				uses[id] += count.Uses
			}
		}
	}
	return uses, nil
}

const selectHoldersSQL = `
SELECT id, key_ids FROM replicas WHERE expires_at > {now} ORDER BY id`

// KeyHolders implements keyring.Store.
func (db *DB) KeyHolders(ctx context.Context) ([]keyring.Replica, error) {
	var rows []struct {
		ID     string `db:"id"`
		KeyIDs string `db:"key_ids"`
	}
	if err := db.list(ctx, db.read, &rows, selectHoldersSQL); err != nil {
		return nil, explain(ctx, "select replicas", err)
	}
	replicas := make([]keyring.Replica, len(rows))
	for i, row := range rows {
		replicas[i].ID = row.ID
		for _, text := range strings.Fields(row.KeyIDs) {
			id, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("select replicas: %q is not a key's ID", text)
			}
			replicas[i].KeyIDs = append(replicas[i].KeyIDs, uint32(id))
		}
	}
	return replicas, nil
}

const insertCanarySQL = `
INSERT INTO vault_canary (id, sealed) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`

const selectCanarySQL = `
SELECT sealed FROM vault_canary WHERE id = ?`

// CheckKeyset returns ErrWrongKeyset unless the vault opens what is stored. It is
// for who serves: a database that nobody has served from yet belongs to the
// vault's keyset from then on.
func (db *DB) CheckKeyset(ctx context.Context) error {
	err := db.checkVault(ctx, db.vault)
	if !errors.Is(err, ErrNeverServed) {
		return err
	}
	sealed, err := db.vault.Seal(secret.New("galaxygate"), canaryPlace())
	if err != nil {
		return err
	}
	if _, err := db.exec(ctx, db.write, insertCanarySQL, canaryID, sealed); err != nil {
		return explain(ctx, "write keyset canary", err)
	}
	return db.checkCanary(ctx, db.vault) // another replica may have been first, with another keyset
}

// AcceptsKeyset implements keyring.Store. A database that nobody has served from
// is ErrNeverServed: that it holds no values and no replicas proves nothing.
func (db *DB) AcceptsKeyset(ctx context.Context, keys *vault.Keyset) error {
	return db.checkVault(ctx, keys.Vault())
}

// checkVault returns ErrWrongKeyset, with the keys that are missing and how many
// values are under them, unless the vault has every key that values are sealed
// under and opens the canary. It only reads.
func (db *DB) checkVault(ctx context.Context, v *vault.Vault) error {
	uses, err := db.KeyUses(ctx)
	if err != nil {
		return err
	}
	for _, id := range v.KeyIDs() {
		delete(uses, id)
	}
	if len(uses) > 0 {
		lacking := make([]string, 0, len(uses))
		for _, id := range slices.Sorted(maps.Keys(uses)) {
			lacking = append(lacking, fmt.Sprintf("%d (%d values)", id, uses[id]))
		}
		return fmt.Errorf("%w: it lacks key %s", ErrWrongKeyset, strings.Join(lacking, ", "))
	}
	return db.checkCanary(ctx, v)
}

func (db *DB) checkCanary(ctx context.Context, v *vault.Vault) error {
	var sealed []byte
	err := db.get(ctx, db.read, &sealed, selectCanarySQL, canaryID)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNeverServed
	}
	if err != nil {
		return explain(ctx, "read keyset canary", err)
	}
	if _, err := v.Open(sealed, canaryPlace()); err != nil {
		return ErrWrongKeyset
	}
	return nil
}

// canaryID is the only row of vault_canary.
const canaryID = "canary"

func canaryPlace() vault.Place {
	return vault.Place{Table: "vault_canary", Row: canaryID, Column: "sealed"}
}
