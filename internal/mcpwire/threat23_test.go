package mcpwire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

func call(arguments string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":` + arguments + `}}`
}

func TestThreat23_BodiesThatParsersReadDifferentlyAreRefused(t *testing.T) {
	const parseError, invalid = mcpwire.CodeParse, mcpwire.CodeInvalidRequest
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for name, test := range map[string]struct {
		body  string
		code  int
		words string
	}{
		"batch":                    {"[" + ping + "]", invalid, "send each message as a request of its own"},
		"batch of nothing":         {"[]", invalid, "batch"},
		"batch behind space":       {"\n\t [" + ping, invalid, "2025-03-26 only"},
		"deep arrays":              {call(`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), invalid, "deeper than 64"},
		"deep objects":             {call(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)), invalid, "deeper than 64"},
		"deep and never closed":    {strings.Repeat(`{"a":`, 100000), invalid, "deeper than 64"},
		"a number beyond float":    {call(`{"a":1e400}`), invalid, "no program can hold"},
		"a number below float":     {call(`{"a":1e-400}`), invalid, "no program can hold"},
		"an exponent of many":      {call(`{"a":1e` + strings.Repeat("9", 100) + `}`), invalid, "no program can hold"},
		"a number of many digits":  {call(`{"a":` + strings.Repeat("9", 100000) + `}`), invalid, "more than 128 characters"},
		"many digits behind a dot": {call(`{"a":0.` + strings.Repeat("9", 100000) + `}`), invalid, "more than 128 characters"},
		"byte order mark":          {"\xef\xbb\xbf" + ping, parseError, "byte order mark"},
		"UTF-16":                   {"\xff\xfe{\x00}\x00", parseError, "not UTF-8"},
		"invalid UTF-8 in a text":  {call("{\"a\":\"\xff\"}"), parseError, "not UTF-8"},
		"invalid UTF-8 in a key":   {call("{\"\xc0\xaf\":1}"), parseError, "not UTF-8"},
		"overlong":                 {call("{\"a\":\"\xc0\x80\"}"), parseError, "not UTF-8"},
		"a surrogate in UTF-8":     {call("{\"a\":\"\xed\xa0\x80\"}"), parseError, "not UTF-8"},
		"NUL behind the message":   {ping + "\x00", parseError, "something behind the message"},
		"NUL before the message":   {"\x00" + ping, parseError, "ends too early"},
		"two messages":             {ping + ping, parseError, "something behind the message"},
		"two lines":                {ping + "\n" + ping, parseError, "something behind the message"},
		"a closing brace too many": {ping + "}", parseError, "something behind the message"},
		"vertical tab as space":    {"\v" + ping, parseError, "where a value is expected"},
		"no-break space":           {"\u00a0" + ping, parseError, "where a value is expected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpwire.Read(strings.NewReader(test.body), mcpwire.Limits{})
			refusedWith(t, err, test.code, http.StatusBadRequest, test.words)
		})
	}
}

func TestThreat23_LimitsHold(t *testing.T) {
	limits := mcpwire.Limits{Bytes: 100, Depth: 3}
	exact := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"b":"` + strings.Repeat("x", 36) + `"}}}`
	if len(exact) != 100 {
		t.Fatalf("the body has %d bytes", len(exact))
	}
	if _, err := mcpwire.Read(strings.NewReader(exact), limits); err != nil {
		t.Errorf("a body at the limits is refused: %v", err)
	}
	for name, read := range map[string]func(string) error{
		"Read":  func(s string) error { _, err := mcpwire.Read(strings.NewReader(s), limits); return err },
		"Parse": func(s string) error { _, err := mcpwire.Parse([]byte(s), limits); return err },
	} {
		t.Run(name, func(t *testing.T) {
			refusedWith(t, read(exact+" "), mcpwire.CodeInvalidRequest, http.StatusRequestEntityTooLarge, "larger than 100 bytes")
			refusedWith(t, read(`{"params":{"a":{"b":[]}}}`), mcpwire.CodeInvalidRequest, http.StatusBadRequest, "deeper than 3")
		})
	}
	endless := mcpwire.Limits{}
	_, err := mcpwire.Read(zeros{}, endless)
	refusedWith(t, err, mcpwire.CodeInvalidRequest, http.StatusRequestEntityTooLarge, "larger than 4194304 bytes")
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

const modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestThreat23_HeadersThatSayAnythingElseThanTheBodyAreRefused(t *testing.T) {
	const mismatch, params, version = mcpwire.CodeHeaderMismatch, mcpwire.CodeInvalidParams, mcpwire.CodeUnsupportedVersion
	named := func(method, member, name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"` + member + `":"` + name +
			`","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	}
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	old := call(`{}`)
	const v, m, n = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
	for name, test := range map[string]struct {
		body    string
		headers http.Header
		code    int
		words   string
	}{
		"method differs":             {modernCall, headers(v, "2026-07-28", m, "tools/list", n, "get_forecast"), mismatch, "Mcp-Method says"},
		"method in another case":     {modernCall, headers(v, "2026-07-28", m, "Tools/Call", n, "get_forecast"), mismatch, "Mcp-Method says"},
		"method empty":               {modernCall, headers(v, "2026-07-28", m, "", n, "get_forecast"), mismatch, "Mcp-Method says"},
		"method missing":             {modernCall, headers(v, "2026-07-28", n, "get_forecast"), mismatch, "Mcp-Method is missing"},
		"method twice":               {modernCall, headers(v, "2026-07-28", m, "tools/call", m, "tools/list", n, "get_forecast"), mismatch, "2 times"},
		"name differs":               {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "set_alert"), mismatch, "Mcp-Name says"},
		"name in another case":       {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "Get_Forecast"), mismatch, "Mcp-Name says"},
		"name missing":               {modernCall, headers(v, "2026-07-28", m, "tools/call"), mismatch, `Mcp-Name is missing: send "get_forecast"`},
		"name empty":                 {modernCall, headers(v, "2026-07-28", m, "tools/call", n, ""), mismatch, "Mcp-Name says"},
		"name twice":                 {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", n, "get_forecast"), mismatch, "2 times"},
		"name encoded, differs":      {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "=?base64?c2V0X2FsZXJ0?="), mismatch, "Mcp-Name says"},
		"name in broken Base64":      {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "=?base64?!?="), mismatch, "isn't Base64"},
		"name in loose Base64":       {named("tools/call", "name", "a"), headers(v, "2026-07-28", m, "tools/call", n, "=?base64?YR==?="), mismatch, "isn't Base64"},
		"name marked in upper case":  {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "=?BASE64?Z2V0X2ZvcmVjYXN0?="), mismatch, "Mcp-Name says"},
		"name beyond ASCII":          {named("tools/call", "name", "wetter_für"), headers(v, "2026-07-28", m, "tools/call", n, "wetter_für"), mismatch, "characters"},
		"prompt differs":             {named("prompts/get", "name", "a"), headers(v, "2026-07-28", m, "prompts/get", n, "b"), mismatch, "Mcp-Name says"},
		"address differs":            {named("resources/read", "uri", "a://b"), headers(v, "2026-07-28", m, "resources/read", n, "a://c"), mismatch, "Mcp-Name says"},
		"name where there is none":   {list, headers(v, "2026-07-28", m, "tools/list", n, "set_alert"), mismatch, "names nothing"},
		"version differs":            {modernCall, headers(v, "2025-11-25", m, "tools/call", n, "get_forecast"), mismatch, "MCP-Protocol-Version says"},
		"version missing":            {modernCall, headers(m, "tools/call", n, "get_forecast"), mismatch, "MCP-Protocol-Version is missing"},
		"version twice":              {modernCall, headers(v, "2026-07-28", v, "2025-11-25"), mismatch, "2 times"},
		"version only in the header": {old, headers(v, "2026-07-28", m, "tools/call", n, "x"), params, "is missing"},
		"version not a text":         {`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}}`, headers(v, "7", m, "ping"), params, "is not a string"},
		"version nobody knows":       {strings.ReplaceAll(modernCall, "2026-07-28", "2099-01-01"), headers(v, "2099-01-01", m, "tools/call", n, "get_forecast"), version, `"2099-01-01"`},
		"old version nobody knows":   {old, headers(v, "2024-01-01"), version, "data.supported"},
		"old, method differs":        {old, headers(v, "2025-06-18", m, "tools/list"), mismatch, "Mcp-Method says"},
		"old, name differs":          {old, headers(v, "2025-06-18", n, "y"), mismatch, "Mcp-Name says"},
		"no version, name differs":   {old, headers(n, "y"), mismatch, "Mcp-Name says"},
		"old, name of nothing":       {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, headers(n, "y"), mismatch, "names nothing"},
		"an answer":                  {`{"jsonrpc":"2.0","id":1,"result":{}}`, headers(v, "2026-07-28"), mcpwire.CodeInvalidRequest, "inputResponses"},
		"an answer with a method":    {`{"jsonrpc":"2.0","id":1,"result":{}}`, headers(m, "tools/call"), mismatch, "Mcp-Method says"},
		"parameter twice":            {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", "Mcp-Param-City", "a", "Mcp-Param-City", "b"), mismatch, "2 times"},
		"parameter in broken Base64": {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", "Mcp-Param-City", "=?base64?x?="), mismatch, "Mcp-Param-City"},
		"parameter beyond ASCII":     {modernCall, headers(v, "2026-07-28", m, "tools/call", n, "get_forecast", "Mcp-Param-City", "Köln"), mismatch, "Mcp-Param-City"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedWith(t, parse(t, test.body).CheckHeaders(test.headers), test.code, http.StatusBadRequest, test.words)
		})
	}
}
