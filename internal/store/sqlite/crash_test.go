package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/store/sqlite"
)

// crashVariable makes this test binary open the file that it names, and end.
const crashVariable = "GENKAN_CRASH_MIGRATION"

func TestMain(m *testing.M) {
	path := os.Getenv(crashVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	fmt.Println("ready")
	if _, err := sqlite.Open(context.Background(), path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A migration is one transaction: whoever is killed in it leaves the old schema or the new one.
func TestThreat34_AKilledMigrationIsRepeatedOrWasDone(t *testing.T) {
	for i := range 40 {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("genkan-%d.db", i))
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashVariable+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatalf("StdoutPipe: %v", err)
		}
		if err := child.Start(); err != nil {
			t.Fatalf("Start: %v", err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatalf("the process did not begin: %v", err)
		}
		kill := time.AfterFunc(time.Duration(rand.Int64N(int64(10*time.Millisecond))), func() { _ = child.Process.Kill() })
		_ = child.Wait()
		kill.Stop()
		s := open(t, path)
		if err := s.Create(t.Context(), sample()); err != nil {
			t.Fatalf("Create after the kill: %v", err)
		}
	}
}
