// Package sqlite is a store in one file: for one Genkan, or several on one machine.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

// A write waits for busyTimeout for another process's, and then fails. SQLite itself waits for busyTurn at
// a time and hears no context meanwhile.
const (
	busyTimeout = 5 * time.Second
	busyTurn    = 50 * time.Millisecond
)

// readers is how many reads run at once. In WAL mode they wait for no writer.
const readers = 4

// Store is a store in an SQLite file. All its writes go through one connection.
type Store struct {
	read   *sql.DB
	write  *sql.DB
	reads  reads
	writes writes
}

var _ store.Store = (*Store)(nil)

// Open opens the file, creates it if there is none (its directory must exist, and others can't read it), and
// brings its schema up to date. It refuses a file of a newer Genkan.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// SQLite gives its two companion files the mode of the main one.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	// A commit must survive a power cut: a code that came back to life could be redeemed twice, and a
	// client would hold a refresh token of which nothing is known. Hence FULL.
	if s.write, err = connect(path, "synchronous(FULL)"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err = migrate(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = connect(path, "query_only(1)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if s.writes, err = prepareWrites(ctx, s.write); err != nil {
		return err
	}
	s.reads, err = prepareReads(ctx, s.read)
	return err
}

func connect(path, pragma string) (*sql.DB, error) {
	query := url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTurn.Milliseconds()), "journal_mode(WAL)", pragma},
		"_txlock": {"immediate"},
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	return sql.Open("sqlite", dsn.String())
}

// Create adds a record, or returns store.ErrExists.
func (s *Store) Create(ctx context.Context, r store.Record) error {
	revision, err := newRevision()
	if err != nil {
		return err
	}
	n, err := exec(ctx, s.writes.create, r.Kind, r.ID, r.Owner, r.Value, milliseconds(r.Expires), revision)
	if err != nil {
		return fmt.Errorf("create record: %w", err)
	}
	if n == 0 {
		return store.ErrExists
	}
	return nil
}

// Get returns a record or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, kind, id string) (store.Record, error) {
	return scan(s.reads.get.QueryRowContext(ctx, kind, id))
}

// Take removes a record and returns it, or returns store.ErrNotFound.
func (s *Store) Take(ctx context.Context, kind, id string) (taken store.Record, err error) {
	err = patiently(ctx, func() error {
		taken, err = scan(s.writes.take.QueryRowContext(ctx, kind, id))
		return err
	})
	return taken, err
}

// Swap replaces a record that nobody changed, or returns store.ErrConflict or store.ErrNotFound.
func (s *Store) Swap(ctx context.Context, r store.Record) (int64, error) {
	revision, err := newRevision()
	if err != nil {
		return 0, err
	}
	n, err := exec(ctx, s.writes.swap, r.Owner, r.Value, milliseconds(r.Expires), revision, r.Kind, r.ID, r.Revision)
	if err != nil {
		return 0, fmt.Errorf("swap record: %w", err)
	}
	if n == 1 {
		return revision, nil
	}
	if _, err := s.Get(ctx, r.Kind, r.ID); err != nil {
		return 0, err
	}
	return 0, store.ErrConflict
}

// DeleteOwner removes every record of a kind that belongs to owner.
func (s *Store) DeleteOwner(ctx context.Context, kind, owner string) (int, error) {
	if owner == "" {
		return 0, errors.New("store: no owner to delete")
	}
	n, err := exec(ctx, s.writes.deleteOwner, kind, owner)
	if err != nil {
		return 0, fmt.Errorf("delete an owner's records: %w", err)
	}
	return n, nil
}

// List returns records in the order of their IDs.
func (s *Store) List(ctx context.Context, kind, owner, after string, limit int) (_ []store.Record, err error) {
	limit = max(limit, 0) // SQLite takes a negative one for none
	var rows *sql.Rows
	if owner == "" {
		rows, err = s.reads.list.QueryContext(ctx, kind, after, limit)
	} else {
		rows, err = s.reads.listOwner.QueryContext(ctx, kind, owner, after, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []store.Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// Sweep removes every record that expired before now, a few at a time so that nobody waits for long.
func (s *Store) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	for {
		n, err := exec(ctx, s.writes.sweep, now.UnixMilli())
		if err != nil {
			return swept, fmt.Errorf("sweep records: %w", err)
		}
		if n == 0 {
			return swept, nil
		}
		swept += n
	}
}

// Close waits for running statements and closes the file.
func (s *Store) Close() error {
	var all []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	return errors.Join(all...)
}

// scan reads one row.
func scan(row interface{ Scan(...any) error }) (store.Record, error) {
	var r store.Record
	var expires sql.NullInt64
	err := row.Scan(&r.Kind, &r.ID, &r.Owner, &r.Value, &expires, &r.Revision)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("read record: %w", err)
	}
	if expires.Valid {
		r.Expires = time.UnixMilli(expires.Int64).UTC()
	}
	return r, nil
}

func milliseconds(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// newRevision draws a revision. A random one is new even to a record that was removed and came again.
func newRevision() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("draw a revision: %w", err)
	}
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1, nil
}
