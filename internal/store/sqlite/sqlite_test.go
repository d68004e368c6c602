package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/sqlite"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// execSQL runs SQL past the store, as another program would.
func execSQL(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatalf("exec: %v", err)
	}
}

func sample() store.Record {
	return store.Record{Kind: "sample", ID: "one", Owner: "tenant/alice", Value: []byte("value")}
}

func TestSQLiteKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "genkan.db")) })
}

type ctx = context.Context

// twoProcesses uses one file through two stores by turns, as a server and a command beside it would.
type twoProcesses struct {
	store.Store
	other store.Store
}

func (p twoProcesses) Get(ctx ctx, kind, id string) (store.Record, error) {
	return p.other.Get(ctx, kind, id)
}
func (p twoProcesses) Swap(ctx ctx, r store.Record) (int64, error) {
	if len(r.Value)%2 == 0 {
		return p.other.Swap(ctx, r)
	}
	return p.Store.Swap(ctx, r)
}
func (p twoProcesses) Take(ctx ctx, kind, id string) (store.Record, error) {
	return p.other.Take(ctx, kind, id)
}

func TestTwoProcessesOnOneFileKeepTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		path := filepath.Join(t.TempDir(), "genkan.db")
		return twoProcesses{open(t, path), open(t, path)}
	})
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%.db")
	first := open(t, path)
	if err := first.Create(t.Context(), sample()); err != nil {
		t.Fatalf("Create: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	got, err := open(t, path).Get(t.Context(), "sample", "one")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if diff := cmp.Diff(sample(), got, cmpopts.IgnoreFields(store.Record{}, "Revision")); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "genkan.db"))
	if err := s.Create(t.Context(), sample()); err != nil {
		t.Fatalf("Create: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("ReadDir: %v", err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatalf("Info: %v", err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", file.Name(), mode)
		}
	}
	if len(files) < 2 {
		t.Errorf("only %d files: the write-ahead log is not in use", len(files))
	}
}

func TestANewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genkan.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	execSQL(t, path, "PRAGMA user_version = 99")
	_, err := sqlite.Open(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "run the newer Genkan") {
		t.Errorf("Open = %v; want an error that says what to do", err)
	}
}

func TestAnotherProgramsDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	execSQL(t, path, "CREATE TABLE theirs (a)")
	_, err := sqlite.Open(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Open = %v; want an error that says whose file it is", err)
	}
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("Open took a text file for a database")
	}
}

func TestManyProcessesMayOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genkan.db")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	all.Wait()
}

// Threat 33: somebody else holds the write lock for long. The store fails closed and recovers by itself.
func TestThreat33_ALockedFileFailsAndComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genkan.db")
	s := open(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	if _, err := tx.ExecContext(t.Context(), "DELETE FROM records"); err != nil {
		t.Fatalf("lock: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Create(short, sample()); err == nil {
		t.Error("Create went past another process's lock")
	}
	if _, err := s.List(t.Context(), "sample", "", "", 1); err != nil {
		t.Errorf("a read waited for the writer: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatalf("rollback: %v", err)
	}
	if err := s.Create(t.Context(), sample()); err != nil {
		t.Errorf("Create after the lock was gone: %v", err)
	}
}
