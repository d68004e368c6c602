package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// tagKeyBytes is the length of a chain's tag key.
const tagKeyBytes = 16

// Redemption is a code on its way back (RFC 6749 §4.1.3).
type Redemption struct {
	Code        string
	Client      string // authenticated, or public
	RedirectURI string // empty where the client leaves it out, as OAuth 2.1 §4.1.3 has it
	Resource    string // empty: the one that the code is for
	Verifier    string
}

// Redeem gives the tokens of a code, once. A request that does not fit the code is refused and burns
// nothing; a code that its client shows again after it was redeemed ends the session (RFC 6749 §4.1.2),
// while one that merely lost a race is refused: two requests at once are a client that stutters.
func (g *Grants) Redeem(ctx context.Context, r Redemption) (Tokens, error) {
	shown, ok := parseToken(codePrefix, r.Code)
	if !ok {
		return Tokens{}, refuseCode("something else")
	}
	var won Tokens
	raced := false
	err := g.change(ctx, shown.id, func(rec *record) error {
		c := rec.chainOfCode(shown.hash)
		if err := g.judgeCode(rec, c, r); err != nil {
			return err
		}
		if !c.Redeemed.IsZero() {
			if raced {
				return refuseCode("a code that another request has just redeemed")
			}
			return g.end(ctx, rec, ReasonReplay, refuseCode("a code that was redeemed before"))
		}
		if err := g.judgeRequest(rec, c, r); err != nil {
			return err
		}
		tokens, err := g.redeem(rec, c)
		if err != nil {
			return err
		}
		if err = g.save(ctx, rec); err == nil {
			won = tokens
		}
		raced = errors.Is(err, errRaced)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = refuseCode("a code that nobody issued here, or that expired")
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("redeem code: %w", err)
	}
	return won, nil
}

// judgeCode says whether this client may show this code at all.
func (g *Grants) judgeCode(rec *record, c *chain, r Redemption) error {
	if c == nil {
		return refuseCode("a code that nobody issued here")
	}
	if rec.Client != r.Client {
		return &policy.Refusal{Check: policy.CheckClient, Wanted: "the client that the code was issued to",
			Got: "another client", Remedy: "redeem the code with the client_id of the authorization request"}
	}
	if !rec.Ended.IsZero() {
		return refuseSession(rec)
	}
	return nil
}

// judgeRequest says whether the request fits a code that is still good.
func (g *Grants) judgeRequest(rec *record, c *chain, r Redemption) error {
	switch {
	case !g.Now().Before(c.CodeExpires):
		return &policy.Refusal{Check: policy.CheckExpiry, Wanted: fmt.Sprintf("a code not older than %v", g.CodeLife),
			Got: "a code that expired at " + stamp(c.CodeExpires), Remedy: "start the sign-in again"}
	case !rec.live(g.Now()): // of a step-up's code
		return refuseSession(rec)
	case r.RedirectURI != "" && r.RedirectURI != c.RedirectURI:
		return &policy.Refusal{Check: policy.CheckClient, Wanted: "the redirect_uri of the authorization request",
			Got: "another redirect_uri", Remedy: "send the same redirect_uri in both requests"}
	case r.Resource != "" && !oauth.SameResource(r.Resource, rec.Resource):
		return refuseResource(rec, r.Resource)
	case !oauth.Proves(r.Verifier, c.Challenge):
		return &policy.Refusal{Check: policy.CheckClient, Wanted: "the code_verifier of the authorization request",
			Got: "a code_verifier that does not fit", Remedy: "send the verifier whose S256 challenge began the sign-in"}
	}
	return nil
}

// redeem turns a pending chain into one with tokens.
func (g *Grants) redeem(rec *record, c *chain) (Tokens, error) {
	now := g.Now()
	c.Redeemed, rec.Used = now, now
	rec.expires = g.endOf(rec)
	c.TagKey = make([]byte, tagKeyBytes)
	if _, err := io.ReadFull(g.Rand, c.TagKey); err != nil {
		return Tokens{}, fmt.Errorf("draw randomness: %w", err)
	}
	return g.follow(rec, c, c.Scopes)
}

// follow gives a chain its next pair of tokens.
func (g *Grants) follow(rec *record, c *chain, scopes []string) (Tokens, error) {
	var next pair
	var err error
	if next.Access, err = g.newAccess(rec, c, scopes); err != nil {
		return Tokens{}, err
	}
	if next.Refresh, err = newRefresh(g.Rand, rec.id, c.TagKey); err != nil {
		return Tokens{}, err
	}
	c.Current = secret.Hash(next.Refresh)
	return g.tokens(rec, c.Access[0], next), nil
}

// sealPair keeps the newest pair for whoever refreshes at the same time.
func (g *Grants) sealPair(rec *record, c *chain, t Tokens) error {
	plain, err := json.Marshal(pair{Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal()})
	if err != nil {
		return fmt.Errorf("write the successor: %w", err)
	}
	c.Successor, err = g.Ring.Seal(successorBinding(rec.id), plain)
	return err
}

// endOf is when the session ends if it is not used after now.
func (g *Grants) endOf(rec *record) time.Time {
	absolute, idle := rec.Created.Add(g.AbsoluteLife), rec.Used.Add(g.IdleLife)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

func refuseCode(got string) *policy.Refusal {
	return &policy.Refusal{Check: policy.CheckToken, Wanted: "a code that was not used yet", Got: got,
		Remedy: "start the sign-in again"}
}

func refuseResource(rec *record, got string) *policy.Refusal {
	return &policy.Refusal{Check: policy.CheckAudience, Wanted: rec.Resource, Got: printable(got),
		Remedy: "ask for one token for each server (RFC 8707)"}
}

func refuseSession(rec *record) *policy.Refusal {
	r := &policy.Refusal{Check: policy.CheckSession, Wanted: "a session that has not ended", Remedy: "sign in again"}
	if rec.Ended.IsZero() {
		r.Got = "one that expired at " + stamp(rec.expires)
	} else {
		r.Got = fmt.Sprintf("one that ended at %s: %s", stamp(rec.Ended), rec.Reason)
	}
	return r
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable is what may stand in a refusal of a text that a stranger sent.
func printable(s string) string {
	const longest = 200
	out := make([]byte, 0, min(len(s), longest))
	for i := range min(len(s), longest) {
		if c := s[i]; c > 0x20 && c < 0x7f {
			out = append(out, c)
		} else {
			out = append(out, '?')
		}
	}
	return string(out)
}
