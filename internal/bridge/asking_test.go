package bridge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

const helloWith = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":%s},"clientInfo":{"name":"t","version":"1"}}}`

// opened is a client that is connected and whose sign-in has then ended, on a machine without a browser.
func opened(t *testing.T, p *provider, m *machine, elicitation string) *wire {
	t.Helper()
	_ = m.session(t, p.URL+"/mcp", nil).Close() // signed in once, with a browser
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.DeviceCode = true }
	w := m.wire(t, p.URL+"/mcp")
	w.say(fmt.Sprintf(helloWith, elicitation))
	w.answer("1")
	w.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	w.say(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	w.answer("2")
	p.set(func() { p.device, p.rejectRefresh = true, true })
	p.forgetAccess()
	w.say(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"get_forecast","arguments":{"city":"Kyoto"}}}`)
	return w
}

// until reads messages up to one with this method.
func (w *wire) until(method string) map[string]any {
	w.t.Helper()
	for {
		if message := w.next(); message["method"] == method {
			return message
		}
	}
}

func TestCodeIsShownAsAnElicitationWhereTheClientCan(t *testing.T) {
	tests := map[string]struct{ capability, field string }{
		"by address": {`{"url":{}}`, "url"},
		"as a form":  {`{}`, "message"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, m := newProvider(t), newMachine(t)
			w := opened(t, p, m, tt.capability)
			asked := w.until("elicitation/create")
			params, _ := asked["params"].(map[string]any)
			if text, _ := params[tt.field].(string); !strings.Contains(text, p.URL+"/enter") {
				t.Errorf("the address is not in %v", params)
			}
			if text, _ := params["message"].(string); !strings.Contains(text, "ABCD-EFGH") {
				t.Errorf("the code is not in %v", params)
			}
			w.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"accept","content":{}}}`, asked["id"]))
			p.set(func() { p.approve = true })
			if answer := w.answer("3"); answer["result"] == nil {
				t.Errorf("got %v", answer)
			}
			m.wantClean(t, p.allSecrets())
		})
	}
}

func TestDecliningTheElicitationEndsTheSignIn(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	w := opened(t, p, m, `{"url":{}}`)
	asked := w.until("elicitation/create")
	w.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"decline"}}`, asked["id"]))
	if text := errorOf(w.answer("3")); !strings.Contains(text, "the sign-in was declined") {
		t.Errorf("got %q", text)
	}
}

func TestWithoutElicitationTheClientGetsALogMessage(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	_ = m.session(t, p.URL+"/mcp", nil).Close()
	p.set(func() { p.device, p.approve, p.rejectRefresh = true, true, true })
	p.forgetAccess()
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.DeviceCode = true }
	w := m.wire(t, p.URL+"/mcp")
	w.say(hello)
	params, _ := w.until("notifications/message")["params"].(map[string]any)
	if text, _ := params["data"].(string); !strings.Contains(text, "ABCD-EFGH") || !strings.Contains(text, p.URL+"/enter") {
		t.Errorf("got %v", params)
	}
	if w.answer("1")["result"] == nil {
		t.Error("initialize was not answered")
	}
}

// A bridge that was just started has not seen the tools: it asks for them when the server misses their headers.
func TestMissingParameterHeadersAreLearntAndSent(t *testing.T) {
	var lists, calls atomic.Int32
	m := newMachine(t)
	w := m.wire(t, silly(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Mcp-Method") {
		case "tools/list":
			lists.Add(1)
			reply(w, 200, map[string]any{"jsonrpc": "2.0", "id": "genkan-tools", "result": map[string]any{"tools": []any{map[string]any{
				"name": "query", "inputSchema": map[string]any{"type": "object", "properties": map[string]any{
					"region": map[string]any{"type": "string", "x-mcp-header": "Region"},
				}},
			}}}})
		case "tools/call":
			calls.Add(1)
			if r.Header.Get("Mcp-Param-Region") != "=?base64?5p2x5Lqs?=" {
				reply(w, 400, map[string]any{"jsonrpc": "2.0", "id": 1, "error": map[string]any{"code": -32020, "message": "header mismatch"}})
				return
			}
			reply(w, 200, map[string]any{"jsonrpc": "2.0", "id": 1, "result": map[string]any{}})
		}
	}))
	w.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"region":"東京"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	if answer := w.answer("1"); answer["result"] == nil {
		t.Errorf("got %v", answer)
	}
	if diff := cmp.Diff([]int32{1, 2}, []int32{lists.Load(), calls.Load()}); diff != "" {
		t.Error(diff)
	}
}

// Whatever a server streams, the client gets whole messages, one a line, and its answer.
func FuzzStreamOfTheServer(f *testing.F) {
	for _, seed := range []string{
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n", "data\ndata:\r\n\r\n", "id: 1\nretry: 1\ndata: {}\n\n", ":\n\n",
		"data: [{\"a\":1}]\n\n", "data: {\"a\":\ndata: 1}\r\rdata: {}\n\n", "event: endpoint\ndata: /x\n\n", "data: \xff\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		if strings.Contains(stream, "retry") || strings.Contains(stream, "id") {
			return // a stream with IDs is resumed, which takes its time
		}
		m := newMachine(t)
		r := m.run(t, silly(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, stream+"\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		}))
		_, _ = fmt.Fprintln(r.in, hello)
		out := bufio.NewReader(r.out)
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatalf("%q: no answer came: %v", stream, err)
			}
			if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
				t.Fatalf("%q became the line %q", stream, line)
			}
			if strings.Contains(line, `"id":1`) {
				return
			}
		}
	})
}
