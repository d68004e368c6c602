package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

// Open begins a session and returns the code for the client's redirect. Until the code is redeemed the
// session has no tokens and lives only as long as the code.
func (g *Grants) Open(ctx context.Context, o Opening) (code string, err error) {
	rec, err := g.begin(o)
	if err != nil {
		return "", err
	}
	c, code, err := g.newCode(rec.id, o)
	if err != nil {
		return "", err
	}
	rec.Chains, rec.expires = []chain{c}, c.CodeExpires
	if err := g.create(ctx, rec); err != nil {
		return "", fmt.Errorf("open session: %w", err)
	}
	return code, nil
}

// Issue begins a session that has one access token and nothing else: that of an application which acts
// for itself and can ask again whenever it likes (client credentials, RFC 6749 §4.4.3).
func (g *Grants) Issue(ctx context.Context, o Opening) (Tokens, error) {
	rec, err := g.begin(o)
	if err != nil {
		return Tokens{}, err
	}
	now := g.Now()
	rec.expires = now.Add(g.AccessLife)
	c := chain{Scopes: o.Scopes, Redeemed: now}
	issued, err := g.newAccess(rec, &c, o.Scopes)
	if err != nil {
		return Tokens{}, err
	}
	rec.Chains = []chain{c}
	if err := g.create(ctx, rec); err != nil {
		return Tokens{}, fmt.Errorf("issue token: %w", err)
	}
	return g.tokens(rec, c.Access[0], pair{Access: issued}), nil
}

// Widen adds scopes to a session by a step-up: the same person came back from the identity provider with a
// consent for more. The code that it returns gives tokens with o.Scopes; the session's other tokens stay
// as they are, so that another window of the client goes on. Who the person is and the upstream tokens
// are fresher than the session's and replace them at once.
func (g *Grants) Widen(ctx context.Context, id string, o Opening) (code string, err error) {
	if err := checkOpening(o); err != nil {
		return "", err
	}
	err = g.change(ctx, id, func(rec *record) error {
		if err := g.mayWiden(rec, o); err != nil {
			return err
		}
		var c chain
		if c, code, err = g.newCode(id, o); err != nil {
			return err
		}
		now := g.Now()
		rec.Chains = slices.DeleteFunc(rec.Chains, func(c chain) bool {
			return c.Redeemed.IsZero() && now.After(c.CodeExpires)
		})
		rec.Chains = append(rec.Chains, c)
		if over := len(rec.Chains) - maxChains; over > 0 {
			rec.Chains = slices.Delete(rec.Chains, 0, over)
		}
		if err := g.setIdentity(rec, o.Identity, o.Upstream); err != nil {
			return err
		}
		return g.save(ctx, rec)
	})
	if err != nil {
		return "", fmt.Errorf("widen session: %w", err)
	}
	return code, nil
}

// mayWiden refuses to mix sessions of different people, clients or servers.
func (g *Grants) mayWiden(rec *record, o Opening) error {
	if !rec.live(g.Now()) || rec.pending() {
		return ErrNotFound
	}
	if rec.Client != o.Client || rec.Resource != o.Resource || rec.Identity.Key() != o.Identity.Key() {
		return errors.New("a session can't change its person, client or server")
	}
	return nil
}

// begin makes the record of a session that is not stored yet.
func (g *Grants) begin(o Opening) (*record, error) {
	if err := checkOpening(o); err != nil {
		return nil, err
	}
	id, err := secret.Random(g.Rand, idLen)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	now := g.Now()
	rec := &record{
		Version: recordVersion, id: id,
		Client: o.Client, ClientName: o.ClientName, Server: o.Server, Resource: o.Resource,
		Created: now, Used: now,
	}
	return rec, g.setIdentity(rec, o.Identity, o.Upstream)
}

// checkOpening refuses what could never be checked later.
func checkOpening(o Opening) error {
	switch {
	case o.Client == "":
		return errors.New("open session: no client")
	case o.Resource == "":
		return errors.New("open session: no resource")
	case o.Identity.Key() == "":
		return errors.New("open session: the identity has no tenant or no object ID")
	}
	return nil
}

// setIdentity takes over who the person is now, and seals the upstream tokens if there are new ones.
func (g *Grants) setIdentity(rec *record, identity policy.Identity, upstream []byte) error {
	rec.Identity = identity
	if len(upstream) == 0 {
		return nil
	}
	sealed, err := g.Ring.Seal(upstreamBinding(rec.id), upstream)
	if err != nil {
		return fmt.Errorf("seal the upstream tokens: %w", err)
	}
	rec.Upstream = sealed
	return nil
}

func upstreamBinding(id string) secret.Binding {
	return secret.Binding{Kind: "grant upstream", Key: id}
}

func successorBinding(id string) secret.Binding {
	return secret.Binding{Kind: "grant successor", Key: id}
}

// newCode starts a chain with a code.
func (g *Grants) newCode(id string, o Opening) (chain, string, error) {
	if o.Challenge == "" {
		return chain{}, "", errors.New("open session: no code challenge") // OAuth 2.1 §7.5.2
	}
	code, err := newToken(g.Rand, codePrefix, id)
	if err != nil {
		return chain{}, "", err
	}
	return chain{
		Code: secret.Hash(code), CodeExpires: g.Now().Add(g.CodeLife),
		Challenge: o.Challenge, RedirectURI: o.RedirectURI, Scopes: o.Scopes,
	}, code, nil
}

func (g *Grants) create(ctx context.Context, rec *record) error {
	stored, err := rec.encode()
	if err != nil {
		return err
	}
	err = g.Store.Create(ctx, stored)
	if errors.Is(err, store.ErrExists) {
		return errors.New("the ID of a new session was taken: the source of randomness is broken")
	}
	if err != nil {
		return unavailable("write session", err)
	}
	return nil
}

// newAccess draws an access token and enters it in its chain. It ends with the session at the latest.
func (g *Grants) newAccess(rec *record, c *chain, scopes []string) (string, error) {
	text, err := newToken(g.Rand, accessPrefix, rec.id)
	if err != nil {
		return "", err
	}
	now := g.Now()
	expires := now.Add(g.AccessLife)
	if rec.expires.Before(expires) {
		expires = rec.expires
	}
	// The newest comes first. Other windows keep theirs until they expire: a refresh cuts nobody off.
	c.Access = slices.DeleteFunc(c.Access, func(a access) bool { return !now.Before(a.Expires) })
	c.Access = slices.Insert(c.Access, 0, access{Hash: secret.Hash(text), Expires: expires, Scopes: scopes})
	c.Access = c.Access[:min(len(c.Access), maxAccess)]
	return text, nil
}

// tokens is the answer that carries a pair.
func (g *Grants) tokens(rec *record, a access, p pair) Tokens {
	return Tokens{
		Access: secret.NewText(p.Access), Refresh: secret.NewText(p.Refresh),
		ExpiresIn: max(a.Expires.Sub(g.Now()), 0).Truncate(time.Second),
		Scopes:    a.Scopes, Resource: rec.Resource, GrantID: rec.id,
	}
}
