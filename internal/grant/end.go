package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// memory is how long an ended session is remembered, so that its tokens are refused with the reason.
const memory = 24 * time.Hour

// end marks a session as ended, drops what could still be used, and returns an EndedError that wraps the
// refusal.
func (g *Grants) end(ctx context.Context, rec *record, why Reason, refusal *policy.Refusal) error {
	rec.Ended, rec.Reason = g.Now(), why
	rec.Upstream = nil
	for i := range rec.Chains {
		rec.Chains[i].Successor = nil
	}
	if last := rec.Ended.Add(memory); rec.expires.After(last) || rec.expires.Before(rec.Ended) {
		rec.expires = last
	}
	if err := g.save(ctx, rec); err != nil {
		return err
	}
	return &EndedError{GrantID: rec.id, Reason: why, Refusal: refusal}
}

// End ends a session: none of its tokens works from now on, here at once and elsewhere within five
// seconds. It returns ErrNotFound for a session that is not there; ending one twice is fine.
func (g *Grants) End(ctx context.Context, id string) error {
	err := g.change(ctx, id, func(rec *record) error {
		if !rec.Ended.IsZero() {
			return nil
		}
		return g.end(ctx, rec, ReasonEnded, nil)
	})
	if _, ended := errors.AsType[*EndedError](err); ended {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// EndOwner ends every session of an identity (policy.Identity.Key) and says how many there were.
func (g *Grants) EndOwner(ctx context.Context, owner string) (int, error) {
	if owner == "" {
		return 0, errors.New("end sessions: no identity")
	}
	return g.endAll(ctx, Query{Owner: owner, Pending: true})
}

// EndClient ends every session of a client and says how many there were.
func (g *Grants) EndClient(ctx context.Context, client string) (int, error) {
	if client == "" {
		return 0, errors.New("end sessions: no client")
	}
	return g.endAll(ctx, Query{Client: client, Pending: true})
}

func (g *Grants) endAll(ctx context.Context, q Query) (ended int, err error) {
	for {
		page, err := g.List(ctx, q)
		if err != nil {
			return ended, err
		}
		for _, grant := range page.Grants {
			switch err := g.End(ctx, grant.ID); {
			case errors.Is(err, ErrNotFound):
			case err != nil:
				return ended, err
			default:
				ended++
			}
		}
		if page.Next == "" {
			return ended, nil
		}
		q.After = page.Next
	}
}

// Revoke ends what a client gives back (RFC 7009 §2.1): for a refresh token, spent or not, the session; for
// an access token that token alone. A token that is none of ours is no error (§2.2), another client's
// is a refusal.
func (g *Grants) Revoke(ctx context.Context, text, client string) error {
	shown, refresh := parseToken(refreshPrefix, text)
	if !refresh {
		var ok bool
		if shown, ok = parseToken(accessPrefix, text); !ok {
			return nil
		}
	}
	err := g.change(ctx, shown.id, func(rec *record) error {
		known := rec.chainOfRefresh(shown) != nil
		if !refresh {
			_, known = rec.accessOf(shown)
		}
		if !known || !rec.Ended.IsZero() {
			return nil
		}
		if rec.Client != client {
			return &policy.Refusal{Check: policy.CheckClient, Wanted: "the client that the token was issued to",
				Got: "another client"}
		}
		if refresh {
			return g.end(ctx, rec, ReasonRevoked, nil)
		}
		rec.forget(shown.hash)
		return g.save(ctx, rec)
	})
	if _, ended := errors.AsType[*EndedError](err); ended || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// forget removes an access token.
func (r *record) forget(hash secret.Digest) {
	for i := range r.Chains {
		kept := r.Chains[i].Access[:0]
		for _, a := range r.Chains[i].Access {
			if !a.Hash.Equal(hash) {
				kept = append(kept, a)
			}
		}
		r.Chains[i].Access = kept
	}
}
