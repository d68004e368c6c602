package bridge_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/bridge"
)

// office is a server that trusts Entra itself, a tenant, and somebody whose browser knows them.
type office struct {
	tenant *entratest.Tenant
	URL    string // of the server
	visits atomic.Int32
	claims atomic.Value // string: what the server demands of tokens, in base64; "" for nothing
	walker string
}

func newOffice(t *testing.T, who string) *office {
	t.Helper()
	o := &office{tenant: entratest.Start(t)}
	o.claims.Store("")
	cloud, err := entra.DevCloud(o.tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{entratest.TenantID}, Audiences: []string{entratest.GenkanID, entratest.GenkanURI}, IgnoreGroups: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	next := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools() }, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/oauth-protected-resource/mcp" {
			reply(w, 200, map[string]any{
				"resource": o.URL, "authorization_servers": []string{o.tenant.URL + "/" + entratest.TenantID + "/v2.0"},
				"scopes_supported": []string{entratest.GenkanURI + "/" + entratest.GenkanScope},
			})
			return
		}
		challenge := fmt.Sprintf("Bearer resource_metadata=%q", strings.TrimSuffix(o.URL, "/mcp")+"/.well-known/oauth-protected-resource/mcp")
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if wanted := o.claims.Load().(string); wanted != "" && token != "" && r.Method == http.MethodPost {
			o.claims.Store("")
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s, error="insufficient_claims", claims=%q`, challenge, wanted))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if _, err := verifier.Verify(r.Context(), token); err != nil {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.URL = server.URL + "/mcp"
	o.walker = o.walk(t, who)
	return o
}

// walk serves a person who goes through Entra's pages, for the browser command.
func (o *office) walk(t *testing.T, who string) string {
	browser := o.tenant.Browser(who)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		o.visits.Add(1)
		answer, err := browser.Visit(r.URL.Query().Get("address"))
		if err != nil {
			t.Errorf("visit: %v", err)
			return
		}
		resp, err := http.PostForm(answer.RedirectURI, answer.Params)
		if err != nil {
			t.Errorf("come back: %v", err)
			return
		}
		_ = resp.Body.Close()
	}))
	t.Cleanup(server.Close)
	return server.URL + "/?address="
}

func (o *office) machine(t *testing.T) *machine {
	m := newMachine(t)
	m.change = func(c *bridge.ConnectOptions) {
		c.SignIn.ClientID = entratest.GenkanToolsID
		c.SignIn.Browser = append(browserCommand(), o.walker)
	}
	return m
}

func (o *office) want(t *testing.T, signIns int32) {
	t.Helper()
	if got := o.visits.Load(); got != signIns {
		t.Errorf("%d sign-ins, want %d", got, signIns)
	}
}

func TestServerThatTrustsEntraItselfGetsEntrasToken(t *testing.T) {
	o := newOffice(t, "alice")
	m := o.machine(t)
	s := m.session(t, o.URL, nil)
	if diff := cmp.Diff("get_forecast Kyoto", callText(t, s, "get_forecast", map[string]any{"city": "Kyoto"})); diff != "" {
		t.Error(diff)
	}
	_ = s.Close()
	callText(t, m.session(t, o.URL, nil), "get_forecast", nil)
	o.want(t, 1)
	m.wantClean(t, []string{"eyJ", "refresh_token"})
	if got := m.status(t); !strings.Contains(got, entratest.GenkanToolsID) || !strings.Contains(got, "renews itself") || strings.Contains(got, "eyJ") {
		t.Errorf("status says:\n%s", got)
	}
}

// shortLived makes tokens that end in a minute.
type shortLived struct{ next http.RoundTripper }

func (s shortLived) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/token") {
		return resp, err
	}
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	answer["expires_in"], answer["ext_expires_in"] = 60, 60
	body, err := json.Marshal(answer)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, err
}

func TestEntrasTokenIsRefreshedSilently(t *testing.T) {
	o := newOffice(t, "alice")
	m := o.machine(t)
	inner := m.change
	var c clock
	m.change = func(options *bridge.ConnectOptions) {
		inner(options)
		options.Now, options.Client = c.now, &http.Client{Transport: shortLived{http.DefaultTransport}}
	}
	s := m.session(t, o.URL, nil)
	c.forward(50 * time.Second)
	callText(t, s, "get_forecast", nil)
	o.want(t, 1)
	var grants []string
	for _, call := range o.tenant.Calls("/token") {
		grants = append(grants, call.Grant)
	}
	if diff := cmp.Diff([]string{"authorization_code", "refresh_token"}, grants); diff != "" {
		t.Error(diff)
	}
}

func TestClaimsChallengeOfEntraSignsInAgainWithTheClaims(t *testing.T) {
	o := newOffice(t, "alice")
	m := o.machine(t)
	s := m.session(t, o.URL, nil)
	callText(t, s, "get_forecast", nil) // by now nothing else is on its way
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	o.claims.Store(base64.RawURLEncoding.EncodeToString([]byte(claims)))
	callText(t, s, "get_forecast", nil)
	o.want(t, 2)
	m.wantLog(t, "claims="+url.QueryEscape(`{"access_token":{"acrs":`)) // in the address of the second page
}

func TestEntraWithoutAClientIDSaysWhatToDo(t *testing.T) {
	o := newOffice(t, "alice")
	m := newMachine(t)
	_, err := m.connect(t, o.URL, nil)
	wantError(t, err, "trusts Microsoft Entra ID directly", "http://localhost", "--client-id")
}

func TestNobodySignsInAtEntraEndsWithAClearMessage(t *testing.T) {
	o := newOffice(t, "alice")
	m := o.machine(t)
	inner := m.change
	m.change = func(c *bridge.ConnectOptions) {
		inner(c)
		c.SignIn.Browser, c.SignIn.Timeout = []string{"true"}, 300*time.Millisecond
	}
	_, err := m.connect(t, o.URL, nil)
	wantError(t, err, "nobody signed in to "+o.URL+" within 300ms")
}

func TestDeviceCodeOfEntra(t *testing.T) {
	o := newOffice(t, "alice")
	m := o.machine(t)
	inner := m.change
	m.change = func(c *bridge.ConnectOptions) {
		inner(c)
		c.SignIn.DeviceCode, c.SignIn.Timeout = true, 20*time.Second
	}
	go func() {
		m.log.await(t, "enter the code ")
		_, rest, _ := strings.Cut(m.log.String(), "enter the code ")
		if err := o.tenant.Browser("alice").EnterCode(strings.TrimSuffix(strings.Fields(rest)[0], ".")); err != nil {
			t.Error(err)
		}
	}()
	callText(t, m.session(t, o.URL, nil), "get_forecast", nil)
	m.wantLog(t, "/devicelogin")
	o.want(t, 0)
}
