package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

// recordVersion is written into each record. A newer one was written by a newer Genkan.
const recordVersion = 1

// record is the stored form of a session.
type record struct {
	Version    int             `json:"v"`
	Client     string          `json:"client"`
	ClientName string          `json:"client_name,omitempty"`
	Server     string          `json:"server"`
	Resource   string          `json:"resource"`
	Identity   policy.Identity `json:"identity"`
	Upstream   []byte          `json:"upstream,omitempty"` // sealed
	Created    time.Time       `json:"created"`
	Used       time.Time       `json:"used"`
	Ended      time.Time       `json:"ended,omitzero"`
	Reason     Reason          `json:"reason,omitempty"`
	Chains     []chain         `json:"chains"`

	id       string
	revision int64
	expires  time.Time
}

// chain is what one code gave: the code itself, kept as a hash to recognise a replay, and the tokens that
// follow one another. A session has one chain, and one more for each step-up, so that another window of
// the same client keeps its own tokens.
//
// The code lies in the session's record and not in one of its own: so redeeming it and writing what it
// gave is one swap, which a crash can't tear apart.
type chain struct {
	Code        secret.Digest `json:"code,omitzero"`
	CodeExpires time.Time     `json:"code_expires,omitzero"`
	Challenge   string        `json:"challenge,omitempty"`
	RedirectURI string        `json:"redirect_uri,omitempty"`
	Redeemed    time.Time     `json:"redeemed,omitzero"` // zero: not yet
	Scopes      []string      `json:"scopes"`

	// TagKey tags the chain's refresh tokens. It is no secret worth sealing: whoever has it can make a token
	// that looks spent, and be refused.
	TagKey   []byte        `json:"tag_key,omitempty"`
	Current  secret.Digest `json:"current,omitzero"`
	Previous []spent       `json:"previous,omitempty"` // those that may still be in their grace
	// Successor is the newest pair of tokens, sealed, for whoever shows a spent token within its grace.
	Successor []byte   `json:"successor,omitempty"`
	Access    []access `json:"access,omitempty"` // the access tokens that have not expired
}

// spent is a refresh token that was used.
type spent struct {
	Hash secret.Digest `json:"hash"`
	At   time.Time     `json:"at"`
}

// access is an access token.
type access struct {
	Hash    secret.Digest `json:"hash"`
	Expires time.Time     `json:"expires"`
	Scopes  []string      `json:"scopes"`
}

// pair is the plain form of chain.Successor.
type pair struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

// The limits keep a record small whatever a client does. What falls out is refused, never let in.
const (
	maxChains   = 8
	maxAccess   = 32
	maxPrevious = 32
)

// decode reads a record, and refuses what it does not understand.
func decode(r store.Record) (*record, error) {
	rec := &record{}
	if err := json.Unmarshal(r.Value, rec); err != nil {
		return nil, fmt.Errorf("read session %s: %w", r.ID, err)
	}
	if rec.Version != recordVersion {
		return nil, fmt.Errorf("read session %s: it has version %d, this Genkan knows %d", r.ID, rec.Version, recordVersion)
	}
	rec.id, rec.revision, rec.expires = r.ID, r.Revision, r.Expires
	return rec, nil
}

func (r *record) encode() (store.Record, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return store.Record{}, fmt.Errorf("write session %s: %w", r.id, err)
	}
	return store.Record{
		Kind: kind, ID: r.id, Owner: r.Identity.Key(), Value: value, Expires: r.expires, Revision: r.revision,
	}, nil
}

// load reads a session: ErrNotFound, or ErrUnavailable with its cause.
func (g *Grants) load(ctx context.Context, id string) (*record, error) {
	stored, err := g.Store.Get(ctx, kind, id)
	g.outage.saw(ctx, g.Now(), err)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, unavailable("read session", err)
	}
	rec, err := decode(stored)
	if err != nil {
		return nil, unavailable("read session", err)
	}
	return rec, nil
}

// errRaced means that somebody else changed the session meanwhile: look again.
var errRaced = errors.New("the session has changed meanwhile")

// save writes a session back if nobody changed it meanwhile.
func (g *Grants) save(ctx context.Context, rec *record) error {
	stored, err := rec.encode()
	if err != nil {
		return err
	}
	_, err = g.Store.Swap(ctx, stored)
	g.outage.saw(ctx, g.Now(), err)
	g.cache.drop(rec.id)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return errRaced
	default:
		return unavailable("write session", err)
	}
}

// change applies a change to a session, again and again until nobody came in between. What try returns
// ends the loop, unless it is errRaced.
func (g *Grants) change(ctx context.Context, id string, try func(*record) error) error {
	for {
		rec, err := g.load(ctx, id)
		if err != nil {
			return err
		}
		if err := try(rec); !errors.Is(err, errRaced) {
			return err
		}
		// Each loser means that somebody won, so that this ends; the context ends it for sure.
		if err := ctx.Err(); err != nil {
			return unavailable("change session", err)
		}
	}
}

func (r *record) chainOfCode(code secret.Digest) *chain {
	return r.chain(func(c *chain) bool { return c.Code.Equal(code) })
}

func (r *record) chainOfRefresh(t token) *chain {
	return r.chain(func(c *chain) bool { return c.issued(t) })
}

func (r *record) chain(is func(*chain) bool) *chain {
	for i := range r.Chains {
		if is(&r.Chains[i]) {
			return &r.Chains[i]
		}
	}
	return nil
}

// pending says whether no code of the session has been redeemed yet.
func (r *record) pending() bool {
	return !slices.ContainsFunc(r.Chains, func(c chain) bool { return !c.Redeemed.IsZero() })
}

// live says whether tokens of the session may be honoured at all.
func (r *record) live(now time.Time) bool { return r.Ended.IsZero() && now.Before(r.expires) }

// scopes is everything that some token of the session may do.
func (r *record) scopes() []string {
	var all []string
	for _, c := range r.Chains {
		if !c.Redeemed.IsZero() {
			all = append(all, c.Scopes...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// grant is what others may see of the session, through a token with these scopes.
func (r *record) grant(scopes []string) Grant {
	g := Grant{
		ID: r.id, Client: r.Client, ClientName: r.ClientName, Server: r.Server, Resource: r.Resource,
		Scopes: scopes, Identity: r.Identity,
		Created: r.Created, LastUsed: r.Used, Expires: r.expires, Ended: r.Ended, Reason: r.Reason,
	}
	if len(r.Chains) > 0 {
		g.RedirectURI = r.Chains[0].RedirectURI
	}
	g.Identity.Client, g.Identity.Scopes = g.Client, g.Scopes
	return g
}
