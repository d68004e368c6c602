package grant_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
	"pgregory.net/rapid"
)

// model is the promises in their simplest form: what each token ever given should do now. The machine draws
// what clients, thieves and administrators do, in any order, on two replicas, and compares.
type model struct {
	t        *rapid.T
	clock    *clock
	replicas [2]*grant.Grants
	sessions []*modelSession
}

type modelSession struct {
	code     string
	opened   time.Time
	redeemed bool
	ended    bool
	expires  time.Time
	last     map[string]time.Time // refresh tokens, and when each was spent; zero: it is the current one
	current  grant.Tokens
	access   map[string]time.Time // access tokens, and when each expires
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, clock: newClock()}
	ring, err := secret.NewRing(m.clock.Now, rand.Reader)
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	s := memory.New()
	m.clock.pass(-time.Hour) // the replicas began long ago: no grace stands still
	for i := range m.replicas {
		// Without a cache, an end must show everywhere at once; the cache has tests of its own.
		if m.replicas[i], err = grant.New(grant.Config{Store: s, Ring: ring, Now: m.clock.Now, CheckCache: time.Nanosecond}); err != nil {
			t.Fatalf("New: %v", err)
		}
	}
	m.clock.pass(time.Hour)
	return m
}

func (m *model) replica(t *rapid.T) *grant.Grants {
	return m.replicas[rapid.IntRange(0, 1).Draw(t, "replica")]
}

// session draws a session; without any, the action does not apply.
func (m *model) session(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		t.Skip("no session")
	}
	return m.sessions[rapid.IntRange(0, len(m.sessions)-1).Draw(t, "session")]
}

func (s *modelSession) lives(now time.Time) bool {
	return s.redeemed && !s.ended && now.Before(s.expires)
}

// learn takes over a fresh pair.
func (s *modelSession) learn(tokens grant.Tokens, now time.Time) {
	s.current = tokens
	s.last[tokens.Refresh.Reveal()] = time.Time{}
	end := now.Add(time.Hour)
	if s.expires.Before(end) {
		end = s.expires
	}
	s.access[tokens.Access.Reveal()] = end
}

// Open begins a session.
func (m *model) Open(t *rapid.T) {
	if len(m.sessions) == 5 {
		t.Skip("enough sessions")
	}
	code, err := m.replica(t).Open(context.Background(), opening())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	m.sessions = append(m.sessions, &modelSession{code: code, opened: m.clock.Now(),
		last: map[string]time.Time{}, access: map[string]time.Time{}})
}

// Redeem shows a session's code, perhaps again, perhaps with something wrong.
func (m *model) Redeem(t *rapid.T) {
	s, now := m.session(t), m.clock.Now()
	r := redemption(s.code)
	wrong := rapid.SampledFrom([]string{"", "", "client", "verifier", "resource"}).Draw(t, "wrong")
	switch wrong {
	case "client":
		r.Client = "client-2"
	case "verifier":
		r.Verifier += "x"
	case "resource":
		r.Resource = elsewhere
	}
	tokens, err := m.replica(t).Redeem(context.Background(), r)
	good := !s.redeemed && !s.ended && wrong == "" && now.Before(s.opened.Add(time.Minute))
	if (err == nil) != good {
		t.Fatalf("Redeem = %v, should it work? %v", err, good)
	}
	switch {
	case good:
		s.redeemed, s.expires = true, s.opened.Add(30*24*time.Hour)
		s.learn(tokens, now)
	case s.redeemed && wrong != "client":
		s.ended = true // a replay
	}
}

// Rotate shows any refresh token that the session ever had.
func (m *model) Rotate(t *rapid.T) {
	s, now := m.session(t), m.clock.Now()
	if len(s.last) == 0 {
		t.Skip("no refresh token")
	}
	// Half of the time the current one, else any of them.
	shown := s.current.Refresh.Reveal()
	if rapid.Bool().Draw(t, "old") {
		shown = rapid.SampledFrom(sorted(s.last)).Draw(t, "shown")
	}
	r := grant.Rotation{Refresh: shown, Client: client}
	wrong := rapid.SampledFrom([]string{"", "", "client", "resource", "scope"}).Draw(t, "wrong")
	switch wrong {
	case "client":
		r.Client = "client-2"
	case "resource":
		r.Resource = elsewhere
	case "scope":
		r.Scopes = []string{"admin"}
	}
	outcome := rapid.SampledFrom([]string{"fine", "fine", "fine", "down", "ended"}).Draw(t, "provider")
	asked := false
	tokens, err := m.replica(t).Rotate(context.Background(), r, func(ctx context.Context, u []byte) (policy.Identity, []byte, error) {
		asked = true
		switch outcome {
		case "down":
			return policy.Identity{}, nil, errors.New("down")
		case "ended":
			return policy.Identity{}, nil, fmt.Errorf("disabled: %w", grant.ErrEnded)
		}
		return welcome(ctx, u)
	})
	spent := s.last[shown]
	current := spent.IsZero()
	inGrace := !current && now.Sub(spent) <= 10*time.Second
	switch {
	case !s.lives(now) || wrong == "client":
		m.want(t, err != nil && !asked, "a stranger's or dead token was honoured: %v", err)
	case !current && !inGrace:
		m.want(t, err != nil && !asked, "a spent token was honoured: %v", err)
		s.ended = true
	case wrong != "":
		m.want(t, err != nil && !asked, "a bad request was honoured: %v", err)
	case inGrace:
		m.want(t, err == nil && !asked && tokens.Refresh == s.current.Refresh && tokens.Access == s.current.Access,
			"the grace did not give the same successor: %v", err)
	case outcome == "fine":
		m.want(t, err == nil && asked, "a good token was refused: %v", err)
		s.last[shown] = now
		s.learn(tokens, now)
	default:
		m.want(t, err != nil && asked, "the provider's no was not heard")
		s.ended = s.ended || outcome == "ended"
	}
}

// End ends a session, by an administrator or by its client.
func (m *model) End(t *rapid.T) {
	s := m.session(t)
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 || !s.redeemed {
		t.Skip("not now")
	}
	var err error
	if rapid.Bool().Draw(t, "client") {
		err = m.replica(t).Revoke(context.Background(), s.current.Refresh.Reveal(), client)
	} else {
		err = m.replica(t).End(context.Background(), s.current.GrantID)
	}
	m.want(t, err == nil, "End: %v", err)
	s.ended = true
}

// Pass lets time go by.
func (m *model) Pass(t *rapid.T) {
	m.clock.pass(rapid.SampledFrom([]time.Duration{time.Second, 5 * time.Second, 11 * time.Second, 50 * time.Second,
		30 * time.Minute, time.Hour, 15 * 24 * time.Hour}).Draw(t, "pass"))
}

// Check compares every access token that was ever given with what the model says. It runs after each action.
func (m *model) Check(t *rapid.T) {
	now := m.clock.Now()
	m.clock.pass(time.Nanosecond) // nothing is cached
	for _, s := range m.sessions {
		for access, expires := range s.access {
			for _, g := range m.replicas {
				_, err := g.Check(context.Background(), access, resource)
				good := s.lives(now) && now.Before(expires)
				m.want(t, (err == nil) == good, "Check = %v, should it work? %v", err, good)
				_, err = g.Check(context.Background(), access, elsewhere)
				m.want(t, err != nil, "a token works at another server")
			}
		}
	}
}

func (m *model) want(t *rapid.T, holds bool, format string, args ...any) {
	t.Helper()
	if !holds {
		t.Fatalf(format, args...)
	}
}

// sorted makes a draw from a map repeatable: by when the tokens were spent.
func sorted(tokens map[string]time.Time) []string {
	var all []string
	for text := range tokens {
		i := 0
		for i < len(all) && before(tokens[all[i]], tokens[text]) {
			i++
		}
		all = append(all[:i], append([]string{text}, all[i:]...)...)
	}
	return all
}

// before orders by time, with the current token (zero) last.
func before(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

func TestThePromisesHoldInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"Open": m.Open, "Redeem": m.Redeem, "Rotate": m.Rotate, "End": m.End, "Pass": m.Pass, "": m.Check,
		})
	})
}
