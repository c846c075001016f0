package store

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/vault"
)

// resealBatch is how many values one statement replaces: it locks their rows for
// some milliseconds.
const resealBatch = 500

// Resealed is what Reseal did.
type Resealed struct {
	Values     int // that were sealed anew
	Replaced   int // that someone else replaced meanwhile, and left as those are
	Unreadable int // that do not open, and were left
}

// Reseal seals every value anew that is sealed under another key than the
// keyset's primary one, and calls progress with what is done so far. It may be
// broken off and begun again, and run while replicas serve: a value that was
// replaced since it was read stays as it is. Nobody is notified, because the
// plain values stay the same.
func (db *DB) Reseal(ctx context.Context, keys *vault.Keyset, progress func(Resealed)) (Resealed, error) {
	var done Resealed
	for _, c := range sealedColumns() {
		var last any = ""
		if c.hashed {
			last = []byte{}
		}
		for last != nil {
			var err error
			if last, err = db.resealFrom(ctx, keys, c, last, &done); err != nil {
				return done, explain(ctx, "re-seal "+c.table+"."+c.column, err)
			}
			progress(done)
		}
	}
	return done, nil
}

type sealedValue struct {
	Key    any    `db:"row_key"`
	Sealed []byte `db:"sealed"`
	anew   []byte
}

const selectSealedSQL = `
SELECT {key} AS row_key, {column} AS sealed FROM {table}
 WHERE {key} > ? AND {column} IS NOT NULL AND substr({column}, 3, 4) <> ?
 ORDER BY {key} LIMIT ?`

// resealFrom seals the next batch after that key anew, and returns the last key
// of the batch; nil where there are no more.
func (db *DB) resealFrom(
	ctx context.Context, keys *vault.Keyset, c sealedColumn, after any, done *Resealed,
) (last any, err error) {
	v, primary := keys.Vault(), binary.BigEndian.AppendUint32(nil, keys.Primary())
	var values []sealedValue
	err = db.list(ctx, db.read, &values, c.statement(selectSealedSQL), after, primary, resealBatch)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	last = values[len(values)-1].Key
	opened := values[:0]
	for _, value := range values {
		value.anew, err = reseal(v, value.Sealed, c.place(value.Key))
		switch {
		case errors.Is(err, vault.ErrSealed):
			done.Unreadable++
		case err != nil:
			return nil, err
		default:
			opened = append(opened, value)
		}
	}
	n, err := db.replaceSealed(ctx, c, opened)
	if err != nil {
		return nil, err
	}
	done.Values += n
	done.Replaced += len(opened) - n
	return last, nil
}

func reseal(v *vault.Vault, sealed []byte, place vault.Place) ([]byte, error) {
	plain, err := v.Open(sealed, place)
	if err != nil {
		return nil, err
	}
	return v.Seal(plain, place)
}

// PostgreSQL takes the types of the first row for all.
const (
	replaceSealedSQL = `
  WITH fresh (row_key, old, anew) AS (VALUES (CAST(? AS {key type}), CAST(? AS {bytes}), CAST(? AS {bytes}))`

	replaceSealedRestSQL = `),
       free AS (SELECT {key} AS row_key FROM {table} WHERE {key} IN (SELECT row_key FROM fresh) {for update skip locked})
UPDATE {table} SET {column} = fresh.anew FROM fresh, free
 WHERE {table}.{key} = fresh.row_key AND {table}.{key} = free.row_key AND {table}.{column} = fresh.old
RETURNING {table}.{key}`

	replaceOneSQL = `
UPDATE {table} SET {column} = ? WHERE {key} = ? AND {column} = ?`
)

// replaceSealed replaces the values that are still the same, and returns how many
// were. Those whose rows others have locked come last, one at a time: it waits
// only while it holds no lock itself, and so nobody waits for it in a circle.
func (db *DB) replaceSealed(ctx context.Context, c sealedColumn, values []sealedValue) (int, error) {
	if len(values) == 0 {
		return 0, nil
	}
	replaced, err := db.replaceFree(ctx, c, values)
	if err != nil {
		return 0, err
	}
	n := len(replaced)
	for _, value := range values {
		if replaced[c.place(value.Key)] {
			continue
		}
		err := db.transact(ctx, func(tx *sqlx.Tx) error {
			one, err := db.exec(ctx, tx, c.statement(replaceOneSQL), value.anew, value.Key, value.Sealed)
			n += int(one)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// replaceFree replaces the values that are still the same and whose rows nobody
// has locked, and returns where they are.
func (db *DB) replaceFree(ctx context.Context, c sealedColumn, values []sealedValue) (map[vault.Place]bool, error) {
	query := replaceSealedSQL + strings.Repeat(", (?, ?, ?)", len(values)-1) + replaceSealedRestSQL
	args := make([]any, 0, 3*len(values))
	for _, value := range values {
		args = append(args, value.Key, value.Sealed, value.anew)
	}
	var keys []any
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		return db.list(ctx, tx, &keys, c.statement(query), args...)
	})
	replaced := make(map[vault.Place]bool, len(keys))
	for _, key := range keys {
		replaced[c.place(key)] = true
	}
	return replaced, err
}
