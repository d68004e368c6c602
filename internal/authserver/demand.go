package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/store"
)

const (
	demandKind = "demand"
	demandLife = 24 * time.Hour
)

// demand is what the identity provider wants of a person before it vouches for them again: to satisfy a claims
// challenge, or simply to sign in anew. It comes up at a refresh, where no browser is, and is carried into the
// next sign-in of the same person to the same server.
type demand struct {
	Claims string `json:"claims,omitempty"`
	Login  bool   `json:"login,omitempty"`
}

func (d demand) made() bool { return d != demand{} }

func demandFrom(problem *idp.Error) demand {
	return demand{Claims: problem.Claims, Login: problem.Claims == ""}
}

// demandID leaves the client out: one that registers anew for each sign-in would never meet the demand.
func demandID(person, server string) string { return digest("demand", person, server) }

func (a *AuthServer) demandOf(ctx context.Context, person, server string) (demand, error) {
	stored, err := a.Store.Get(ctx, demandKind, demandID(person, server))
	if errors.Is(err, store.ErrNotFound) {
		return demand{}, nil
	}
	if err != nil {
		return demand{}, fmt.Errorf("find what the identity provider demands: %w: %w", errStore, err)
	}
	var d demand
	if !a.Now().Before(stored.Expires) || json.Unmarshal(stored.Value, &d) != nil {
		return demand{}, nil
	}
	return d, nil
}

// demandLater keeps a demand for the next sign-in. Losing it costs the person one more round, so that a failure
// is logged and no more.
func (a *AuthServer) demandLater(ctx context.Context, person, server string, d demand) {
	id := demandID(person, server)
	value, err := json.Marshal(d)
	if err == nil {
		_, err = a.Store.Take(ctx, demandKind, id)
	}
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = a.Store.Create(ctx, store.Record{Kind: demandKind, ID: id, Owner: person, Value: value, Expires: a.Now().Add(demandLife)})
	}
	if err != nil && !errors.Is(err, store.ErrExists) {
		a.Logger.WarnContext(ctx, "what the identity provider demands could not be kept", "error", err)
	}
}

// settle forgets a demand that a sign-in has satisfied.
func (a *AuthServer) settle(ctx context.Context, s signIn) {
	if !s.Demanded {
		return
	}
	_, err := a.Store.Take(ctx, demandKind, demandID(s.Identity.Key(), s.Server))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		a.Logger.WarnContext(ctx, "a demand of the identity provider could not be forgotten", "error", err)
	}
}

func pageToProvider(target, provider string) page.Onward {
	return page.Onward{Target: target, Title: "On to your sign-in", Text: "You are being taken to " + provider + "."}
}

// SignInAgain ends a session whose person must satisfy the identity provider anew, and keeps what it wants (claims, as
// JSON; may be empty) for their next sign-in to the same server.
func (a *AuthServer) SignInAgain(ctx context.Context, session, claims string) error {
	ended, err := a.Grants.Get(ctx, session)
	if err != nil {
		return fmt.Errorf("find the session to end: %w", err)
	}
	a.demandLater(ctx, ended.Identity.Key(), ended.Server, demand{Claims: claims, Login: claims == ""})
	return a.Grants.End(ctx, session)
}
