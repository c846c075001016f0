package store

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// away reports whether the driver's error means that the database cannot be
// reached, or not be written, now. A time-out is a net.Error.
func away(err error) bool {
	var (
		network  net.Error
		postgres *pq.Error
		lite     *sqlite.Error
	)
	switch {
	case errors.As(err, &postgres):
		return awaySQLState(string(postgres.Code))
	case errors.As(err, &lite):
		switch lite.Code() & 0xff { // without what extends it
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN:
			return true
		}
		return false
	}
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// awaySQLState reports whether the code is one of trouble with the connection (08), of
// resources that are used up (53), of a server that starts, stops or ends the
// connection (57P0x), or of a database that is read-only (25006).
func awaySQLState(code string) bool {
	for _, prefix := range []string{"08", "53", "57P0", "25006"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return false
}
