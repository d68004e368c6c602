// Package gateway is the data path: what happens to every request between a client and the server behind.
//
// A request is authenticated, read strictly and once, held against the rules, given the credential that the server
// behind wants, forwarded as what was read (and not as what came), and written down. What it answers streams back
// unbuffered; only lists are filtered on their way.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// Server is an MCP server behind the door.
type Server struct {
	Name  string
	Title string // for people, in the metadata
	// Resource is the server's public address, byte for byte as tokens and metadata say it (RFC 8707 §2).
	// Its path is where the gateway serves it.
	Resource string
	// Authenticator says who holds a token.
	Authenticator Authenticator
	// AuthorizationServers are the issuers that the metadata names (RFC 9728 §2).
	AuthorizationServers []string
	// Scopes are what every token of a person needs here.
	Scopes []string
	// AskScopes are the same as clients ask for them, where that differs: Entra wants them with the
	// application ID URI before them. Empty: Scopes.
	AskScopes []string
	// Rules decide. Nil allows nothing.
	Rules *policy.Rules
	// Upstream reaches the server.
	Upstream upstream.Upstream
	// Credential is what the door shows it; nil shows nothing.
	Credential Credential
	// Limits bound what goes on to it.
	Limits Limits
	// RecordArguments writes the arguments of calls into the audit log.
	RecordArguments bool
}

// Config is what a gateway is made of. PublicURL, Servers, SessionIDs and Audit are required.
type Config struct {
	PublicURL *url.URL
	Servers   []Server
	// SessionIDs seals the session IDs of servers behind, so that each is good only in the hand of the identity
	// that opened it. All replicas have the same ring.
	SessionIDs *secret.Ring
	Audit      *audit.Log
	Metrics    *telemetry.Metrics
	Tracing    *telemetry.Tracing // nil: no traces
	Logger     *slog.Logger
	Now        func() time.Time

	// Hosts are further values of the Host header, for proxies that write their own.
	Hosts []string
	// Origins are the web pages elsewhere that may call, as scheme://host[:port].
	Origins []string
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Messages bounds the messages of clients.
	Messages mcpwire.Limits
	// Limiter counts for the limits of servers; nil counts in this process.
	Limiter Limiter
	// BodyTimeout bounds the reading of a message and of each write to a client; zero: 30 s.
	BodyTimeout time.Duration
	// Recheck is how often the session behind an open stream is looked at; zero: 5 s.
	Recheck time.Duration
}

// Gateway serves the servers of its configuration. It is safe for concurrent use.
type Gateway struct {
	Config
	hosts   []string
	origins []string
	routes  map[string]route
	drain   context.Context // ended by Drain, for every stream that is open
	drained context.CancelFunc
	pools   pools

	fallback *MemoryLimiter // counts while a shared limiter can't
	waiting  crowd          // streams that only wait, by server and identity
	tally    tally          // refusals
	legacy   legacySessions
}

// route is one path: who answers there, and to which HTTP methods.
type route struct {
	server *server
	at     *address
	allow  string
	serve  func(*exchange) error
}

// address is where a server is reached, and what its metadata says of that.
type address struct {
	resource    string
	metadataURL string
	metadata    []byte
}

// server is a Server with what the gateway works out once.
type server struct {
	Server
	path          string
	usesArguments bool // some rule does
	circuit       circuit
	under         underway
}

// New checks the configuration and says every mistake in it.
func New(c Config) (*Gateway, error) {
	if c.Metrics == nil {
		c.Metrics = telemetry.NewMetrics()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = 30 * time.Second
	}
	if c.Recheck == 0 {
		c.Recheck = 5 * time.Second
	}
	g := &Gateway{Config: c, routes: map[string]route{}, fallback: NewMemoryLimiter(c.Now)}
	if g.Limiter == nil {
		g.Limiter = g.fallback
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	g.hosts = allowedHosts(c.PublicURL, c.Hosts)
	g.origins = append([]string{c.PublicURL.Scheme + "://" + c.PublicURL.Host}, c.Origins...)
	g.drain, g.drained = context.WithCancel(context.Background())
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, g.add(s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Gateway) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("gateway: "+what))
		}
	}
	need(g.PublicURL != nil && g.PublicURL.Host != "", "a public URL is needed")
	need(g.SessionIDs != nil, "a ring of keys for session IDs is needed")
	need(g.Audit != nil, "an audit log is needed")
	for _, o := range g.Origins {
		u, err := url.Parse(o)
		need(err == nil && u.Host != "" && u.Scheme+"://"+u.Host == o, fmt.Sprintf("origin %q must be scheme://host[:port]", o))
	}
	return errors.Join(errs...)
}

// add lists the paths of a server: this is the whole surface of the gateway.
func (g *Gateway) add(s Server) error {
	resource, err := url.Parse(s.Resource)
	switch {
	case err != nil || resource.Host != g.PublicURL.Host || resource.Scheme != g.PublicURL.Scheme || resource.RawQuery != "" || resource.Fragment != "":
		return fmt.Errorf("gateway: server %q: resource %q must be an address under %s", s.Name, s.Resource, g.PublicURL)
	case s.Name == "" || s.Upstream == nil || s.Authenticator == nil || len(s.AuthorizationServers) == 0:
		return fmt.Errorf("gateway: server %q: name, upstream, authenticator and authorization server are needed", s.Name)
	}
	if len(s.AskScopes) == 0 {
		s.AskScopes = s.Scopes
	}
	if s.Credential == nil {
		s.Credential = None{}
	}
	made := &server{Server: s, path: resource.Path, usesArguments: s.Rules.UsesArguments()}
	stream, message := legacyPaths(resource.Path)
	newer, err := describe(s, resource)
	if err != nil {
		return err
	}
	older, err := describe(s, resource.ResolveReference(&url.URL{Path: stream}))
	if err != nil {
		return err
	}
	routes := map[string]route{
		cmp.Or(resource.Path, "/"):  {made, newer, "POST, GET, DELETE, OPTIONS", (*exchange).serveServer},
		metadataPath(resource.Path): {made, newer, "GET, HEAD, OPTIONS", (*exchange).serveMetadata},
		stream:                      {made, older, "GET, OPTIONS", (*exchange).legacyStream},
		message:                     {made, older, "POST, OPTIONS", (*exchange).legacyMessage},
		metadataPath(stream):        {made, older, "GET, HEAD, OPTIONS", (*exchange).serveMetadata},
	}
	if len(g.Servers) == 1 {
		routes[metadataPrefix] = routes[metadataPath(resource.Path)] // RFC 9728 §3.1: clients that know no path ask here
	}
	for path, r := range routes {
		if other, taken := g.routes[path]; taken {
			return fmt.Errorf("gateway: servers %q and %q are both at %s", other.server.Name, s.Name, path)
		}
		g.routes[path] = r
	}
	return nil
}

// Paths are the paths that the gateway serves, sorted.
func (g *Gateway) Paths() []string {
	paths := make([]string, 0, len(g.routes))
	for path := range g.routes {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// ServeHTTP answers a request. A path is compared byte for byte: one that is written in another way (encoded,
// with dots, in another case) leads nowhere.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := g.newExchange(w, r)
	route, ok := g.routes[r.URL.Path]
	if !ok || r.URL.RawPath != "" {
		x.end(&problem{status: http.StatusNotFound, message: "nothing is here: compare the address with the one you were given"})
		return
	}
	x.server, x.event.Server = route.server, route.server.Name
	x.at, x.allow = route.at, route.allow
	x.end(route.serve(x))
	if x.abort {
		panic(http.ErrAbortHandler)
	}
}

// Drain ends the streams that only wait for messages, so that their clients connect elsewhere. What is being
// answered is finished; http.Server.Shutdown waits for it.
func (g *Gateway) Drain() { g.drained() }

// allowedHosts are the Host headers that lead here. A gateway on loopback is also reached by the other names of
// loopback, and by nothing else: that is what stops a page whose name was rebound to 127.0.0.1.
func allowedHosts(public *url.URL, more []string) []string {
	hosts := append([]string{public.Host}, more...)
	name, port := public.Hostname(), public.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[public.Scheme]
		hosts = append(hosts, public.Host+":"+port)
	}
	if ip, err := netip.ParseAddr(name); name == "localhost" || err == nil && ip.IsLoopback() {
		hosts = append(hosts, "localhost:"+port, "127.0.0.1:"+port, "[::1]:"+port)
	}
	for i, h := range hosts {
		hosts[i] = strings.ToLower(h)
	}
	return hosts
}
