package grant_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	resource  = "https://mcp.contoso.example/weather/mcp"
	elsewhere = "https://mcp.contoso.example/profile/mcp"
	client    = "client-1"
	redirect  = "http://127.0.0.1:33418/callback"
	upstream  = "entra-refresh-token-0"
)

// clock is a clock that moves only when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is what a test works with: sessions over a store, and a clock.
type house struct {
	*grant.Grants
	t     *testing.T
	clock *clock
	store store.Store
	ring  *secret.Ring
}

func newHouse(t *testing.T, s store.Store) *house {
	t.Helper()
	h := &house{t: t, clock: newClock(), store: s}
	var err error
	if h.ring, err = secret.NewRing(h.clock.Now, rand.Reader); err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	h.Grants = h.replica()
	return h
}

// home is a house over a store of its own.
func home(t *testing.T) *house { return newHouse(t, memory.New()) }

// replica is another process on the same store.
func (h *house) replica() *grant.Grants {
	h.t.Helper()
	g, err := grant.New(grant.Config{Store: h.store, Ring: h.ring, Now: h.clock.Now})
	if err != nil {
		h.t.Fatalf("New: %v", err)
	}
	return g
}

func alice() policy.Identity {
	return policy.Identity{Tenant: "contoso", Object: "alice", Kind: policy.Person, Roles: []string{"Weather.Read"}}
}

func verifier() string { return strings.Repeat("v", 43) }

func opening() grant.Opening {
	return grant.Opening{
		Client: client, ClientName: "Example", Server: "weather", Resource: resource, RedirectURI: redirect,
		Scopes: []string{"mcp", "weather.write"}, Challenge: oauth.Challenge256(verifier()),
		Identity: alice(), Upstream: []byte(upstream),
	}
}

func redemption(code string) grant.Redemption {
	return grant.Redemption{Code: code, Client: client, RedirectURI: redirect, Resource: resource, Verifier: verifier()}
}

func (h *house) open() (code string) {
	h.t.Helper()
	code, err := h.Open(h.t.Context(), opening())
	if err != nil {
		h.t.Fatalf("Open: %v", err)
	}
	return code
}

// signIn goes from consent to tokens.
func (h *house) signIn() grant.Tokens {
	h.t.Helper()
	return h.redeem(h.open())
}

func (h *house) redeem(code string) grant.Tokens {
	h.t.Helper()
	tokens, err := h.Redeem(h.t.Context(), redemption(code))
	if err != nil {
		h.t.Fatalf("Redeem: %v", err)
	}
	return tokens
}

func rotation(t grant.Tokens) grant.Rotation {
	return grant.Rotation{Refresh: t.Refresh.Reveal(), Client: client}
}

// welcome is an identity provider that lets everybody on.
func welcome(_ context.Context, upstream []byte) (policy.Identity, []byte, error) {
	return alice(), append(upstream, '+'), nil
}

func (h *house) rotate(t grant.Tokens) grant.Tokens {
	h.t.Helper()
	next, err := h.Rotate(h.t.Context(), rotation(t), welcome)
	if err != nil {
		h.t.Fatalf("Rotate: %v", err)
	}
	return next
}

// works says that an access token is let in by a process that has nothing cached.
func (h *house) works(t grant.Tokens) {
	h.t.Helper()
	if _, err := h.replica().Check(h.t.Context(), t.Access.Reveal(), resource); err != nil {
		h.t.Errorf("the access token should work: %v", err)
	}
}

// refused says that an access token is refused for this reason.
func (h *house) refused(t grant.Tokens, check policy.Check) {
	h.t.Helper()
	_, err := h.replica().Check(h.t.Context(), t.Access.Reveal(), resource)
	wantRefusal(h.t, err, check)
}

func wantRefusal(t *testing.T, err error, check policy.Check) {
	t.Helper()
	r, ok := errors.AsType[*policy.Refusal](err)
	if !ok {
		t.Errorf("got %v, want a refusal by the %s check", err, check)
		return
	}
	if r.Check != check {
		t.Errorf("got %q, want a refusal by the %s check", r, check)
	}
}

func wantEnded(t *testing.T, err error, why grant.Reason) {
	t.Helper()
	ended, ok := errors.AsType[*grant.EndedError](err)
	if !ok {
		t.Errorf("got %v, want the session ended because %s", err, why)
		return
	}
	if ended.Reason != why {
		t.Errorf("the session ended because %q, want %q", ended.Reason, why)
	}
}

// hooked runs a hook before each swap, and may fail instead of it or after it.
type hooked struct {
	store.Store
	before func(store.Record) error
	after  func(store.Record) error
}

func (s *hooked) Swap(ctx context.Context, r store.Record) (int64, error) {
	if s.before != nil {
		if err := s.before(r); err != nil {
			return 0, err
		}
	}
	revision, err := s.Store.Swap(ctx, r)
	if s.after != nil && err == nil {
		err = s.after(r)
	}
	return revision, err
}

// broken is a store that can be switched off.
type broken struct {
	store.Store
	mu   sync.Mutex
	down bool
}

func (s *broken) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *broken) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("dial tcp 10.0.0.1:6379: connection refused")
	}
	return nil
}

func (s *broken) Create(ctx context.Context, r store.Record) error {
	if err := s.trouble(); err != nil {
		return err
	}
	return s.Store.Create(ctx, r)
}

func (s *broken) Get(ctx context.Context, kind, id string) (store.Record, error) {
	if err := s.trouble(); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, kind, id)
}

func (s *broken) Swap(ctx context.Context, r store.Record) (int64, error) {
	if err := s.trouble(); err != nil {
		return 0, err
	}
	return s.Store.Swap(ctx, r)
}

func (s *broken) List(ctx context.Context, kind, owner, after string, limit int) ([]store.Record, error) {
	if err := s.trouble(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, kind, owner, after, limit)
}
