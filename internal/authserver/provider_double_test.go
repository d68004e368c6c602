package authserver_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/policy"
)

// provider is an identity provider whose visitors are whoever the test says.
type provider struct {
	mu        sync.Mutex
	visits    []idp.Request
	refreshed int
	fail      func(step string) error // "authorize", "redeem", "refresh"
	base      string                  // where it is; https://idp.example if empty
	roles     []string
	claims    string // what everybody says that their address is
	kind      policy.Kind
}

func (p *provider) failing(step string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail == nil {
		return nil
	}
	return p.fail(step)
}

func (p *provider) setFail(f func(step string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = f
}

func (p *provider) lastVisit() idp.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.visits[len(p.visits)-1]
}

func (p *provider) AuthorizeURL(_ context.Context, r idp.Request) (string, error) {
	p.mu.Lock()
	p.visits = append(p.visits, r)
	p.mu.Unlock()
	if err := p.failing("authorize"); err != nil {
		return "", err
	}
	base := p.base
	if base == "" {
		base = "https://idp.example"
	}
	return base + "/authorize?" + url.Values{"state": {r.State}, "nonce": {r.Nonce}, "prompt": {r.Prompt}}.Encode(), nil
}

func (p *provider) Redeem(_ context.Context, c idp.Callback) (idp.SignIn, error) {
	if err := p.failing("redeem"); err != nil {
		return idp.SignIn{}, err
	}
	want := p.lastVisit()
	if c.Nonce != want.Nonce || c.Verifier != want.Verifier || c.RedirectURI != want.RedirectURI {
		return idp.SignIn{}, fmt.Errorf("the callback %+v does not fit the visit %+v", c, want)
	}
	return p.person(strings.TrimPrefix(c.Code, "idp-code-")), nil
}

func (p *provider) Refresh(_ context.Context, upstream []byte) (idp.SignIn, error) {
	p.mu.Lock()
	p.refreshed++
	p.mu.Unlock()
	if err := p.failing("refresh"); err != nil {
		return idp.SignIn{}, err
	}
	return p.person(strings.TrimPrefix(string(upstream), "upstream-tokens-of-")), nil
}

func (p *provider) person(name string) idp.SignIn {
	address := name + "@contoso.example"
	if p.claims != "" {
		address = p.claims
	}
	kind := policy.Person
	if p.kind != "" {
		kind = p.kind
	}
	return idp.SignIn{
		Identity: policy.Identity{
			Tenant: tenant, Object: name + "-object", Kind: kind, Name: strings.ToUpper(name[:1]) + name[1:],
			Username: address, Roles: p.roles,
		},
		Upstream: []byte("upstream-tokens-of-" + name),
	}
}
