package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"galaxygate/internal/secret"
	"galaxygate/migrations"
)

// errPostgresURL quotes nothing: the URL may hold a password.
var errPostgresURL = errors.New("database URL: not a postgres:// URL that the driver understands; " +
	"check its port and parameters, and write characters such as / and # in a password as %2F and %23")

// The bounds of the connections to PostgreSQL, beside the one that listens and
// the one that beats: for what requests ask, and for what replicas tell each
// other.
const (
	maxConns  = 20
	talkConns = 2
)

// dialect is what differs between the two databases.
type dialect struct {
	goose goose.Dialect
	types migrations.Types
	binds int // sqlx's form of placeholders
	words *strings.Replacer
	// begin is run first in each transaction; empty: nothing is.
	begin string
	// notifies says that other replicas may be waiting, to be woken by NOTIFY.
	notifies bool
}

// statement returns the query as this database understands it. It is written
// with ? for placeholders, and with
//
//	{now}          the database's clock
//	{later}        that clock and so many microseconds, the placeholder in it
//	{for update …} rows are locked as they are read
//	{bytes}        the type of bytes
func (d dialect) statement(query string) string {
	return sqlx.Rebind(d.binds, d.words.Replace(query))
}

// clock_timestamp goes on within a transaction, where now does not.
func postgresDialect() dialect {
	return dialect{
		goose: goose.DialectPostgres,
		types: migrations.Types{Time: "TIMESTAMPTZ", Bytes: "BYTEA"},
		binds: sqlx.DOLLAR,
		words: strings.NewReplacer(
			"{now}", "clock_timestamp()",
			"{later}", "clock_timestamp() + ? * INTERVAL '1 microsecond'",
			"{bytes}", "BYTEA",
			"{for update}", "FOR UPDATE",
			"{for update of g}", "FOR UPDATE OF g",
			"{for update skip locked}", "FOR UPDATE SKIP LOCKED",
			"{for update of g skip locked}", "FOR UPDATE OF g SKIP LOCKED",
		),
		// The driver begins every transaction as READ WRITE, and so writes to a
		// database that its operator has made read-only by default.
		begin:    "SELECT set_config('transaction_read_only', current_setting('default_transaction_read_only'), true)",
		notifies: true,
	}
}

// Every transaction of SQLite's writers has the database to itself.
func sqliteDialect() dialect {
	const now = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	return dialect{
		goose: goose.DialectSQLite3,
		types: migrations.Types{Time: "TIMESTAMP", Bytes: "BLOB"},
		binds: sqlx.QUESTION,
		words: strings.NewReplacer(
			"{now}", now,
			"{later}", now+" + ?",
			"{bytes}", "BLOB",
			"{for update}", "",
			"{for update of g}", "",
			"{for update skip locked}", "",
			"{for update of g skip locked}", "",
		),
	}
}

// openPostgres opens a pool of at most so many connections to a postgres:// URL.
func openPostgres(address secret.Text, conns int) (*sqlx.DB, error) {
	connector, err := pq.NewConnector(address.Reveal())
	if err != nil {
		return nil, errPostgresURL // the driver's text may quote a part of the password
	}
	connector.Dialer(patient{})
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

// openSQLite opens a pool of readers and one writer of the sqlite:// URL,
// having made the file, for its owner alone, and its directory where there was
// none. A query is SQLite's own, for example mode=ro.
func openSQLite(address secret.Text) (read, write *sqlx.DB, err error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(address.Reveal(), "sqlite://"), "?")
	if path == "" {
		return nil, nil, errors.New("database URL: sqlite:// needs the path of a file")
	}
	if query == "" {
		if err := makeFile(path); err != nil {
			return nil, nil, err
		}
	}
	dsn := "file:" + strings.NewReplacer("%", "%25", "#", "%23").Replace(path) +
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_txlock=immediate" +
		"&_time_integer_format=unix_micro&_inttotime=1&" + query
	open := func(conns int) (*sqlx.DB, error) {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		return sqlx.NewDb(db, "sqlite3"), nil // sqlx knows the placeholders by this name
	}
	if read, err = open(4); err != nil {
		return nil, nil, err
	}
	if write, err = open(1); err != nil { // writers queue here, and not at SQLite's lock
		return nil, nil, err
	}
	return read, write, nil
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("make database file: %w", err)
	}
	return file.Close()
}
