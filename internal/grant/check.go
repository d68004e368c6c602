package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/policy"
)

// Check says whose session an access token belongs to, if it is good for this resource now. The refusal
// is a *policy.Refusal; any other error means that the sessions can't be read, and nobody gets in.
//
// What was read is believed for Config.CheckCache. A session that this process ends is out at once.
func (g *Grants) Check(ctx context.Context, access, resource string) (*Grant, error) {
	shown, ok := parseToken(accessPrefix, access)
	if !ok {
		return nil, refuseAccess("something else")
	}
	now := g.Now()
	rec, cached := g.cache.get(shown.id, now)
	if cached {
		if _, known := rec.accessOf(shown); !known {
			cached = false // issued since, perhaps by another replica
		}
	}
	if !cached {
		var err error
		if rec, err = g.load(ctx, shown.id); errors.Is(err, ErrNotFound) {
			return nil, refuseAccess("a token that nobody issued here, or whose session was removed")
		}
		if err != nil {
			return nil, fmt.Errorf("check token: %w", err)
		}
		g.cache.put(rec, now) // as old as the moment before it was read
	}
	return g.judgeAccess(rec, shown, resource)
}

// judgeAccess is the order of the checks: somebody issued the token, the session lives, the token has not
// expired, and it is for this server.
func (g *Grants) judgeAccess(rec *record, shown token, resource string) (*Grant, error) {
	a, ok := rec.accessOf(shown)
	if !ok {
		return nil, refuseAccess("a token that nobody issued here, or that expired long ago")
	}
	now := g.Now()
	if !rec.live(now) {
		return nil, refuseSession(rec)
	}
	if !now.Before(a.Expires) {
		return nil, &policy.Refusal{Check: policy.CheckExpiry, Wanted: "a token that has not expired",
			Got: "one that expired at " + stamp(a.Expires), Remedy: "refresh the token"}
	}
	if rec.Resource != resource {
		return nil, &policy.Refusal{Check: policy.CheckAudience, Wanted: resource, Got: rec.Resource,
			Remedy: "get a token for this server (RFC 8707)"}
	}
	grant := rec.grant(a.Scopes)
	grant.TokenExpires = a.Expires
	return &grant, nil
}

// accessOf finds the entry of an access token. The ended session keeps its entries, so that its refusal
// can say why.
func (r *record) accessOf(shown token) (access, bool) {
	for _, c := range r.Chains {
		for _, a := range c.Access {
			if a.Hash.Equal(shown.hash) {
				return a, true
			}
		}
	}
	return access{}, false
}

func refuseAccess(got string) *policy.Refusal {
	return &policy.Refusal{Check: policy.CheckToken, Wanted: "an access token of this house", Got: got,
		Remedy: "sign in again"}
}
