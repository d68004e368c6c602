package redis_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

func open(t *testing.T, c redis.Config) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func sample(id string) store.Record {
	return store.Record{Kind: "sample", ID: id, Owner: "tenant/alice", Value: []byte("value"),
		Expires: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)}
}

func TestRedisKeepsTheContract(t *testing.T) {
	server := storetest.StartRedis(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, redis.Config{Addrs: []string{server.Addr}, Prefix: strings.ReplaceAll(t.Name(), "/", ".")})
	})
}

// An index entry whose record is gone, because somebody deleted it by hand or the server evicted it, must
// disturb nobody.
func TestStaleIndexEntriesAreToleratedAndRemoved(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := s.Create(t.Context(), sample(id)); err != nil {
			t.Fatalf("Create: %v", err)
		}
	}
	for _, id := range []string{"a", "b"} {
		for shard := range 16 {
			server.MustDo("DEL", "{genkan:"+strconv.Itoa(shard)+"}:r:sample:"+id)
		}
	}
	got, err := s.List(t.Context(), "sample", "", "", 2)
	if err != nil || len(got) != 2 || got[0].ID != "c" || got[1].ID != "d" {
		t.Errorf("List = %v, %v; want c and d on one page", got, err)
	}
	if n, err := s.DeleteOwner(t.Context(), "sample", "tenant/alice"); n != 2 || err != nil {
		t.Errorf("DeleteOwner = %d, %v; want 2", n, err)
	}
	if n, err := s.Sweep(t.Context(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); n != 0 || err != nil {
		t.Errorf("Sweep = %d, %v; want 0", n, err)
	}
	if left := server.MustDo("DBSIZE"); left != ":0" {
		t.Errorf("%s keys are left in Redis, want none", left)
	}
}

// An index entry that is out of date, as in the instant between reading it and acting on it, decides nothing: the
// record itself does.
func TestWrongIndexEntriesDecideNothing(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	bobs := sample("bobs")
	bobs.Owner = "tenant/bob"
	if err := s.Create(t.Context(), bobs); err != nil {
		t.Fatalf("Create: %v", err)
	}
	for shard := range 16 {
		prefix := "{genkan:" + strconv.Itoa(shard) + "}:"
		server.MustDo("ZADD", prefix+"o:sample", "0", "tenant%2Falice:bobs")
		server.MustDo("ZADD", prefix+"x", "1", "sample:bobs")
	}
	if got, err := s.List(t.Context(), "sample", "tenant/alice", "", 10); len(got) != 0 || err != nil {
		t.Errorf("List = %v, %v; want none of alice's", got, err)
	}
	if n, err := s.DeleteOwner(t.Context(), "sample", "tenant/alice"); n != 0 || err != nil {
		t.Errorf("DeleteOwner = %d, %v; want 0", n, err)
	}
	if n, err := s.Sweep(t.Context(), bobs.Expires.Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep = %d, %v; want 0", n, err)
	}
	if _, err := s.Get(t.Context(), "sample", "bobs"); err != nil {
		t.Errorf("Get: %v", err)
	}
}

func TestNothingIsLeftInRedisWhenAllIsGone(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Create(t.Context(), sample(id)); err != nil {
			t.Fatalf("Create: %v", err)
		}
	}
	r, err := s.Get(t.Context(), "sample", "a")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	r.Owner, r.Expires = "tenant/bob", time.Time{}
	if _, err := s.Swap(t.Context(), r); err != nil {
		t.Fatalf("Swap: %v", err)
	}
	if _, err := s.Take(t.Context(), "sample", "a"); err != nil {
		t.Fatalf("Take: %v", err)
	}
	if n, err := s.Sweep(t.Context(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); n != 2 || err != nil {
		t.Errorf("Sweep = %d, %v; want 2", n, err)
	}
	if left := server.MustDo("DBSIZE"); left != ":0" {
		t.Errorf("%s keys are left in Redis, want none", left)
	}
}

func TestAServerThatThrowsSessionsAwayIsRefused(t *testing.T) {
	server := storetest.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	_, err := redis.Open(t.Context(), redis.Config{Addrs: []string{server.Addr}})
	if err == nil || !strings.Contains(err.Error(), "set maxmemory-policy to noeviction") {
		t.Errorf("Open = %v; want an error that says what to do", err)
	}
}

func TestAnUnreachableServerIsRefused(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Kill()
	_, err := redis.Open(t.Context(), redis.Config{Addrs: []string{server.Addr}})
	if err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("Open = %v; want an error that names the address", err)
	}
	server.Start()
}

func TestMistakenConfigurationsAreRefused(t *testing.T) {
	for name, c := range map[string]redis.Config{
		"no address":            {},
		"replicas in a cluster": {Addrs: []string{"127.0.0.1:1"}, Cluster: true, Replicas: 1},
		"braces in the prefix":  {Addrs: []string{"127.0.0.1:1"}, Prefix: "a{b}"},
	} {
		if _, err := redis.Open(t.Context(), c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func create(t *testing.T, s *redis.Store, id string) {
	t.Helper()
	if err := s.Create(t.Context(), sample(id)); err != nil {
		t.Fatalf("Create: %v", err)
	}
}

// failsClosed says that no verb pretends to know anything.
func failsClosed(t *testing.T, s *redis.Store) {
	t.Helper()
	_, getErr := s.Get(t.Context(), "sample", "one")
	_, takeErr := s.Take(t.Context(), "sample", "one")
	_, swapErr := s.Swap(t.Context(), sample("one"))
	_, listErr := s.List(t.Context(), "sample", "", "", 1)
	for what, err := range map[string]error{
		"Get": getErr, "Take": takeErr, "Swap": swapErr, "List": listErr, "Create": s.Create(t.Context(), sample("two")),
	} {
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
			t.Errorf("%s without a server: %v; want an error that is none of the store's", what, err)
		}
	}
}

func TestThreat33_AKilledServerFailsClosedAndComesBack(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	create(t, s, "one")
	server.Kill()
	failsClosed(t, s)
	server.Start()
	if _, err := s.Get(t.Context(), "sample", "one"); err != nil {
		t.Errorf("Get after the restart: %v", err)
	}
	create(t, s, "two")
}

// The scripts are gone from a restarted server; they must come back by themselves.
func TestThreat33_AFlushedScriptCacheDoesNotMatter(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, redis.Config{Addrs: []string{server.Addr}})
	create(t, s, "one")
	server.MustDo("SCRIPT", "FLUSH")
	create(t, s, "two")
}
