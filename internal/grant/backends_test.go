package grant_test

import (
	"bytes"
	"context"
	"crypto/rand"

	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/sqlite"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

// cleaner is what tests and benchmarks have in common.
type cleaner interface {
	testing.TB
	Context() context.Context
}

func openSQLite(t cleaner, path string) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("open SQLite: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openRedis(t cleaner, addr string) store.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), redis.Config{Addrs: []string{addr}})
	if err != nil {
		t.Fatalf("open Redis: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// onEach runs a test on two processes' views of one SQLite file, and of one Redis. files is where they keep data.
func onEach(t *testing.T, run func(t *testing.T, h *house, other *grant.Grants, files string)) {
	t.Run("SQLite", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "genkan.db")
		h := newHouse(t, openSQLite(t, path))
		run(t, h, h.replicaOn(openSQLite(t, path)), dir)
	})
	t.Run("Redis", func(t *testing.T) {
		server := storetest.StartRedis(t)
		h := newHouse(t, openRedis(t, server.Addr))
		run(t, h, h.replicaOn(openRedis(t, server.Addr)), server.Dir)
	})
}

func (h *house) replicaOn(s store.Store) *grant.Grants {
	h.t.Helper()
	g, err := grant.New(grant.Config{Store: s, Ring: h.ring, Now: h.clock.Now})
	if err != nil {
		h.t.Fatalf("New: %v", err)
	}
	return g
}

func TestThreat10_EightWayRacesAcrossReplicasHaveOneSuccessor(t *testing.T) {
	onEach(t, func(t *testing.T, h *house, other *grant.Grants, _ string) { eightWay(t, h.Grants, other, 60) })
}

func TestThreat09_EightWayRedemptionsAcrossReplicasHaveOneWinner(t *testing.T) {
	onEach(t, func(t *testing.T, h *house, other *grant.Grants, _ string) {
		for range 60 {
			code := h.open()
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					if _, err := []*grant.Grants{h.Grants, other}[i%2].Redeem(t.Context(), redemption(code)); err == nil {
						won.Add(1)
					}
				})
			}
			all.Wait()
			if n := won.Load(); n != 1 {
				t.Errorf("%d redemptions won", n)
			}
		}
	})
}

func TestThreat37_TheStoresFilesHoldNoSecret(t *testing.T) {
	onEach(t, func(t *testing.T, h *house, _ *grant.Grants, files string) {
		code := h.open()
		tokens := h.redeem(code)
		next := h.rotate(tokens)
		ring, err := h.ring.Marshal()
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		secrets := map[string]string{"the upstream token": upstream, "a data key": string(ring[len(ring)/4 : len(ring)/2])}
		for name, text := range map[string]string{"a code": code, "an access token": tokens.Access.Reveal(),
			"a spent refresh token": tokens.Refresh.Reveal(), "a refresh token": next.Refresh.Reveal()} {
			secrets[name] = text[strings.LastIndexByte(text, '_')+1:]
		}
		searched := 0
		err = filepath.WalkDir(files, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte(next.GrantID)) {
				searched++
			}
			for name, text := range secrets {
				if bytes.Contains(content, []byte(text)) {
					t.Errorf("%s holds %s", entry.Name(), name)
				}
			}
			return err
		})
		if err != nil || searched == 0 {
			t.Errorf("the session was found in %d files: %v", searched, err)
		}
	})
}

// clients are programs that refresh for ever, and try again when they are told to.
type clients struct {
	t         *testing.T
	stop      atomic.Bool
	rotations atomic.Int64
	failures  atomic.Int64
	all       sync.WaitGroup

	mu   sync.Mutex
	last []func() error // what each client does at the end: use its last token
}

// run has one client refresh until it is stopped.
func (c *clients) run(g *grant.Grants, tokens grant.Tokens) {
	c.all.Go(func() {
		for !c.stop.Load() {
			next, err := g.Rotate(c.t.Context(), rotation(tokens), welcome)
			switch {
			case errors.Is(err, grant.ErrUnavailable):
				c.failures.Add(1)
			case err != nil:
				c.t.Errorf("Rotate: %v", err)
				return
			default:
				c.rotations.Add(1)
				tokens = next
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = append(c.last, func() error {
			_, err := g.Check(c.t.Context(), tokens.Access.Reveal(), resource)
			return err
		})
	})
}

// finish stops the clients and checks that the session of each of them works, as soon as its replica has found
// Redis again.
func (c *clients) finish() {
	c.t.Helper()
	c.stop.Store(true)
	c.all.Wait()
	for _, check := range c.last {
		var err error
		storetest.Await(c.t, 10*time.Second, "a replica to find Redis again", func() bool {
			err = check()
			return !errors.Is(err, grant.ErrUnavailable)
		})
		if err != nil {
			c.t.Errorf("Check at the end: %v", err)
		}
	}
}

// twoReplicas is Redis, two processes with real clocks on it, and eight clients that refresh.
func twoReplicas(t *testing.T) (*storetest.Redis, *clients) {
	server := storetest.StartRedis(t)
	ring, err := secret.NewRing(time.Now, rand.Reader)
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	running := &clients{t: t}
	for range 2 {
		g, err := grant.New(grant.Config{Store: openRedis(t, server.Addr), Ring: ring})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		for range 4 {
			code, err := g.Open(t.Context(), opening())
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			tokens, err := g.Redeem(t.Context(), redemption(code))
			if err != nil {
				t.Fatalf("Redeem: %v", err)
			}
			running.run(g, tokens)
		}
	}
	return server, running
}

// more waits until the clients have refreshed some more.
func (c *clients) more() {
	before := c.rotations.Load()
	storetest.Await(c.t, 30*time.Second, "the clients to refresh", func() bool { return c.rotations.Load() > before+50 })
}

func (c *clients) trouble() {
	before := c.failures.Load()
	storetest.Await(c.t, 30*time.Second, "a client to be told to come later", func() bool { return c.failures.Load() > before })
}

func TestThreat33_RedisRestartedInTheMiddleOfRotationsLosesNoSession(t *testing.T) {
	t.Parallel()
	server, running := twoReplicas(t)
	for range 5 {
		running.more()
		server.Kill()
		running.trouble()
		server.Start()
	}
	running.more()
	running.finish()
}

func TestThreat33_RedisPausedInTheMiddleOfRotationsLosesNoSession(t *testing.T) {
	t.Parallel()
	server, running := twoReplicas(t)
	running.more()
	server.Pause()
	running.trouble() // all of the store's patience has passed
	server.Resume()
	running.more()
	server.MustDo("CLIENT", "PAUSE", "300", "ALL")
	running.more()
	running.finish()
}
