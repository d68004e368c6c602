package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

func TestThreat33_APausedServerFailsClosedInTimeAndLateChangesAreLeftUndone(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	create(t, s, "one")
	old, err := s.Get(t.Context(), "sample", "one")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if old.Revision, err = s.Swap(t.Context(), old); err != nil { // the server knows the script from now on
		t.Fatalf("Swap: %v", err)
	}

	server.Pause()
	began := time.Now()
	next := old
	next.Value = []byte("late")
	if _, err := s.Swap(t.Context(), next); err == nil {
		t.Error("Swap succeeded on a paused server")
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("the caller waited for %v", waited)
	}
	// The server finds the change in its socket when it goes on, long after its caller was told no.
	storetest.Await(t, 10*time.Second, "the change to be too late", func() bool { return time.Since(began) > 5*time.Second })
	server.Resume()
	storetest.Await(t, 10*time.Second, "the server to work off what it was sent", func() bool {
		_, err := s.Get(t.Context(), "sample", "one")
		return err == nil
	})
	got, err := s.Get(t.Context(), "sample", "one")
	if err != nil || string(got.Value) != "value" {
		t.Errorf("Get = %q, %v; want the value before the late change", got.Value, err)
	}
	if _, err := s.Swap(t.Context(), next); err != nil {
		t.Errorf("Swap after the pause: %v", err)
	}
}

// CLIENT PAUSE is what an operator does before a failover: writes wait, reads go on.
func TestThreat33_PausedWritesFailOrFinishAndNothingInBetween(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	create(t, s, "one")
	server.MustDo("CLIENT", "PAUSE", "500", "WRITE")
	old, err := s.Get(t.Context(), "sample", "one")
	if err != nil {
		t.Fatalf("Get during the pause: %v", err)
	}
	old.Value = []byte("waited")
	if _, err := s.Swap(t.Context(), old); err != nil {
		t.Fatalf("Swap during a short pause: %v", err)
	}
	if got, err := s.Get(t.Context(), "sample", "one"); err != nil || string(got.Value) != "waited" {
		t.Errorf("Get = %q, %v", got.Value, err)
	}
}

func TestACallerWithADeadlineDoesNotWaitForAPausedServer(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Get(ctx, "sample", "one"); err == nil {
		t.Error("Get succeeded on a paused server")
	}
	if waited := time.Since(began); waited > time.Second {
		t.Errorf("the caller waited for %v", waited)
	}
}

// A replica must have a change before it counts, so that a failover in the middle of a rotation loses nothing
// that a client was told.
func TestThreat33_AFailoverLosesNothingThatWasAnswered(t *testing.T) {
	primary := storetest.StartRedis(t, "--repl-diskless-sync-delay", "0")
	replica := storetest.StartRedis(t, "--replicaof", "127.0.0.1 "+port(primary.Addr))
	storetest.Await(t, 10*time.Second, "the replica to follow", func() bool {
		line, err := primary.Do("WAIT", "1", "100")
		return err == nil && line == ":1"
	})
	s := open(t, redis.Config{Addrs: []string{primary.Addr}, Replicas: 1})
	create(t, s, "one")
	primary.Kill()
	replica.MustDo("REPLICAOF", "NO", "ONE")
	promoted := open(t, redis.Config{Addrs: []string{replica.Addr}})
	if _, err := promoted.Get(t.Context(), "sample", "one"); err != nil {
		t.Errorf("Get from the promoted replica: %v", err)
	}
}

func TestThreat33_WithoutItsReplicaAChangeDoesNotCount(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}, Replicas: 1})
	if err := s.Create(t.Context(), sample("one")); err == nil {
		t.Error("Create counted without a replica")
	}
}

// The server's clock is far from ours, and jumps: neither may look like lateness.
func TestThreat36_TheServersClockMayJump(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	redis.ShiftClock(s, -time.Hour)
	create(t, s, "one")
	redis.ShiftClock(s, time.Hour)
	create(t, s, "two")
}
