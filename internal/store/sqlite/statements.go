package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const columns = "kind, id, owner, value, expires, revision"

// Each verb is one statement, and so atomic without a transaction of ours.
type (
	reads  struct{ get, list, listOwner *sql.Stmt }
	writes struct{ create, take, swap, deleteOwner, sweep *sql.Stmt }
)

func prepareReads(ctx context.Context, db *sql.DB) (r reads, err error) {
	return r, prepare(ctx, db, map[**sql.Stmt]string{
		&r.get: "SELECT " + columns + " FROM records WHERE kind = ? AND id = ?",
		&r.list: "SELECT " + columns + " FROM records WHERE kind = ? AND id > ? " +
			"ORDER BY id LIMIT ?",
		&r.listOwner: "SELECT " + columns + " FROM records WHERE kind = ? AND owner = ? AND id > ? " +
			"ORDER BY id LIMIT ?",
	})
}

func prepareWrites(ctx context.Context, db *sql.DB) (w writes, err error) {
	return w, prepare(ctx, db, map[**sql.Stmt]string{
		&w.create: "INSERT INTO records (" + columns + ") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		&w.take:   "DELETE FROM records WHERE kind = ? AND id = ? RETURNING " + columns,
		&w.swap: "UPDATE records SET owner = ?, value = ?, expires = ?, revision = ? " +
			"WHERE kind = ? AND id = ? AND revision = ?",
		&w.deleteOwner: "DELETE FROM records WHERE kind = ? AND owner = ?",
		&w.sweep: "DELETE FROM records WHERE rowid IN " +
			"(SELECT rowid FROM records WHERE expires < ? LIMIT 500)",
	})
}

func prepare(ctx context.Context, db *sql.DB, statements map[**sql.Stmt]string) error {
	for statement, text := range statements {
		var err error
		if *statement, err = db.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // they live as long as db, which closes them
			return fmt.Errorf("prepare a statement: %w", err)
		}
	}
	return nil
}

// exec runs a statement that writes, and says how many records it touched.
func exec(ctx context.Context, statement *sql.Stmt, args ...any) (n int, err error) {
	err = patiently(ctx, func() error {
		result, err := statement.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		touched, err := result.RowsAffected()
		n = int(touched)
		return err
	})
	return n, err
}

// patiently tries a write again while another process holds the lock. SQLite has waited for a turn each
// time, so that this needs no pause of its own.
func patiently(ctx context.Context, write func() error) error {
	end := time.Now().Add(busyTimeout)
	for {
		err := write()
		if busy, ok := errors.AsType[*sqlite.Error](err); !ok || busy.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		if ctx.Err() != nil || !time.Now().Before(end) {
			return err
		}
	}
}
