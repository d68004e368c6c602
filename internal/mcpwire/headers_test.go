package mcpwire_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

func TestHeadersThatSayWhatTheBodySaysAreAccepted(t *testing.T) {
	const v, m, n = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
	for name, test := range map[string]struct {
		body    string
		headers http.Header
	}{
		"since 2026-07-28":        {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", "Mcp-Param-City", "Kyoto")},
		"name encoded needlessly": {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "=?base64?Z2V0X2ZvcmVjYXN0?=")},
		"parameter encoded":       {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", "Mcp-Param-City", "=?base64?S8O2bG4=?=")},
		"before":                  {call(`{}`), headers(v, "2025-11-25")},
		"before, with more":       {call(`{}`), headers(v, "2025-11-25", m, "tools/call", n, "x")},
		"without any":             {call(`{}`), headers()},
		"initialize offers more":  {`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2099-01-01"}}`, headers(v, "2025-06-18")},
		"an answer":               {`{"jsonrpc":"2.0","id":1,"result":{}}`, headers(v, "2025-06-18")},
		"a notification":          {`{"jsonrpc":"2.0","method":"notifications/cancelled"}`, headers(v, "2026-07-28")},
	} {
		if err := parse(t, test.body).CheckHeaders(test.headers); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeadersAreWrittenFromTheBody(t *testing.T) {
	named := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	}
	for name, encoded := range map[string]string{
		"us-west1":           "us-west1",
		"Hello, 世界":          "=?base64?SGVsbG8sIOS4lueVjA==?=",
		" padded ":           "=?base64?IHBhZGRlZCA=?=",
		"=?base64?literal?=": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",
		"=?base64?":          "=?base64?",
	} {
		h := headers("X-Other", "y", "Mcp-Name", "smuggled")
		m := parse(t, named(name))
		m.SetHeaders(h)
		want := headers("X-Other", "y", "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", encoded)
		if diff := cmp.Diff(want, h); diff != "" {
			t.Error(diff)
		}
		if err := m.CheckHeaders(h); err != nil {
			t.Error(err)
		}
	}
	for _, body := range []string{call(`{}`), `{"jsonrpc":"2.0","id":1,"result":{}}`} {
		h := http.Header{}
		if parse(t, body).SetHeaders(h); len(h) != 0 {
			t.Errorf("%s: got %v", body, h)
		}
	}
	h := http.Header{}
	parse(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`).SetHeaders(h)
	if diff := cmp.Diff(headers("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list"), h); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownRevisionIsAnsweredWithTheKnownOnes(t *testing.T) {
	err := parse(t, call(`{}`)).CheckHeaders(headers("MCP-Protocol-Version", "1\"2"))
	refusal, ok := errors.AsType[*mcpwire.Error](err)
	want := `{"supported":["2024-11-05","2025-03-26","2025-06-18","2025-11-25","2026-07-28"],"requested":"1\"2"}`
	if !ok || string(refusal.Data) != want {
		t.Errorf("got %s", refusal.Data)
	}
}
