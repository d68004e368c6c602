package authserver_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
)

// site is a web site with client ID metadata documents, under a name that resolves to what the test says.
type site struct {
	*httptest.Server
	mu        sync.Mutex
	handler   http.HandlerFunc
	addresses func() []netip.Addr
	requests  atomic.Int32
	dialled   []string // guarded by mu
}

func public() []netip.Addr { return []netip.Addr{netip.MustParseAddr("93.184.215.14")} }

// newSite starts the site and a house that believes its certificate.
func newSite(t *testing.T, change ...func(*authserver.Config)) (*house, *site) {
	t.Helper()
	s := &site{addresses: public}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		handler := s.handler
		s.mu.Unlock()
		handler(w, r)
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	h := newHouse(t, append([]func(*authserver.Config){func(c *authserver.Config) {
		c.Documents = authserver.Documents{
			Roots:   s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
			Timeout: 2 * time.Second,
			InsecureLookup: func(_ context.Context, host string) ([]netip.Addr, error) {
				return s.addresses(), nil
			},
			InsecureDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				s.mu.Lock()
				s.dialled = append(s.dialled, address)
				s.mu.Unlock()
				return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
			},
		}
	}}, change...)...)
	return h, s
}

func (s *site) serve(document string) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, document)
	})
}

func (s *site) answer(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func documentFor(id string, members ...string) string {
	return `{"client_id":"` + id + `","client_name":"Document Client","redirect_uris":["http://127.0.0.1/callback","https://client.example/cb"]` + strings.Join(members, "") + `}`
}

func (h *house) documentClient(id string) *oauthClient { return &oauthClient{house: h, id: id} }

const certified = "https://example.com/client.json" // the name in httptest's certificate

func TestAClientIsKnownByItsDocument(t *testing.T) {
	h, s := newSite(t)
	s.serve(documentFor(certified))
	c, b := h.documentClient(certified), h.browser()
	page := b.open(c.authorizeURL())
	if !strings.Contains(page.body, "Document Client") || !strings.Contains(page.body, ">example.com<") || strings.Contains(page.body, "Unverified") {
		t.Errorf("the page:\n%s", page.body)
	}
	back := b.comeBack(b.allow(page), "alice").location(t)
	got := c.redeem(back.Query().Get("code")).tokens(t)
	if !h.works(got.access, "weather") {
		t.Error("the token does not work")
	}
	if n := s.requests.Load(); n != 1 {
		t.Errorf("the document was fetched %d times in one sign-in", n)
	}
	if len(s.dialled) != 1 || s.dialled[0] != "93.184.215.14:443" {
		t.Errorf("dialled %v", s.dialled)
	}
	if at := b.get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("a document client on loopback skipped the page: %s", at)
	}
}

func TestADocumentIsKeptByTheRulesOfHTTPWithinBounds(t *testing.T) {
	for control, want := range map[string]struct {
		age     time.Duration
		fetches int32
	}{
		"max-age=3600":    {59 * time.Minute, 1},
		"max-age=3601":    {61 * time.Minute, 2},
		"max-age=0":       {59 * time.Second, 1},
		"no-store":        {61 * time.Second, 2},
		"max-age=9999999": {25 * time.Hour, 2},
		"":                {11 * time.Minute, 2},
	} {
		h, s := newSite(t)
		s.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Cache-Control", control)
			fmt.Fprint(w, documentFor(certified))
		})
		c := h.documentClient(certified)
		h.browser().open(c.authorizeURL())
		h.clock.Advance(want.age)
		h.browser().open(c.authorizeURL())
		if n := s.requests.Load(); n != want.fetches {
			t.Errorf("%q after %v: fetched %d times", control, want.age, n)
		}
	}
}

func TestADocumentClientStaysSignedInWhileItsSiteIsDown(t *testing.T) {
	h, s := newSite(t)
	s.serve(documentFor(certified))
	c := h.documentClient(certified)
	got := c.redeem(h.browser().signIn(c.authorizeURL(), "alice")).tokens(t)
	h.clock.Advance(time.Hour)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	next := c.refresh(got.refresh).tokens(t)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) })
	c.refresh(next.refresh).wantError(t, "the document is gone", 401, oauth.InvalidClient)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	c.refresh(next.refresh).wantError(t, "a document that was gone is not kept", 503, oauth.TemporarilyUnavailable)
}

func TestThreat17_NothingInsideIsEverReached(t *testing.T) {
	h, s := newSite(t)
	s.serve(documentFor(certified))
	b := h.browser()
	for _, address := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "168.63.129.16",
		"192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
		"::ffff:169.254.169.254", "::ffff:100.64.0.1", "::ffff:168.63.129.16", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "ff02::1", "::7f00:1",
	} {
		s.addresses = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(address)} }
		b.get(h.documentClient(certified).authorizeURL()).wantPage(t, address, http.StatusServiceUnavailable, "not possible right now")
		s.addresses = func() []netip.Addr { return append(public(), netip.MustParseAddr(address)) }
		b.get(h.documentClient(certified).authorizeURL()).wantPage(t, "public and "+address, http.StatusServiceUnavailable, "not possible right now")
	}
	if n := s.requests.Load(); n != 0 || len(s.dialled) != 0 {
		t.Errorf("%d requests, dialled %v", n, s.dialled)
	}
}

func TestThreat17_ANameThatChangesItsMindIsJudgedWhenDialled(t *testing.T) {
	h, s := newSite(t)
	s.serve(documentFor(certified))
	lookups := 0
	s.addresses = func() []netip.Addr {
		lookups++
		if lookups > 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return public()
	}
	b := h.browser()
	b.open(h.documentClient(certified).authorizeURL())
	if lookups != 1 || s.dialled[0] != "93.184.215.14:443" {
		t.Fatalf("%d look-ups, dialled %v: the name was resolved again after it was judged", lookups, s.dialled)
	}
	b.get(h.documentClient("https://example.com/other.json").authorizeURL()).wantPage(t, "rebound", http.StatusServiceUnavailable, "not possible")
	if len(s.dialled) != 1 {
		t.Errorf("dialled %v", s.dialled)
	}
}

// Without any switch for tests, the socket itself refuses.
func TestThreat17_TheRealDialerRefusesThisMachine(t *testing.T) {
	var reached atomic.Bool
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	h := newHouse(t, func(c *authserver.Config) {
		c.Documents.Roots = inside.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	})
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.get(h.documentClient("https://localhost:"+port+"/c.json").authorizeURL()).wantPage(t, "localhost", http.StatusServiceUnavailable, "not possible right now")
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"} {
		b.get(h.documentClient("https://"+host+":"+port+"/c.json").authorizeURL()).wantPage(t, host, http.StatusUnauthorized, "stopped here")
	}
	if reached.Load() {
		t.Error("a document was fetched from this machine")
	}
}

func TestThreat17_BadDocumentsAreRefusedAndNotKept(t *testing.T) {
	h, s := newSite(t)
	b, c := h.browser(), h.documentClient(certified)
	for name, bad := range map[string]struct {
		answer http.HandlerFunc
		status int
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/elsewhere.json", http.StatusFound)
		}, 401},
		"not found":        {http.NotFound, 401},
		"broken":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 503},
		"HTML":             {typed("text/html", documentFor(certified)), 400},
		"no JSON":          {typed("application/json", "client"), 400},
		"another address":  {typed("application/json", documentFor("https://example.com/other.json")), 400},
		"other case":       {typed("application/json", documentFor("https://EXAMPLE.com/client.json")), 400},
		"over 5 KB":        {typed("application/json", documentFor(certified, `,"x":"`+strings.Repeat("x", 6<<10)+`"`)), 413},
		"secret":           {typed("application/json", documentFor(certified, `,"client_secret":"x"`)), 400},
		"secret method":    {typed("application/json", documentFor(certified, `,"token_endpoint_auth_method":"client_secret_post"`)), 400},
		"private key":      {typed("application/json", documentFor(certified, `,"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"d"}]}`)), 400},
		"hostile redirect": {typed("application/json", strings.Replace(documentFor(certified), "https://client.example/cb", "javascript:alert(1)", 1)), 400},
		"slow": {func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}, 503},
	} {
		s.answer(bad.answer)
		b.get(c.authorizeURL()).wantPage(t, name, bad.status, "")
	}
	s.serve(documentFor(certified))
	b.open(c.authorizeURL()) // nothing of it was remembered
}

func typed(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body)
	}
}

func TestThreat17_OddAddressesAreNoClientIDs(t *testing.T) {
	h, s := newSite(t)
	b := h.browser()
	for _, id := range []string{
		"http://example.com/client.json", "https://example.com", "https://example.com/", "https://example.com/a/../client.json",
		"https://example.com/%2e%2e/client.json", "https://example.com/client.json#x", "https://user@example.com/client.json", "ftp://example.com/c",
		"https://example.com\\@evil.example/c", "HTTPS://example.com/client.json",
	} {
		b.get(h.documentClient(id).authorizeURL()).wantPage(t, id, http.StatusUnauthorized, "stopped here")
	}
	if s.requests.Load() != 0 {
		t.Error("something was fetched")
	}
}

func TestThreat17_DomainsAreAllowedAndDeniedByName(t *testing.T) {
	for name, c := range map[string]struct {
		allow, deny []string
		status      int
	}{
		"allowed":          {[]string{"EXAMPLE.com"}, nil, 303},
		"not on the list":  {[]string{"contoso.example"}, nil, 401},
		"look-alike":       {[]string{"ample.com"}, nil, 401},
		"denied":           {nil, []string{"example.com"}, 401},
		"denied by parent": {nil, []string{"com"}, 401},
	} {
		h, s := newSite(t, func(config *authserver.Config) { config.Documents.Allow, config.Documents.Deny = c.allow, c.deny })
		s.serve(documentFor(certified))
		if a := h.browser().get(h.documentClient(certified).authorizeURL()); a.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, a.StatusCode, c.status)
		}
	}
	h, s := newSite(t, func(config *authserver.Config) { config.Documents.Off = true })
	h.browser().get(h.documentClient(certified).authorizeURL()).wantPage(t, "off", 401, "not supported")
	if s.requests.Load() != 0 {
		t.Error("documents are off and one was fetched")
	}
}

func TestThreat17_ADocumentThatChangesItsRedirectsEndsTheSignIn(t *testing.T) {
	h, s := newSite(t)
	s.serve(documentFor(certified))
	c, b := h.documentClient(certified), h.browser()
	state := b.allow(b.open(c.authorizeURL()))
	h.clock.Advance(11 * time.Minute)
	s.serve(strings.Replace(documentFor(certified), "http://127.0.0.1/callback", "http://127.0.0.1/moved", 1))
	b.comeBack(state, "alice").wantPage(t, "changed", 400, "no longer valid")
}
