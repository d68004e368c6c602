package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// renewLimit bounds one answer of the identity provider. It counts apart from the caller's context: who
// hangs up in the middle of a refresh must not leave the others without its outcome.
const renewLimit = 30 * time.Second

// Rotation is a refresh token on its way back (RFC 6749 §6).
type Rotation struct {
	Refresh  string
	Client   string   // authenticated, or public
	Resource string   // empty: the session's
	Scopes   []string // empty: what was granted; else a part of it
}

// Rotate spends a refresh token and gives its successors (RFC 9700 §4.14.2), after renew has asked the
// identity provider again. The same token shown again within the grace gets the same successors: two
// windows refreshing at once are not theft. Shown later it ends the session with all its tokens. The
// grace stands still while the store is down or the process is gone.
//
// In one process, one caller at a time asks the identity provider for a session, and the others share
// the outcome. Between processes the swap decides; the loser finds the winner's successors.
func (g *Grants) Rotate(ctx context.Context, r Rotation, renew Renew) (Tokens, error) {
	shown, ok := parseToken(refreshPrefix, r.Refresh)
	if !ok {
		return Tokens{}, refuseRefresh("something else")
	}
	var tokens Tokens
	err := g.flights.fly(ctx, shown.id, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
		defer cancel()
		var err error
		tokens, err = g.rotate(ctx, shown, r, renew)
		return err
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("rotate: %w", err)
	}
	return tokens, nil
}

// renewed is the identity provider's answer, kept while the swap is tried again.
type renewed struct {
	identity policy.Identity
	upstream []byte
}

func (g *Grants) rotate(ctx context.Context, shown token, r Rotation, renew Renew) (tokens Tokens, err error) {
	var answer *renewed
	err = g.change(ctx, shown.id, func(rec *record) error {
		c, err := g.judgeRefresh(ctx, rec, shown, r)
		if err != nil {
			return err
		}
		if !c.Current.Equal(shown.hash) {
			tokens, err = g.successor(rec, c)
			return err
		}
		if answer == nil {
			if answer, err = g.ask(ctx, rec, renew); err != nil {
				return err
			}
		}
		tokens, err = g.advance(rec, c, shown, *answer, r.Scopes)
		if err != nil {
			return err
		}
		return g.save(ctx, rec)
	})
	if errors.Is(err, ErrNotFound) {
		err = refuseRefresh("a token that nobody issued here, or whose session was removed")
	}
	return tokens, err
}

// judgeRefresh finds the chain of a refresh token that may be used: the current one, or one within its
// grace. A stranger's request changes nothing; a spent token in its client's hand ends the session.
func (g *Grants) judgeRefresh(ctx context.Context, rec *record, shown token, r Rotation) (*chain, error) {
	c := rec.chainOfRefresh(shown)
	if c == nil {
		return nil, refuseRefresh("a token that nobody issued here")
	}
	if rec.Client != r.Client {
		return nil, &policy.Refusal{Check: policy.CheckClient, Wanted: "the client that the token was issued to",
			Got: "another client", Remedy: "refresh with the client_id that signed in"}
	}
	if !rec.live(g.Now()) {
		return nil, refuseSession(rec)
	}
	if !c.Current.Equal(shown.hash) {
		switch g.graceOf(c, shown.hash) {
		case afterGrace:
			return nil, g.end(ctx, rec, ReasonReuse, refuseRefresh("a token that was spent before"))
		case beforeGrace:
			return nil, refuseRefresh("a token that was spent in the future: a clock was set back")
		case withinGrace:
		}
	}
	if r.Resource != "" && !oauth.SameResource(r.Resource, rec.Resource) {
		return nil, refuseResource(rec, r.Resource)
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(c.Scopes, scope) {
			return nil, &policy.Refusal{Check: policy.CheckScope, Wanted: oauth.JoinScope(c.Scopes),
				Got: printable(scope), Remedy: "a refresh can only narrow the scope; sign in again for more"}
		}
	}
	return c, nil
}

// grace says where in time a spent token is shown.
type grace int

const (
	withinGrace grace = iota
	afterGrace
	// beforeGrace: it was spent in the future. A clock that jumps back proves no theft, so that it ends
	// nothing, and gives nothing.
	beforeGrace
)

func (g *Grants) graceOf(c *chain, hash secret.Digest) grace {
	i := slices.IndexFunc(c.Previous, func(s spent) bool { return s.Hash.Equal(hash) })
	if i < 0 {
		return afterGrace // spent so long ago that it was forgotten; its tag says that it existed
	}
	switch age := g.Now().Sub(g.outage.countsFrom(c.Previous[i].At)); {
	case age > g.Grace:
		return afterGrace
	case age < -g.Grace:
		return beforeGrace
	}
	return withinGrace
}

// successor is the pair that followed a spent token: the newest, if more followed within the grace.
func (g *Grants) successor(rec *record, c *chain) (Tokens, error) {
	plain, err := g.Ring.Open(successorBinding(rec.id), c.Successor)
	if err != nil {
		return Tokens{}, unavailable("open the successor", err)
	}
	var p pair
	if err := json.Unmarshal(plain, &p); err != nil {
		return Tokens{}, unavailable("open the successor", errors.New("it is no pair of tokens"))
	}
	hash := secret.Hash(p.Access)
	for _, a := range c.Access {
		if a.Hash.Equal(hash) {
			return g.tokens(rec, a, p), nil
		}
	}
	return Tokens{}, refuseRefresh("a token whose successor was revoked")
}

// ask has renew ask the identity provider, and ends the session if that is its answer.
func (g *Grants) ask(ctx context.Context, rec *record, renew Renew) (*renewed, error) {
	upstream, err := g.upstream(rec)
	if err != nil {
		return nil, err
	}
	identity, fresh, err := renew(ctx, upstream)
	refusal := &policy.Refusal{Check: policy.CheckSession, Wanted: "a session that has not ended",
		Got: "one that the identity provider ended", Remedy: "sign in again"}
	switch {
	case errors.Is(err, ErrEnded):
		ended := g.end(ctx, rec, ReasonProvider, refusal)
		if e, ok := errors.AsType[*EndedError](ended); ok {
			e.Cause = err
		}
		return nil, ended
	case err != nil:
		return nil, fmt.Errorf("ask the identity provider: %w", err)
	case identity.Key() != rec.Identity.Key():
		return nil, g.end(ctx, rec, ReasonIdentity, refusal)
	}
	return &renewed{identity: identity, upstream: fresh}, nil
}

// advance spends the current refresh token of a chain.
func (g *Grants) advance(rec *record, c *chain, shown token, answer renewed, scopes []string) (Tokens, error) {
	now := g.Now()
	rec.Used = now
	rec.expires = g.endOf(rec)
	if err := g.setIdentity(rec, answer.identity, answer.upstream); err != nil {
		return Tokens{}, err
	}
	if len(scopes) == 0 {
		scopes = c.Scopes // RFC 6749 §6: what was granted
	}
	c.Previous = slices.DeleteFunc(c.Previous, func(s spent) bool { return now.Sub(s.At) > g.Grace })
	c.Previous = append(c.Previous, spent{Hash: shown.hash, At: now})
	if over := len(c.Previous) - maxPrevious; over > 0 {
		c.Previous = slices.Delete(c.Previous, 0, over)
	}
	tokens, err := g.follow(rec, c, scopes)
	if err != nil {
		return Tokens{}, err
	}
	return tokens, g.sealPair(rec, c, tokens)
}

func refuseRefresh(got string) *policy.Refusal {
	return &policy.Refusal{Check: policy.CheckToken, Wanted: "a refresh token that was not used yet", Got: got,
		Remedy: "sign in again"}
}
