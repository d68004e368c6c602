package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// applicationID marks a file as ours ("gnkn"), so that we never write our tables into another program's.
const applicationID = 0x676e6b6e

// migrations brings a file from any schema to the next, in order. A number that was released never
// changes; there is no way back.
func migrations() []string {
	return []string{`
		CREATE TABLE records (
			kind     TEXT    NOT NULL,
			id       TEXT    NOT NULL,
			owner    TEXT    NOT NULL,
			value    BLOB    NOT NULL,
			expires  INTEGER,
			revision INTEGER NOT NULL,
			PRIMARY KEY (kind, id)
		);
		CREATE INDEX records_by_owner ON records (kind, owner, id);
		CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
	`}
}

// migrate applies what is missing in one transaction: whoever is killed in the middle changed nothing, and
// two processes that start at once do it one after the other.
func migrate(ctx context.Context, db *sql.DB) (err error) {
	var tx *sql.Tx
	err = patiently(ctx, func() error {
		tx, err = db.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin migration: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	all := migrations()
	version, err := schemaVersion(ctx, tx)
	if err != nil {
		return err
	}
	if version > len(all) {
		return fmt.Errorf("its schema is %d and this Genkan knows %d: run the newer Genkan that wrote it, or "+
			"restore the backup that was made before the upgrade", version, len(all))
	}
	for _, statements := range all[version:] {
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", len(all), err)
		}
	}
	marks := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(all))
	if _, err := tx.ExecContext(ctx, marks); err != nil {
		return fmt.Errorf("note schema %d: %w", len(all), err)
	}
	return tx.Commit()
}

// schemaVersion is 0 for an empty file, and refuses a file that another program made.
func schemaVersion(ctx context.Context, tx *sql.Tx) (version int, err error) {
	var application, tables int
	for query, into := range map[string]*int{
		"PRAGMA user_version":                &version,
		"PRAGMA application_id":              &application,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := tx.QueryRowContext(ctx, query).Scan(into); err != nil {
			return 0, fmt.Errorf("read the schema: %w", err)
		}
	}
	if application != applicationID && tables > 0 {
		return 0, errors.New("it is the database of another program: choose another file")
	}
	return version, nil
}
