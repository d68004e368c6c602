package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// witness is a server behind that keeps what it is asked.
type witness struct {
	mu   sync.Mutex
	last *upstream.Request
}

func (w *witness) Forward(_ context.Context, r *upstream.Request) (*upstream.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = r
	const body = `{"jsonrpc":"2.0","id":1,"result":{}}`
	return &upstream.Response{Status: 200, Type: "application/json", Shape: mcpwire.JSON, Length: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (*witness) Close() error { return nil }

// Whatever headers come: the gateway does not panic, nobody gets in without the token in its place, and the server
// behind hears nothing of the client but what is listed.
func FuzzHeaders(f *testing.F) {
	behind := &witness{}
	d := openDoor(f, settings{reach: behind})
	token := d.token(alice())
	host := strings.TrimPrefix(d.url, "http://")
	for _, seed := range []string{
		"", "Authorization: Bearer TOKEN\r\n", "Authorization: Bearer TOKEN\r\nAuthorization: Bearer x\r\n", "authorization:bearer  TOKEN\r\n",
		"Authorization: Bearer TOKEN\r\nMcp-Session-Id: x\r\nMcp-Param-City: Oslo\r\nX_Genkan: 1\r\n",
		"Authorization: Bearer TOKEN\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nConnection: Authorization, X-A\r\nX-A: 1\r\n",
		"Authorization: Bearer TOKEN\r\nOrigin: null\r\n", "Authorization: Bearer TOKEN\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: set_alert\r\n",
		"Authorization: Bearer TOKEN\r\nAccept: text/*;q=0, */*\r\n", "Transfer-Encoding: chunked\r\n", "Authorization: Bearer TOKEN\r\nCookie: a=b\r\nTraceparent: 00-1-1-01\r\nLast-Event-ID: 1\r\n",
	} {
		f.Add(seed)
	}
	body := call("get_forecast", `{"city":"Oslo"}`)
	f.Fuzz(func(t *testing.T, headers string) {
		text := "POST /weather/mcp HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" +
			strings.ReplaceAll(headers, "TOKEN", token) + "Content-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1234"
		behind.last = nil
		w := httptest.NewRecorder()
		d.gateway.ServeHTTP(w, r)
		seen := behind.last
		if seen == nil {
			if w.Code < 300 && !strings.Contains(w.Body.String(), `"error"`) && r.URL.Path == "/weather/mcp" && r.Method == http.MethodPost {
				t.Errorf("%d without a request to the server behind: %s", w.Code, w.Body)
			}
			return
		}
		if values := r.Header["Authorization"]; len(values) != 1 || !strings.HasSuffix(values[0], " "+token) {
			t.Errorf("in with %q", values)
		}
		if len(seen.Trace) > 0 || !seen.Credential.Value.IsZero() || seen.Session != "" || seen.Person != alice().Key() {
			t.Errorf("the server behind hears %+v", seen)
		}
		for _, p := range seen.Params {
			if !strings.HasPrefix(p.Name, "Mcp-Param-") {
				t.Errorf("the server behind hears %+v", p)
			}
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.2", "[::1]:80, ::ffff:10.0.0.3", ",,,", "unknown", "10.0.0.1, 10.0.0.2, fe80::1%eth0"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	d := openDoor(f, settings{reach: &witness{}, config: func(g *gateway.Config) { g.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }})
	f.Fuzz(func(t *testing.T, forwarded string, trusted bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		if trusted {
			r.RemoteAddr = "10.0.0.9:1234"
		}
		r.Header["X-Forwarded-For"] = []string{forwarded}
		got := d.gateway.ClientAddress(r)
		if _, err := netip.ParseAddr(got); err != nil {
			t.Errorf("%q is no address", got)
		}
		if !trusted && got != "192.0.2.1" {
			t.Errorf("a stranger's header was believed: %q", got)
		}
	})
}
