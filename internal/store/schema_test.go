package store_test

import (
	"cmp"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"galaxygate/internal/pgtest"
	"galaxygate/internal/store"
	"galaxygate/migrations"
)

// line is one fact of a schema, in words that both databases share.
type line struct{ Table, Fact, Detail string }

type facts []line

func (f facts) tables() []string {
	var names []string
	for _, l := range f {
		names = append(names, l.Table)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

const postgresSchemaSQL = `
SELECT table_name, 'column ' || column_name,
       data_type || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT c.relname,
       CASE WHEN i.indisprimary THEN 'primary key' WHEN i.indisunique THEN 'unique' ELSE 'index' END,
       (SELECT string_agg(a.attname, ',' ORDER BY k.position)
          FROM unnest(i.indkey) WITH ORDINALITY k (number, position)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public'
UNION ALL
SELECT c.relname, 'foreign key', a.attname || ' to ' || r.relname || '.' || b.attname
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
  JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = f.confkey[1]
 WHERE f.contype = 'f'`

const sqliteSchemaSQL = `
SELECT t.name, 'column ' || c.name, c.type || CASE c."notnull" WHEN 1 THEN ' NOT NULL' ELSE '' END
  FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'
UNION ALL
SELECT t.name,
       CASE WHEN i.origin = 'pk' THEN 'primary key' WHEN i."unique" = 1 THEN 'unique' ELSE 'index' END,
       (SELECT group_concat(k.name, ',') FROM pragma_index_info(i.name) k)
  FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table'
UNION ALL
SELECT t.name, 'foreign key', f."from" || ' to ' || f."table" || '.' || f."to"
  FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'`

// schema returns the facts of the database's own tables, in order.
func schema(t testing.TB, db *sql.DB, url string) facts {
	t.Helper()
	query := sqliteSchemaSQL
	if strings.HasPrefix(url, "postgres") {
		query = postgresSchemaSQL
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("select schema: %v", err)
	}
	defer rows.Close()
	class := strings.NewReplacer("timestamp with time zone", "TIME", "TIMESTAMP", "TIME",
		"bytea", "BYTES", "BLOB", "BYTES", "text", "TEXT", "bigint", "BIGINT")
	var all facts
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.Table, &l.Fact, &l.Detail); err != nil {
			t.Fatalf("scan schema: %v", err)
		}
		if strings.HasPrefix(l.Table, "goose_") || strings.HasPrefix(l.Table, "sqlite_") {
			continue
		}
		if strings.HasPrefix(l.Fact, "column") {
			l.Detail = class.Replace(l.Detail)
		}
		all = append(all, l)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read schema: %v", err)
	}
	slices.SortFunc(all, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.Detail, b.Detail))
	})
	return all
}

func TestBothDatabasesHaveOneSchema(t *testing.T) {
	t.Parallel()
	schemas := map[string]facts{}
	for name, database := range databases {
		url := database(t)
		schemas[name] = schema(t, raw(t, url), url)
	}
	if len(schemas["sqlite"].tables()) < 6 {
		t.Fatalf("got tables %v, want six at least", schemas["sqlite"].tables())
	}
	if diff := gocmp.Diff(schemas["postgres"], schemas["sqlite"]); diff != "" {
		t.Fatalf("schemas differ (-postgres +sqlite):\n%s", diff)
	}
}

// empty are the addresses of databases without a schema.
var empty = map[string]func(t testing.TB) string{
	"sqlite":   sqliteURL,
	"postgres": func(t testing.TB) string { return pgtest.NewServer(t).URL },
}

func TestSchemaIsMigratedOnceByReplicasThatStartTogether(t *testing.T) {
	t.Parallel()
	for name, database := range empty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			db := open(t, url, nil)
			if err := db.SchemaCurrent(t.Context()); !errors.Is(err, store.ErrSchemaOlder) {
				t.Fatalf("SchemaCurrent of an empty database: got %v, want ErrSchemaOlder", err)
			}
			var group sync.WaitGroup
			for range 3 {
				replica := db
				if name == "postgres" {
					replica = open(t, url, nil)
				}
				group.Go(func() {
					if err := replica.Migrate(t.Context()); err != nil {
						t.Errorf("Migrate: %v", err)
					}
				})
			}
			group.Wait()
			if err := db.SchemaCurrent(t.Context()); err != nil {
				t.Fatalf("SchemaCurrent: %v", err)
			}
		})
	}
}

func TestMigrationStatusListsWhatIsAppliedAndWhatIsNot(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.Files(migrations.Types{}), "*.sql")
	if err != nil {
		t.Fatalf("Glob: %v", err)
	}
	for name, database := range empty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, database(t), nil)
			check := func(applied bool) {
				t.Helper()
				status, err := db.MigrationStatus(t.Context())
				if err != nil {
					t.Fatalf("MigrationStatus: %v", err)
				}
				if len(status) != len(files) {
					t.Fatalf("got %d migrations, want %d", len(status), len(files))
				}
				for i, m := range status {
					if m.Name != files[i] || m.Version == 0 || m.AppliedAt.IsZero() == applied {
						t.Errorf("got %+v, want %s, applied: %t", m, files[i], applied)
					}
					if applied && time.Since(m.AppliedAt).Abs() > time.Minute {
						t.Errorf("got applied at %s, want now", m.AppliedAt)
					}
				}
			}
			check(false)
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatalf("Migrate: %v", err)
			}
			check(true)
		})
	}
}

func TestSchemaOfANewerBinaryIsToldFromThisOnes(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			db := open(t, url, nil)
			if err := db.SchemaCurrent(t.Context()); err != nil {
				t.Fatalf("SchemaCurrent: %v", err)
			}
			statement := "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"
			if _, err := raw(t, url).ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("insert: %v", err)
			}
			if err := db.SchemaCurrent(t.Context()); !errors.Is(err, store.ErrSchemaNewer) {
				t.Fatalf("SchemaCurrent: got %v, want ErrSchemaNewer", err)
			}
			if err := db.Migrate(t.Context()); !errors.Is(err, store.ErrSchemaNewer) {
				t.Fatalf("Migrate: got %v, want ErrSchemaNewer", err)
			}
		})
	}
}

func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	if err := migrate(t.Context(), url); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	file := strings.TrimPrefix(url, "sqlite://")
	for path, want := range map[string]os.FileMode{file: 0o600, strings.TrimSuffix(file, "/galaxygate.db"): 0o700 | os.ModeDir} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatalf("Stat: %v", err)
		}
		if info.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", path, info.Mode(), want)
		}
	}
}
