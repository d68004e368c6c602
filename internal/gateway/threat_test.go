package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// reached is how many requests came through to a server behind.
func reached(rec *recorder) int { requests, _ := rec.seen(); return len(requests) }

func TestThreat20_ATokenOfOneServerIsNoGoodAtAnother(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	for name, resource := range map[string]string{
		"another server": d.url + "/profile/mcp", "a prefix": d.url + "/weather", "a suffix": d.url + "/weather/mcp/x",
		"a slash more": d.url + "/weather/mcp/", "another case": d.url + "/Weather/mcp", "another host": "http://evil.example/weather/mcp",
	} {
		a := d.post(d.tokensFor(alice(), resource).Access.Reveal(), call("get_forecast", "{}"))
		if a.status != http.StatusUnauthorized || !strings.Contains(a.body, "audience") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestThreat20_ATokenMayStandOnlyInOneAuthorizationHeader(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	cases := map[string]struct {
		spoil  func(*http.Request)
		status int
	}{
		"in the query":           {func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "access_token=" + token }, 400},
		"in the query too":       {func(r *http.Request) { r.URL.RawQuery = "access_token=" + token }, 400},
		"twice the same":         {func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) }, 400},
		"a good and a bad one":   {func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }, 400},
		"two in one header":      {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+", Bearer x") }, 401},
		"as Basic":               {func(r *http.Request) { r.SetBasicAuth("x", token) }, 401},
		"without a scheme":       {func(r *http.Request) { r.Header.Set("Authorization", token) }, 401},
		"in a cookie":            {func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Set("Cookie", "access_token="+token) }, 401},
		"in a header of its own": {func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Set("X-Access-Token", token) }, 401},
		"in the body of a request": {func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("Proxy-Authorization", "Bearer "+token)
		}, 401},
	}
	for name, c := range cases {
		r := d.request(token, call("get_forecast", "{}"))
		c.spoil(r)
		if a := d.do(r); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, c.status)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	r := d.request("", call("get_forecast", "{}"))
	r.Header.Set("Authorization", "bearer "+token) // RFC 9110 §11.1: the scheme has no case
	if a := d.do(r); a.status != http.StatusOK {
		t.Errorf("a good token: %d %s", a.status, a.body)
	}
}

func TestThreat22_NoSpellingOfAMessageGetsAToolPastTheRules(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(bob())
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","Name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","n\u0061me":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"},"params":{"name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"},"Params":{"name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call","params":{"name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"set_alert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"set\u005falert"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["get_forecast","set_alert"]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[{"name":"set_alert"}]}`,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"set_alert"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"set_alert"}}]`,
		call("get_forecast", "{}") + call("set_alert", "{}"),
		call("get_forecast", "{}") + "\n" + call("set_alert", "{}"),
		"\xef\xbb\xbf" + call("get_forecast", "{}"),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast\u0000set_alert"}}`,
	} {
		if a := d.post(token, body); a.status < 400 && !strings.Contains(a.body, `"error"`) {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
	for i, body := range second(rec.seen()) {
		if strings.Contains(body, "alert") {
			t.Errorf("request %d came through: %s", i, body)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestThreat22_WhatIsForwardedIsWhatWasDecidedWrittenAgain(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	sent := " {\n \"params\" : {\"arguments\":{\"city\":\"\\u004fslo\"}, \"name\":\"get\\u005fforecast\"},\t\"method\":\"tools\\/call\",\"id\":1,\"jsonrpc\":\"2.0\"} \n"
	if a := d.post(d.token(bob()), sent); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	want := []string{`{"params":{"arguments":{"city":"Oslo"},"name":"get_forecast"},"method":"tools/call","id":1,"jsonrpc":"2.0"}`}
	if diff := cmp.Diff(want, second(rec.seen())); diff != "" {
		t.Error(diff)
	}
}

// modern makes a request of the revision whose headers repeat the body.
func (d *door) modern(token, tool, arguments string) *http.Request {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"name":%q,"arguments":%s}}`, tool, arguments)
	r := d.request(token, body)
	r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", "tools/call")
	r.Header.Set("Mcp-Name", tool)
	return r
}

func TestThreat23_HeadersMustSayWhatTheBodySays(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	for name, spoil := range map[string]func(http.Header){
		"another method":  func(h http.Header) { h.Set("Mcp-Method", "tools/list") },
		"another name":    func(h http.Header) { h.Set("Mcp-Name", "set_alert") },
		"no method":       func(h http.Header) { h.Del("Mcp-Method") },
		"no name":         func(h http.Header) { h.Del("Mcp-Name") },
		"two names":       func(h http.Header) { h.Add("Mcp-Name", "get_forecast") },
		"two methods":     func(h http.Header) { h.Add("Mcp-Method", "tools/call") },
		"another version": func(h http.Header) { h.Set("Mcp-Protocol-Version", "2025-11-25") },
		"two versions":    func(h http.Header) { h.Add("Mcp-Protocol-Version", "2026-07-28") },
		"an encoded name": func(h http.Header) {
			h.Set("Mcp-Name", "=?base64?"+base64.StdEncoding.EncodeToString([]byte("set_alert"))+"?=")
		},
		"a parameter apart": func(h http.Header) { h.Set("Mcp-Param-City", "Rome") },
		"an encoded parameter apart": func(h http.Header) {
			h.Set("Mcp-Param-City", "=?base64?"+base64.StdEncoding.EncodeToString([]byte("Rome"))+"?=")
		},
	} {
		r := d.modern(token, "get_forecast", `{"city":"Oslo"}`)
		spoil(r.Header)
		if a := d.do(r); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	r := d.modern(token, "get_forecast", `{"city":"Oslo","size":3}`)
	r.Header.Set("Mcp-Param-City", "Oslo")
	r.Header.Set("Mcp-Param-Size", "3")
	if a := d.do(r); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	requests, _ := rec.seen()
	got := []string{requests[0].Header.Get("Mcp-Name"), requests[0].Header.Get("Mcp-Param-City"), requests[0].Header.Get("Mcp-Param-Size")}
	if diff := cmp.Diff([]string{"get_forecast", "Oslo", "3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThreat23_OddBodiesAreRefused(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	for name, body := range map[string]string{
		"deep":          call("get_forecast", strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000)),
		"huge number":   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{"size":1e999999}}}`,
		"invalid UTF-8": call("get_forecast", "{\"city\":\"\xff\xfe\"}"),
		"lone half":     call("get_forecast", `{"city":"\ud800"}`),
		"truncated":     call("get_forecast", "{}")[:50],
		"null":          "null",
		"other JSONRPC": strings.Replace(call("get_forecast", "{}"), "2.0", "1.0", 1),
		"array as ID":   strings.Replace(call("get_forecast", "{}"), `"id":1`, `"id":[1]`, 1),
	} {
		if a := d.post(token, body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestThreat24_NoFramingOfAListShowsWhatIsHidden(t *testing.T) {
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_forecast"},{"name":"set_alert"},{"name":"secret_tool"}]}}`
	zipped := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	cases := map[string]struct {
		status  int
		headers map[string]string
		body    string
	}{
		"JSON":                    {200, map[string]string{"Content-Type": "application/json"}, list},
		"JSON with a charset":     {200, map[string]string{"Content-Type": "application/json; charset=utf-8"}, list},
		"another success":         {201, map[string]string{"Content-Type": "application/json"}, list},
		"a partial success":       {206, map[string]string{"Content-Type": "application/json"}, list},
		"an error status":         {400, map[string]string{"Content-Type": "application/json"}, list},
		"text":                    {200, map[string]string{"Content-Type": "text/plain"}, list},
		"no type":                 {200, nil, list},
		"accepted":                {202, map[string]string{"Content-Type": "text/plain"}, list},
		"two types":               {200, map[string]string{"Content-Type": "text/html, application/json"}, list},
		"gzip":                    {200, map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, zipped(list)},
		"events":                  {200, map[string]string{"Content-Type": "text/event-stream"}, "event: message\ndata: " + list + "\n\n"},
		"events in gzip":          {200, map[string]string{"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, zipped("data: " + list + "\n\n")},
		"events with CR":          {200, map[string]string{"Content-Type": "text/event-stream"}, "event: message\rdata: " + list + "\r\r"},
		"events with CRLF":        {200, map[string]string{"Content-Type": "text/event-stream"}, "event: message\r\ndata: " + list + "\r\n\r\n"},
		"a list over two lines":   {200, map[string]string{"Content-Type": "text/event-stream"}, "data: " + list[:40] + "\ndata: " + list[40:] + "\n\n"},
		"a list after another":    {200, map[string]string{"Content-Type": "text/event-stream"}, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\ndata: " + list + "\n\n"},
		"two lists":               {200, map[string]string{"Content-Type": "text/event-stream"}, "data: " + list + "\n\ndata: " + list + "\n\n"},
		"under another ID":        {200, map[string]string{"Content-Type": "text/event-stream"}, "data: " + strings.Replace(list, `"id":1`, `"id":9`, 1) + "\n\n"},
		"no end":                  {200, map[string]string{"Content-Type": "text/event-stream"}, "data: " + list},
		"a BOM":                   {200, map[string]string{"Content-Type": "text/event-stream"}, "\ufeffdata: " + list + "\n\n"},
		"the result twice":        {200, map[string]string{"Content-Type": "application/json"}, strings.Replace(list, `"result":`, `"result":{"tools":[]},"result":`, 1)},
		"the result in capitals":  {200, map[string]string{"Content-Type": "application/json"}, strings.Replace(list, `"result":`, `"Result":`, 1)},
		"a name in escapes":       {200, map[string]string{"Content-Type": "application/json"}, strings.Replace(list, `"set_alert"`, `"set\u005falert"`, 1)},
		"a batch":                 {200, map[string]string{"Content-Type": "application/json"}, "[" + list + "]"},
		"two in one body":         {200, map[string]string{"Content-Type": "application/json"}, list + list},
		"the name after the rest": {200, map[string]string{"Content-Type": "application/json"}, strings.Replace(list, `{"name":"set_alert"}`, `{"description":"x","name":"set_alert"}`, 1)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				for k, v := range c.headers {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}}})
			a := d.post(d.token(bob()), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if strings.Contains(a.body, "alert") || strings.Contains(a.body, "secret_tool") || strings.Contains(a.body, "\x1f\x8b") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if name == "JSON" || name == "events" {
				if !strings.Contains(a.body, "get_forecast") {
					t.Errorf("what may be seen is not there: %s", a.body)
				}
			}
		})
	}
}

func TestThreat25_OfTheClientsHeadersOnlyTheListedGoOn(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	body := call("get_forecast", "{}")
	request := "POST /weather/mcp HTTP/1.1\r\nHost: " + strings.TrimPrefix(d.url, "http://") + "\r\n" +
		"Authorization: Bearer " + token + "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
		"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil\r\nX-Forwarded-User: admin\r\nForwarded: for=10.0.0.1\r\nX-Real-Ip: 10.0.0.1\r\n" +
		"X-Genkan-Identity: admin\r\nX_Genkan_Identity: admin\r\nX-Genkan_Identity: admin\r\nx-genkan-identity: admin\r\n" +
		"X-Ms-Client-Principal: admin\r\nX-Ms-Token-Aad-Access-Token: t\r\nRemote-User: admin\r\nX-Original-Url: /admin\r\n" +
		"Cookie: __Host-genkan=1\r\nProxy-Authorization: Basic eDp5\r\nTe: trailers\r\nUpgrade: websocket\r\nX-Hop: 1\r\nMcp-Param-City: Oslo\r\n" +
		"Origin: " + d.url + "\r\nReferer: " + d.url + "\r\nUser-Agent: evil\r\nMcp-Session_Id: x\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nBaggage: user=admin\r\n" +
		"Connection: close, X-Hop, Authorization\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	if out := d.raw(request); !strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Fatal(out)
	}
	requests, _ := rec.seen()
	got := http.Header{}
	for name, values := range requests[0].Header {
		if name != "X-Request-Id" {
			got[name] = values
		}
	}
	want := http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/json"},
		"Content-Length": {fmt.Sprint(len(body))}, "User-Agent": {"genkan"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if requests[0].URL.Path != "/" || requests[0].URL.RawQuery != "" {
		t.Errorf("the server behind was asked for %s", requests[0].URL)
	}
}

func TestThreat25_OfTheServersHeadersOnlyTheListedComeBack(t *testing.T) {
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{"Set-Cookie", "WWW-Authenticate", "Location", "Access-Control-Allow-Origin", "Server", "X-Powered-By",
			"Strict-Transport-Security", "Clear-Site-Data", "Refresh", "Link", "Alt-Svc", "Content-Disposition", "X-Genkan-Identity"} {
			h.Set(name, "x")
		}
		h.Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}}
	d := openDoor(t, settings{behind: rec})
	a := d.post(d.token(alice()), call("get_forecast", "{}"))
	var got []string
	for name := range a.header {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"Cache-Control", "Content-Length", "Content-Type", "Date", "X-Content-Type-Options", "X-Request-Id"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThreat26_OnlyTheExactPathLeadsToAServer(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	host := strings.TrimPrefix(d.url, "http://")
	token := d.token(alice())
	body := call("get_forecast", "{}")
	send := func(target, token string) string {
		authorization := ""
		if token != "" {
			authorization = "Authorization: Bearer " + token + "\r\n"
		}
		out := d.raw("POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + authorization +
			"Content-Type: application/json\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body)
		return strings.SplitN(out+"   ", " ", 3)[1]
	}
	for _, target := range []string{
		"/weather%2Fmcp", "/weather%2fmcp", "/%77eather/mcp", "/weather/mcp/", "/weather//mcp", "//weather/mcp", "/./weather/mcp", "/weather/../weather/mcp",
		"/weather/%2e%2e/weather/mcp", "/Weather/mcp", "/WEATHER/MCP", "/weather/mcp%00", "/weather/mcp%20", "/weather/mcp;x=1", "/weather\\mcp", "/weather/mcp/..;/",
		"/healthz/../weather/mcp", "/weather/mcp/healthz", "/x/weather/mcp", "/weather/mcp%3Fx", "/weather/mcp%23x", "weather/mcp", "*", "/weather/mcp#x",
	} {
		for _, token := range []string{"", token} {
			if status := send(target, token); status != "404" && status != "400" && status != "401" {
				t.Errorf("%s: %s", target, status)
			}
		}
	}
	// What stands in the query or after a fragment sign changes nothing about who may come.
	for _, target := range []string{"/weather/mcp?/healthz", "/weather/mcp?x=/.well-known/oauth-protected-resource", "/weather/mcp?path=/readyz"} {
		if status := send(target, ""); status != "401" {
			t.Errorf("%s without a token: %s", target, status)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if status := send("/weather/mcp", token); status != "200" {
		t.Errorf("the exact path: %s", status)
	}
}

func TestThreat27_StrangeOriginsAndHostsAreRefused(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec, config: func(c *gateway.Config) { c.Origins = []string{"https://app.contoso.example"} }})
	token := d.token(alice())
	host := strings.TrimPrefix(d.url, "http://")
	_, port, _ := net.SplitHostPort(host)
	for name, origins := range map[string][]string{
		"foreign": {"https://evil.example"}, "null": {"null"}, "several": {d.url, "https://evil.example"}, "twice ours": {d.url, d.url},
		"a list": {d.url + ", https://evil.example"}, "empty": {""}, "ours with a tail": {d.url + ".evil.example"}, "another port": {"http://127.0.0.1:1"},
		"another scheme": {"https://" + host}, "a path": {d.url + "/"}, "in capitals": {"HTTPS://APP.CONTOSO.EXAMPLE"}, "user info": {"https://app.contoso.example@evil.example"},
	} {
		for _, method := range []string{http.MethodPost, http.MethodOptions, http.MethodGet} {
			r := d.request(token, call("get_forecast", "{}"))
			r.Method = method
			r.Header["Origin"] = origins
			if a := d.do(r); a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: %d %v", method, name, a.status, a.header)
			}
		}
	}
	for _, strange := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example:" + port, "localhost.evil.example:" + port, "127.0.0.1:1", "[::ffff:127.0.0.1]:" + port, "0.0.0.0:" + port} {
		r := d.request(token, call("get_forecast", "{}"))
		r.Host = strange
		if a := d.do(r); a.status != http.StatusForbidden {
			t.Errorf("Host %s: %d", strange, a.status)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	r := d.request(token, call("get_forecast", "{}"))
	r.Header.Set("Origin", "https://app.contoso.example")
	if a := d.do(r); a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "https://app.contoso.example" {
		t.Errorf("an allowed origin: %d %v", a.status, a.header)
	}
}

func TestThreat28_TheGatewayNeverRedirects(t *testing.T) {
	d := openDoor(t, settings{})
	host := strings.TrimPrefix(d.url, "http://")
	for _, target := range []string{
		"//evil.example", "///evil.example", "/\\evil.example", "/%5cevil.example", "/%09/evil.example", "/%2f%2fevil.example", "/.evil.example", "/..//evil.example",
		"//evil.example/weather/mcp", "/weather/mcp//evil.example", "/weather/mcp?next=https://evil.example", "/.well-known/oauth-protected-resource//evil.example",
		"http://evil.example/weather/mcp", "/weather/mcp/%2e%2e//evil.example",
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			out := d.raw(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			if strings.Contains(strings.ToLower(out), "\nlocation:") || strings.HasPrefix(out, "HTTP/1.1 3") {
				t.Errorf("%s %s: %s", method, target, out)
			}
		}
	}
}

func TestThreat30_ForwardedAddressesAreBelievedOnlyFromTrustedProxiesAndFromTheRight(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []string
		headers []string
		want    string
	}{
		"nobody is trusted":               {nil, []string{"10.0.0.1"}, "127.0.0.1"},
		"the peer is not trusted":         {[]string{"192.0.2.0/24"}, []string{"10.0.0.1"}, "127.0.0.1"},
		"one proxy":                       {[]string{"127.0.0.0/8"}, []string{"198.51.100.7"}, "198.51.100.7"},
		"what the client wrote":           {[]string{"127.0.0.0/8"}, []string{"10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		"two proxies":                     {[]string{"127.0.0.0/8", "192.0.2.0/24"}, []string{"10.9.9.9, 198.51.100.7, 192.0.2.5"}, "198.51.100.7"},
		"two headers":                     {[]string{"127.0.0.0/8"}, []string{"10.9.9.9", "198.51.100.7"}, "198.51.100.7"},
		"trusted proxies all the way":     {[]string{"127.0.0.0/8", "192.0.2.0/24"}, []string{"192.0.2.4, 192.0.2.5"}, "192.0.2.4"},
		"garbage":                         {[]string{"127.0.0.0/8"}, []string{"198.51.100.7, garbage"}, "127.0.0.1"},
		"empty":                           {[]string{"127.0.0.0/8"}, []string{""}, "127.0.0.1"},
		"an address with a port":          {[]string{"127.0.0.0/8"}, []string{"198.51.100.7:4711"}, "198.51.100.7"},
		"version 6":                       {[]string{"127.0.0.0/8"}, []string{"[2001:db8::7]"}, "2001:db8::7"},
		"mapped":                          {[]string{"127.0.0.0/8"}, []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"mapped, of a proxy that is ours": {[]string{"127.0.0.0/8", "192.0.2.0/24"}, []string{"198.51.100.7, ::ffff:192.0.2.9"}, "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: &recorder{}, config: func(g *gateway.Config) {
				for _, p := range c.trusted {
					g.TrustedProxies = append(g.TrustedProxies, netip.MustParsePrefix(p))
				}
			}})
			r := d.request(d.token(alice()), call("get_forecast", "{}"))
			r.Header["X-Forwarded-For"] = c.headers
			d.do(r)
			if diff := cmp.Diff(c.want, d.events()[0].Address); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// resourceDoor is a door at which Entra's own tokens are shown.
func resourceDoor(t *testing.T, tenant *entratest.Tenant, rec *recorder) *door {
	t.Helper()
	return openDoor(t, settings{behind: rec, server: func(s *gateway.Server) {
		s.Authenticator = gateway.EntraTokens{Verifier: must(newVerifier(tenant))}
		s.AuthorizationServers = []string{tenant.URL + "/" + entratest.TenantID + "/v2.0"}
		s.Scopes = []string{entratest.GenkanScope}
		s.AskScopes = []string{entratest.GenkanURI + "/" + entratest.GenkanScope}
	}})
}

func TestInResourceModeEntrasTokensOpenTheDoor(t *testing.T) {
	tenant, rec := entratest.Start(t), &recorder{}
	d := resourceDoor(t, tenant, rec)
	a := d.post("", call("get_forecast", "{}"))
	if want := `scope="` + entratest.GenkanURI + "/" + entratest.GenkanScope + `"`; a.status != 401 || !strings.Contains(a.header.Get("WWW-Authenticate"), want) {
		t.Errorf("%d %v", a.status, a.header)
	}
	metadata := d.do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/.well-known/oauth-protected-resource/weather/mcp", nil)))
	if !strings.Contains(metadata.body, `"authorization_servers":["`+tenant.URL+"/"+entratest.TenantID+`/v2.0"]`) {
		t.Error(metadata.body)
	}
	token := must(tenant.AccessToken("bob", entratest.VSCodeID, entratest.GenkanID, entratest.GenkanScope))
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := d.post(token, call("set_alert", "{}")); !strings.Contains(a.body, "unknown tool") {
		t.Errorf("%d %s", a.status, a.body)
	}
	requests, _ := rec.seen()
	if len(requests) != 1 || requests[0].Header.Get("Authorization") != "" {
		t.Error("Entra's token reached the server behind")
	}
	e := d.events()[0]
	if e.Object != entratest.BobID || e.Client != entratest.VSCodeID {
		t.Errorf("%+v", e)
	}
}

func TestThreat19_ForgedTokensOfEntraAreRefusedByName(t *testing.T) {
	tenant, rec := entratest.Start(t), &recorder{}
	d := resourceDoor(t, tenant, rec)
	good := func() map[string]any {
		return must(tenant.Claims("bob", entratest.VSCodeID, entratest.GenkanID, entratest.GenkanScope))
	}
	forge := func(change func(c map[string]any)) string {
		c := good()
		change(c)
		return must(tenant.Sign(c, nil))
	}
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		token string
		check policy.Check
	}{
		"another audience":    {forge(func(c map[string]any) { c["aud"] = entratest.GraphID }), policy.CheckAudience},
		"a longer audience":   {forge(func(c map[string]any) { c["aud"] = entratest.GenkanID + "0" }), policy.CheckAudience},
		"another issuer":      {forge(func(c map[string]any) { c["iss"] = tenant.URL + "/x/v2.0" }), policy.CheckIssuer},
		"another tenant":      {forge(func(c map[string]any) { c["tid"] = "11111111-2222-3333-4444-555555555555" }), ""},
		"expired":             {forge(func(c map[string]any) { c["exp"] = now - 3600 }), policy.CheckExpiry},
		"not yet valid":       {forge(func(c map[string]any) { c["nbf"] = now + 3600 }), policy.CheckNotBefore},
		"no expiry":           {forge(func(c map[string]any) { delete(c, "exp") }), policy.CheckExpiry},
		"another client":      {forge(func(c map[string]any) { c["azp"] = "11111111-2222-3333-4444-555555555555" }), policy.CheckClient},
		"no object":           {forge(func(c map[string]any) { delete(c, "oid") }), policy.CheckObject},
		"no scope":            {forge(func(c map[string]any) { c["scp"] = "other" }), ""},
		"unsigned":            {unsigned(good()), ""},
		"a token of our own":  {"gka_x_y", ""},
		"one of another sort": {"x.y.z", ""},
	} {
		a := d.post(c.token, call("get_forecast", "{}"))
		if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden || c.check != "" && !strings.Contains(a.body, "the "+string(c.check)+" check") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if strings.Contains(a.body, c.token) {
			t.Errorf("%s: the answer shows the token", name)
		}
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestThreat32_OldSignaturesAreGoodWhileTheirKeysArePublished(t *testing.T) {
	rec := &recorder{}
	c := newClock()
	first, second := must(gateway.NewSigningKey(cryptoRand{}, c.Now())), must(gateway.NewSigningKey(cryptoRand{}, c.Now().Add(time.Hour)))
	keys := must(gateway.NewSigningKeys(c.Now, first))
	signed := must(gateway.NewSignedIdentity("https://door.example", "https://weather.internal", keys, c.Now))
	d := openDoor(t, settings{behind: rec, server: func(s *gateway.Server) { s.Credential = signed }, config: func(g *gateway.Config) { g.Now = c.Now }})
	token := d.token(alice())
	show := func() string {
		d.post(token, call("get_forecast", "{}"))
		all := shown(t, rec)
		return strings.TrimPrefix(all[len(all)-1], "Bearer ")
	}
	before := show()
	if err := keys.Replace(first, second); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * time.Minute)
	if keyID(t, show()) != keyID(t, before) {
		t.Error("the new key signs before its time")
	}
	c.advance(time.Hour)
	after := show()
	if keyID(t, after) == keyID(t, before) {
		t.Error("the old key signs after its time")
	}
	for _, jwt := range []string{before, after} {
		if !verifies(t, keys, jwt) {
			t.Errorf("a signature of key %s can't be verified with what is published", keyID(t, jwt))
		}
	}
}

func TestThreat33_WhileTheStoreIsDownNobodyGetsInAndNobodyIsSignedOut(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	d.store.fail(io.ErrUnexpectedEOF)
	a := d.post(token, call("get_forecast", "{}"))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v: a client must not sign in again for our trouble", a.status, a.header)
	}
	if strings.Contains(a.body, "EOF") {
		t.Errorf("the answer shows our inside: %s", a.body)
	}
	if n := reached(rec); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	d.store.fail(nil)
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusOK {
		t.Errorf("after it came back: %d", a.status)
	}
}

func TestThreat31_WhileEntraIsDownPeopleWhoAreSignedInGoOn(t *testing.T) {
	tenant, rec := entratest.Start(t), &recorder{}
	d := resourceDoor(t, tenant, rec)
	token := must(tenant.AccessToken("bob", entratest.VSCodeID, entratest.GenkanID, entratest.GenkanScope))
	d.post(token, call("get_forecast", "{}"))
	tenant.FailNext(entratest.Fault{Path: "/", Status: http.StatusServiceUnavailable, Times: 1000})
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func behindAt(t *testing.T, address string, timeout time.Duration) upstream.Upstream {
	t.Helper()
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return must(upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse(address)), Transport: transport, Timeout: timeout}))
}

// talker is a server behind that says bytes of its own choosing to every request and then does what it likes.
func talker(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				talk(conn)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return "http://" + listener.Addr().String()
}

func TestThreat35_AServerInTroubleIsToldAsSuchAndShowsNothing(t *testing.T) {
	say := func(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }
	for name, c := range map[string]struct {
		talk   func(net.Conn)
		status int
	}{
		"hangs":             {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, 504},
		"hangs up":          {func(net.Conn) {}, 502},
		"no HTTP":           {say("SECRET garbage\r\n\r\n"), 502},
		"HTML":              {say("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nSECRET"), 502},
		"a stack trace":     {say("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nSECRET"), 502},
		"redirects":         {say("HTTP/1.1 307 X\r\nLocation: http://SECRET.example/\r\nContent-Length: 0\r\n\r\n"), 502},
		"switches":          {say("HTTP/1.1 101 X\r\nUpgrade: SECRET\r\nConnection: Upgrade\r\n\r\n"), 502},
		"a compressed body": {say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET"), 502},
		"a huge head":       {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("SECRET", 100_000) + "\r\n\r\n"), 502},
		"wants our token":   {say("HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=SECRET\r\nContent-Length: 0\r\n\r\n"), 502},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{reach: behindAt(t, talker(t, c.talk), 300*time.Millisecond)})
			a := d.post(d.token(alice()), call("get_forecast", "{}"))
			if a.status != c.status || !strings.Contains(a.body, `"id":1`) || !strings.Contains(a.body, "the server behind") {
				t.Errorf("%d %s, want %d", a.status, a.body, c.status)
			}
			if strings.Contains(fmt.Sprint(a), "SECRET") {
				t.Errorf("the answer shows the server's inside: %+v", a)
			}
			if e := d.events()[0]; e.Decision != audit.Failed || e.Kind != audit.Call {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestThreat35_AnAnswerThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	for name, answer := range map[string]string{
		"JSON with a length":  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\":\"2.0\",",
		"JSON in chunks":      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"jso\r\n",
		"events":              "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n",
		"JSON that must pass": "",
	} {
		if answer == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{reach: behindAt(t, talker(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) }), time.Second)})
			resp, err := d.client(d.token(alice())).Do(d.request("", call("get_forecast", "{}")))
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("it came as a whole: %d %q", resp.StatusCode, body)
			}
		})
	}
}

func TestThreat35_AnEndlessEventIsCutOff(t *testing.T) {
	d := openDoor(t, settings{behind: &recorder{answer: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: ")
		block := bytes.Repeat([]byte("x"), 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}}})
	resp, err := d.client(d.token(alice())).Do(d.request("", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, _ := io.Copy(io.Discard, resp.Body); n > 1<<20 {
		t.Errorf("%d bytes of an endless event were passed on", n)
	}
}

// failingSink is an audit sink whose disk is full.
type failingSink struct{ audit.Memory }

func (*failingSink) Write([]byte) error { return fmt.Errorf("no space left on device") }

func TestThreat36_WhatCantBeWrittenDownIsNotDone(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec, sinks: []audit.Sink{&failingSink{}}})
	token := d.token(alice())
	d.post(token, call("get_forecast", "{}")) // the first that can't be written
	deadline := time.Now().Add(5 * time.Second)
	for d.audit.Ready() == nil && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	before := reached(rec)
	a := d.post(token, call("get_forecast", "{}"))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || reached(rec) != before {
		t.Errorf("%d %v, %d requests came through", a.status, a.header, reached(rec)-before)
	}
}

func TestThreat36_AClientThatReadsNothingIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	d := openDoor(t, settings{
		config: func(g *gateway.Config) { g.BodyTimeout = 200 * time.Millisecond },
		behind: &recorder{answer: func(w http.ResponseWriter, r *http.Request) {
			defer close(released)
			w.Header().Set("Content-Type", "text/event-stream")
			block := []byte("data: " + strings.Repeat("x", 64<<10) + "\n\n")
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}},
	})
	body := call("get_forecast", "{}")
	conn := must(net.Dial("tcp", strings.TrimPrefix(d.url, "http://")))
	defer conn.Close()
	fmt.Fprintf(conn, "POST /weather/mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		strings.TrimPrefix(d.url, "http://"), d.token(alice()), len(body), body)
	select {
	case <-released:
	case <-time.After(10 * time.Second):
		t.Error("the server behind still writes for a client that reads nothing")
	}
}

func TestThreat36_AClientThatSendsNothingIsGivenUp(t *testing.T) {
	d := openDoor(t, settings{behind: &recorder{}, config: func(g *gateway.Config) { g.BodyTimeout = 200 * time.Millisecond }})
	out := d.raw("POST /weather/mcp HTTP/1.1\r\nHost: " + strings.TrimPrefix(d.url, "http://") + "\r\nAuthorization: Bearer " + d.token(alice()) +
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\"")
	if !strings.HasPrefix(out, "HTTP/1.1 408") {
		t.Error(out)
	}
}

func TestAStreamEndsWhenItsSessionDoes(t *testing.T) {
	d := openDoor(t, settings{config: func(g *gateway.Config) { g.Recheck = 50 * time.Millisecond }, behind: &recorder{answer: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}}})
	tokens := d.tokens(alice())
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := d.request("", call("get_forecast", "{}"))
		r.Method = method
		resp, err := d.client(tokens.Access.Reveal()).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if method == http.MethodPost {
			if err := d.grants.End(t.Context(), tokens.GrantID); err != nil {
				t.Fatal(err)
			}
		}
		if method == http.MethodPost {
			_, _ = io.Copy(io.Discard, resp.Body) // ends, or the test never does
		}
	}
}
