package store

import "context"

const grantsByStatusSQL = `
SELECT status AS name, COUNT(*) AS n FROM grants GROUP BY status`

// GrantsByStatus returns how many grants there are of each status.
func (db *DB) GrantsByStatus(ctx context.Context) (map[string]int, error) {
	return db.count(ctx, "count grants", grantsByStatusSQL)
}

const pendingRevocationsSQL = `
SELECT kind AS name, COUNT(*) AS n FROM revocations GROUP BY kind`

// PendingRevocations returns how many revocations are still to be done, by kind.
func (db *DB) PendingRevocations(ctx context.Context) (map[string]int, error) {
	return db.count(ctx, "count revocations", pendingRevocationsSQL)
}

// count returns the numbers that the query selects as name and n.
func (db *DB) count(ctx context.Context, doing, query string, args ...any) (map[string]int, error) {
	var rows []struct {
		Name string `db:"name"`
		N    int    `db:"n"`
	}
	if err := db.list(ctx, db.read, &rows, query, args...); err != nil {
		return nil, explain(ctx, doing, err)
	}
	counts := make(map[string]int, len(rows))
	for _, row := range rows {
		counts[row.Name] = row.N
	}
	return counts, nil
}
