package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/policy"
)

// Get returns a session, ended or not, or ErrNotFound.
func (g *Grants) Get(ctx context.Context, id string) (Grant, error) {
	rec, err := g.load(ctx, id)
	if err != nil {
		return Grant{}, fmt.Errorf("get session: %w", err)
	}
	return rec.grant(rec.scopes()), nil
}

// Query narrows a list. Empty fields narrow nothing.
type Query struct {
	Owner   string // policy.Identity.Key
	Client  string
	Server  string
	Pending bool   // with those whose code was not redeemed yet
	After   string // Page.Next of the page before
	Limit   int    // how many records to look at; 100
}

// Page is a part of a list. Next is empty on the last page, and only there: a page may hold fewer sessions
// than were asked for, or none.
type Page struct {
	Grants []Grant
	Next   string
}

// List returns the sessions that live now, in the order of their IDs.
func (g *Grants) List(ctx context.Context, q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	stored, err := g.Store.List(ctx, kind, q.Owner, q.After, q.Limit)
	if err != nil {
		return Page{}, unavailable("list sessions", err)
	}
	var page Page
	if len(stored) == q.Limit {
		page.Next = stored[len(stored)-1].ID
	}
	now := g.Now()
	for _, s := range stored {
		rec, err := decode(s)
		if err != nil {
			return Page{}, unavailable("list sessions", err)
		}
		if rec.live(now) && (q.Pending || !rec.pending()) &&
			(q.Client == "" || q.Client == rec.Client) && (q.Server == "" || q.Server == rec.Server) {
			page.Grants = append(page.Grants, rec.grant(rec.scopes()))
		}
	}
	return page, nil
}

// Upstream returns the identity provider's tokens of a living session, unsealed, or ErrNotFound.
func (g *Grants) Upstream(ctx context.Context, id string) ([]byte, error) {
	rec, err := g.load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("get upstream tokens: %w", err)
	}
	if !rec.live(g.Now()) {
		return nil, fmt.Errorf("get upstream tokens: %w", ErrNotFound)
	}
	return g.upstream(rec)
}

func (g *Grants) upstream(rec *record) ([]byte, error) {
	if len(rec.Upstream) == 0 {
		return nil, nil
	}
	plain, err := g.Ring.Open(upstreamBinding(rec.id), rec.Upstream)
	if err != nil {
		return nil, unavailable("open upstream tokens", err)
	}
	return plain, nil
}

// Introspection is what a server behind may know of a token (RFC 7662 §2.2). All but Active is zero for
// a token that is not good now.
type Introspection struct {
	Active  bool
	Refresh bool // it is a refresh token
	Grant   Grant
	Expires time.Time
}

// Introspect looks at an access or refresh token, without the cache and without using it. Whoever asks
// must have been authenticated.
func (g *Grants) Introspect(ctx context.Context, text string) (Introspection, error) {
	shown, refresh := parseToken(refreshPrefix, text)
	if !refresh {
		var ok bool
		if shown, ok = parseToken(accessPrefix, text); !ok {
			return Introspection{}, nil
		}
	}
	rec, err := g.load(ctx, shown.id)
	if errors.Is(err, ErrNotFound) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, fmt.Errorf("introspect: %w", err)
	}
	if refresh {
		c := rec.chainOfRefresh(shown)
		if c == nil || !c.Current.Equal(shown.hash) || !rec.live(g.Now()) {
			return Introspection{}, nil
		}
		return Introspection{Active: true, Refresh: true, Grant: rec.grant(c.Scopes), Expires: rec.expires}, nil
	}
	grant, err := g.judgeAccess(rec, shown, rec.Resource)
	if _, refused := errors.AsType[*policy.Refusal](err); refused {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	return Introspection{Active: true, Grant: *grant, Expires: grant.TokenExpires}, nil
}
