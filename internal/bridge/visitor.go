package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entra/keystore"
	"github.com/genkan-mcp/genkan/policy"
)

// visitor is the person for whom a local server works: who they are, as Entra vouches for it.
type visitor struct {
	options *LocalOptions
	person  *person
	log     *slog.Logger
	cloud   entra.Cloud
	store   *keystore.Store
	key     keystore.Key

	verifier *entra.Verifier
	turn     chan struct{} // held by whoever talks to Entra

	mu      sync.Mutex
	who     policy.Identity
	expires time.Time
}

// renewAhead is how long before its end a token is renewed, so that roles are read anew.
const renewAhead = time.Minute

func newVisitor(ctx context.Context, o *LocalOptions, p *person, log *slog.Logger) (*visitor, error) {
	cloud, err := cloudNamed(o.Cloud, o.Authority)
	if err != nil {
		return nil, err
	}
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{o.Tenant}, Audiences: audiencesOf(o.Scope), Clients: []string{o.ClientID},
		IgnoreGroups: !slices.ContainsFunc(o.Rules, func(r policy.Rule) bool { return len(r.Groups) > 0 }),
		HTTPClient:   o.Client, Now: o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("--tenant and --client-id must name an app registration: %w", err)
	}
	store, err := o.Place.open(ctx)
	if err != nil {
		return nil, err
	}
	v := &visitor{
		options: o, person: p, log: log, cloud: cloud, store: store, verifier: verifier, turn: make(chan struct{}, 1),
		key: keystore.Key{Issuer: cloud.IssuerV2(o.Tenant), Client: o.ClientID, Resource: "genkan local"},
	}
	v.turn <- struct{}{}
	return v, nil
}

// audiencesOf are the names that tokens for a scope carry: those of its API.
func audiencesOf(scope string) []string {
	api := scope[:max(strings.LastIndexByte(scope, '/'), 0)]
	if id, ok := strings.CutPrefix(api, "api://"); ok || !strings.Contains(api, ":") {
		return entra.AudiencesOf(id)
	}
	return []string{api}
}

// known gives who signed in, if somebody has.
func (v *visitor) known() (policy.Identity, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.who, v.who.Key() != ""
}

// identity says who it is, and has them sign in if need be. Their roles are never older than a token's life.
func (v *visitor) identity(ctx context.Context) (policy.Identity, error) {
	if who, fresh := v.fresh(); fresh {
		return who, nil
	}
	select {
	case <-v.turn:
		defer func() { v.turn <- struct{}{} }()
	case <-ctx.Done():
		return policy.Identity{}, ctx.Err()
	}
	if who, fresh := v.fresh(); fresh {
		return who, nil
	}
	token, err := v.token(ctx, v.options.Scope)
	if err != nil {
		return policy.Identity{}, err
	}
	verified, err := v.verifier.Verify(ctx, token.Reveal())
	if err != nil {
		return policy.Identity{}, fmt.Errorf("the token of %s: %w", v.options.Scope, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.who, v.expires = verified.Identity, verified.Expires
	return v.who, nil
}

func (v *visitor) fresh() (policy.Identity, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.who, v.who.Key() != "" && v.options.Now().Before(v.expires.Add(-renewAhead))
}

// token gets a token for a scope: silently, else by asking. Of several processes, one asks.
func (v *visitor) token(ctx context.Context, scope string) (entra.Token, error) {
	release, err := v.store.Lock(ctx, v.key)
	if err != nil {
		return entra.Token{}, err
	}
	defer release()
	ask := &question{person: v.person, options: &v.options.SignIn}
	terminal, err := entra.NewTerminal(entra.TerminalConfig{
		Cloud: v.cloud, Tenant: v.options.Tenant, ClientID: v.options.ClientID, Scopes: []string{scope},
		Cache: v.store.Cache(v.key), OpenBrowser: ask.openPage, ShowCode: ask.showCode, HTTPClient: v.options.Client, Now: v.options.Now,
	})
	if err != nil {
		return entra.Token{}, err
	}
	defer ask.over()
	ctx, cancel := context.WithTimeout(ctx, v.options.SignIn.Timeout)
	defer cancel()
	ctx, stop := ask.until(ctx)
	defer stop()
	token, err := terminal.Token(ctx)
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return entra.Token{}, fmt.Errorf("nobody signed in within %s; try again to get a new sign-in page", v.options.SignIn.Timeout)
	case errors.Is(context.Cause(ctx), errDeclined):
		return entra.Token{}, errDeclined
	}
	return token, err
}
