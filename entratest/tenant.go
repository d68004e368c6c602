package entratest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ResourceRule says what the v2.0 endpoints do about a resource parameter.
type ResourceRule int

// Entra's two behaviours, the one since about March 2026 first.
const (
	// ResourceMustMatch refuses with AADSTS9010010 unless the parameter equals the resource of the
	// scopes, byte for byte.
	ResourceMustMatch ResourceRule = iota
	// ResourceUnsupported refuses every resource parameter with AADSTS901002.
	ResourceUnsupported
)

// Config says what tenant to make. The zero Config makes [Contoso], at whatever address it is served.
type Config struct {
	// URL is the base under which the tenant is served, without a slash at the end. When it is empty,
	// each answer names the address that its request was sent to.
	URL string
	// Directory is who and what is in the tenant; the zero Directory means Contoso.
	Directory Directory
	// Resource selects what happens to a resource parameter.
	Resource ResourceRule
	// Now is the clock; the zero value is the real one.
	Now func() time.Time
	// Rand is where codes, tokens' IDs and lifetimes come from; the zero value is crypto/rand. Keys are
	// always made from crypto/rand.
	Rand io.Reader
	// Client fetches the keys of federated issuers; the zero value is http.DefaultClient.
	Client *http.Client
}

// Tenant is an Entra tenant. It is an http.Handler and safe for concurrent use.
type Tenant struct {
	// URL is the base address, what https://login.microsoftonline.com is for Entra.
	URL string
	// TenantID is the tenant's GUID, Domain its verified domain.
	TenantID string
	Domain   string

	resource ResourceRule
	clock    func() time.Time
	client   *http.Client
	mux      http.Handler
	trusting *http.Client // trusts the server that Start made

	mu     sync.Mutex
	random io.Reader
	offset time.Duration // how far Advance has moved the clock
	dir    *Directory    // replaced, never changed: a handler reads the one that it began with
	keys   []*signingKey // the last one signs
	state  state
}

// New makes a tenant. Serve it with net/http at Config.URL.
func New(c Config) (*Tenant, error) {
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.HasSuffix(c.URL, "/") {
			return nil, fmt.Errorf("entratest: URL %q is no base address like http://localhost:8081", c.URL)
		}
	}
	dir := c.Directory.clone()
	if len(dir.People)+len(dir.Apps) == 0 {
		seeded := Contoso()
		dir = &seeded
	}
	dir.addMicrosoft()
	dir.complete()
	if err := dir.check(); err != nil {
		return nil, fmt.Errorf("entratest: %w", err)
	}
	t := &Tenant{
		URL: c.URL, TenantID: dir.TenantID, Domain: dir.Domain,
		resource: c.Resource, clock: c.Now, client: c.Client, random: c.Rand, dir: dir,
		state: newState(),
	}
	if t.clock == nil {
		t.clock = time.Now
	}
	if t.client == nil {
		t.client = http.DefaultClient
	}
	if t.random == nil {
		t.random = rand.Reader
	}
	key, err := newSigningKey(t.clock())
	if err != nil {
		return nil, fmt.Errorf("entratest: %w", err)
	}
	t.keys = []*signingKey{key}
	t.mux = t.routes()
	return t, nil
}

// check finds what a declaration names but does not have.
func (d *Directory) check() error {
	var mistakes []error
	say := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	for _, p := range d.People {
		for _, g := range p.Groups {
			if d.group(g) == nil {
				say("person %s: no group is called %q", p.Alias, g)
			}
		}
	}
	for i := range d.Apps {
		a := &d.Apps[i]
		if d.client(a.ClientID) != a {
			say("app %s: client ID %s is used twice", a.Name, a.ClientID)
		}
		for _, as := range a.Assignments {
			if as.Role != "" && a.role(as.Role) == nil {
				say("app %s: assignment to %s: no role is called %q", a.Name, as.To, as.Role)
			}
			if as.To != everybody && d.person(as.To) == nil && d.group(as.To) == nil && d.app(as.To) == nil {
				say("app %s: assignment of %q: nobody is called %q", a.Name, as.Role, as.To)
			}
		}
		for _, p := range a.Permissions {
			if d.resource(p.Resource) == nil && d.app(p.Resource) == nil {
				say("app %s: permission: no application is called %q", a.Name, p.Resource)
			}
		}
	}
	for _, c := range d.Consents {
		if d.app(c.Client) == nil || d.resource(c.Resource) == nil && d.app(c.Resource) == nil {
			say("consent: no application is called %q or %q", c.Client, c.Resource)
		}
		if c.Person != everybody && d.person(c.Person) == nil {
			say("consent for %s: nobody is called %q", c.Client, c.Person)
		}
	}
	return errors.Join(mistakes...)
}

// ServeHTTP answers for Entra, Graph, AI Search, Key Vault and the managed identity endpoints.
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.mux.ServeHTTP(w, r) }

// now is the tenant's time: the clock that it was given, moved by Advance.
func (t *Tenant) now() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clock().Add(t.offset)
}

func (t *Tenant) directory() *Directory {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dir
}

// change replaces the directory by a changed copy.
func (t *Tenant) change(f func(*Directory)) {
	t.mu.Lock()
	defer t.mu.Unlock() // also when f finds nobody of that name and panics
	next := t.dir.clone()
	f(next)
	next.complete()
	t.dir = next
}

func (t *Tenant) randomBytes(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := make([]byte, n)
	if _, err := io.ReadFull(t.random, b); err != nil {
		panic(fmt.Sprintf("entratest: the source of randomness has run dry: %v", err))
	}
	return b
}

// opaque is an unguessable string with n random bytes in it.
func (t *Tenant) opaque(n int) string { return base64.RawURLEncoding.EncodeToString(t.randomBytes(n)) }

func (t *Tenant) guid() string { return derivedID(string(t.randomBytes(16))) }

// base is the address that answers are to name.
func (t *Tenant) base(r *http.Request) string {
	if t.URL != "" {
		return t.URL
	}
	if r == nil {
		return "http://localhost"
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
