package mcpwire_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

func parse(t testing.TB, body string) *mcpwire.Message {
	t.Helper()
	m, err := mcpwire.Parse([]byte(body), mcpwire.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m
}

// refusedWith wants a refusal with a code and a status, whose message has the words.
func refusedWith(t testing.TB, err error, code, status int, words string) {
	t.Helper()
	var refusal *mcpwire.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refusal.Code != code || refusal.Status != status || !strings.Contains(refusal.Message, words) {
		t.Errorf("got %d %d %q, want %d %d %q", refusal.Code, refusal.Status, refusal.Message, code, status, words)
	}
	var answer struct {
		JSONRPC string
		ID      any
		Error   struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal(refusal.Body(), &answer); err != nil || answer.JSONRPC != "2.0" || answer.Error.Code != code || answer.Error.Message != refusal.Message {
		t.Errorf("the answer is %s (%v)", refusal.Body(), err)
	}
}

func TestAMessageIsReadAndWrittenAgain(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
		kind       mcpwire.Kind
		method     string
		id         mcpwire.ID
		uses       []mcpwire.Use
	}{
		"tool": {
			body:   " { \"params\" : {\"arguments\":{ \"b\" : [ 1 , 2.50 , -0 , 1E2 , true , null ] , \"a\":\"\\u00e9\\/\\ud83d\\ude00\\u000a\\u0022\\u001f\" } ,\n\"name\":\"get_\\u0066orecast\"},\t\"method\":\"tools\\/call\",\"id\":7,\r\"jsonrpc\":\"2.0\" } ",
			want:   `{"params":{"arguments":{"b":[1,2.50,-0,1E2,true,null],"a":"é/😀\n\"\u001f"},"name":"get_forecast"},"method":"tools/call","id":7,"jsonrpc":"2.0"}`,
			kind:   mcpwire.Request,
			method: "tools/call", id: "7", uses: []mcpwire.Use{{Thing: mcpwire.Tool, Name: "get_forecast"}},
		},
		"prompt": {
			body: `{"jsonrpc":"2.0","id":"a\u002fb","method":"prompts/get","params":{"name":"brief"}}`,
			want: `{"jsonrpc":"2.0","id":"a/b","method":"prompts/get","params":{"name":"brief"}}`,
			kind: mcpwire.Request, method: "prompts/get", id: `"a/b"`, uses: []mcpwire.Use{{Thing: mcpwire.Prompt, Name: "brief"}},
		},
		"resource":     {body: `{"jsonrpc":"2.0","id":-1,"method":"resources/read","params":{"uri":"a://b"}}`, kind: mcpwire.Request, method: "resources/read", id: "-1", uses: []mcpwire.Use{{Thing: mcpwire.Resource, Name: "a://b"}}},
		"subscription": {body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://b"}}`, kind: mcpwire.Request, method: "resources/subscribe", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Resource, Name: "a://b"}}},
		"subscription by a method that is gone": {body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
			kind: mcpwire.Request, method: "resources/subscribe", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Method, Name: "resources/subscribe"}}},
		"subscription by a method that is gone, to a resource": {body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://b","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
			kind: mcpwire.Request, method: "resources/subscribe", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Resource, Name: "a://b"}}},
		"listen": {body: `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b","a://c"]}}}`,
			kind: mcpwire.Request, method: "subscriptions/listen", id: "1",
			uses: []mcpwire.Use{{Thing: mcpwire.Method, Name: "subscriptions/listen"}, {Thing: mcpwire.Resource, Name: "a://b"}, {Thing: mcpwire.Resource, Name: "a://c"}}},
		"completion of a prompt": {body: `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"brief","title":"x"},"argument":{}}}`,
			kind: mcpwire.Request, method: "completion/complete", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Prompt, Name: "brief"}}},
		"completion of a resource": {body: `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a://{b}"}}}`,
			kind: mcpwire.Request, method: "completion/complete", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Resource, Name: "a://{b}"}}},
		"no params":    {body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, kind: mcpwire.Request, method: "ping", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Method, Name: "ping"}}},
		"notification": {body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`, kind: mcpwire.Notification, method: "notifications/initialized", uses: []mcpwire.Use{{Thing: mcpwire.Method, Name: "notifications/initialized"}}},
		"a call nobody waits for": {body: `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}`, kind: mcpwire.Notification, method: "tools/call",
			uses: []mcpwire.Use{{Thing: mcpwire.Tool, Name: "x"}}},
		"result":         {body: `{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{}}}`, kind: mcpwire.Response, id: "1"},
		"error":          {body: `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}`, kind: mcpwire.Response, id: "1"},
		"null arguments": {body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":null}}`, kind: mcpwire.Request, method: "tools/call", id: "1", uses: []mcpwire.Use{{Thing: mcpwire.Tool, Name: "x"}}},
		"unknown members": {body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","x":{},"params":{"name":"x","more":[{}]}}`, kind: mcpwire.Request, method: "tools/call", id: "1",
			uses: []mcpwire.Use{{Thing: mcpwire.Tool, Name: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := test.want
			if want == "" {
				want = test.body
			}
			m := parse(t, test.body)
			if diff := cmp.Diff(want, string(m.Bytes())); diff != "" {
				t.Error(diff)
			}
			if m.Kind() != test.kind || m.Method() != test.method || m.ID() != test.id {
				t.Errorf("got %v %q %q", m.Kind(), m.Method(), m.ID())
			}
			if diff := cmp.Diff(test.uses, m.Uses()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestArgumentsAreDecodedForTheDecision(t *testing.T) {
	m := parse(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"v":[1,{"w":2}]},"name":"x","arguments":{
		"whole":9007199254740993,"big":18446744073709551616,"part":0.5,"power":1e2,"list":[1,{"deep":-3}],"text":"é","none":null,"yes":true}}}`)
	want := map[string]any{
		"whole": int64(9007199254740993), "big": 18446744073709551616.0, "part": 0.5, "power": 100.0,
		"list": []any{int64(1), map[string]any{"deep": int64(-3)}}, "text": "é", "none": nil, "yes": true,
	}
	if diff := cmp.Diff(want, m.Arguments()); diff != "" {
		t.Error(diff)
	}
	if raw, ok := m.Meta("v"); !ok || string(raw) != `[1,{"w":2}]` {
		t.Errorf("got %s", raw)
	}
	if raw, ok := m.Param("name"); !ok || string(raw) != `"x"` {
		t.Errorf("got %s", raw)
	}
	if _, ok := m.Param("cursor"); ok {
		t.Error("there is no cursor")
	}
	if got := parse(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`).Arguments(); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsWrongWithAMessageIsSaid(t *testing.T) {
	const parseError, invalid, params = mcpwire.CodeParse, mcpwire.CodeInvalidRequest, mcpwire.CodeInvalidParams
	for name, test := range map[string]struct {
		body  string
		code  int
		words string
	}{
		"empty":                  {"", parseError, "is empty"},
		"space":                  {" \n", parseError, "is empty"},
		"no JSON":                {"hello", parseError, "where a value is expected"},
		"another value":          {`"hello"`, invalid, "is not an object"},
		"cut":                    {`{"jsonrpc":"2.0"`, parseError, "comma"},
		"cut in a text":          {`{"jsonrpc":"2.`, parseError, "middle of a string"},
		"cut in an escape":       {`{"jsonrpc\`, parseError, "middle of a string"},
		"no colon":               {`{"jsonrpc" "2.0"}`, parseError, "no colon"},
		"a comma too many":       {`{"jsonrpc":"2.0",}`, parseError, "where a key is expected"},
		"a comma in an array":    {`{"a":[1,]}`, parseError, "where a value is expected"},
		"no comma":               {`{"a":1 "b":2}`, parseError, "comma"},
		"no comma in an array":   {`{"a":[1 2]}`, parseError, "comma"},
		"single quotes":          {`{'a':1}`, parseError, "where a key is expected"},
		"comment":                {`{/**/"a":1}`, parseError, "where a key is expected"},
		"word":                   {`{"a":nul}`, parseError, "not true, false or null"},
		"NaN":                    {`{"a":NaN}`, parseError, "where a value is expected"},
		"leading zero":           {`{"a":01}`, parseError, "number"},
		"plus":                   {`{"a":+1}`, parseError, "where a value is expected"},
		"bare minus":             {`{"a":-}`, parseError, "number"},
		"no fraction":            {`{"a":1.}`, parseError, "number"},
		"no exponent":            {`{"a":1e}`, parseError, "number"},
		"unknown escape":         {`{"a":"\x41"}`, parseError, "escape"},
		"short escape":           {`{"a":"\u00"}`, parseError, "escape"},
		"escape without hex":     {`{"a":"\u00g0"}`, parseError, "escape"},
		"half a pair":            {`{"a":"\ud800"}`, invalid, "surrogate"},
		"half a pair and a text": {`{"a":"\ud800\u0041"}`, invalid, "surrogate"},
		"the other half":         {`{"a":"\udc00"}`, invalid, "surrogate"},
		"line break in a text":   {"{\"a\":\"\n\"}", parseError, "control character"},
		"no version":             {`{"id":1,"method":"ping"}`, invalid, `no "jsonrpc":"2.0"`},
		"another version":        {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, invalid, `another "jsonrpc"`},
		"version as number":      {`{"jsonrpc":2.0,"id":1,"method":"ping"}`, invalid, `another "jsonrpc"`},
		"nothing":                {`{"jsonrpc":"2.0"}`, invalid, "no method"},
		"null ID":                {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, invalid, "neither a string nor a whole number"},
		"fraction as ID":         {`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, invalid, "neither a string nor a whole number"},
		"power as ID":            {`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, invalid, "neither a string nor a whole number"},
		"object as ID":           {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, invalid, "neither a string nor a whole number"},
		"long ID":                {`{"jsonrpc":"2.0","id":"` + strings.Repeat("a", 600) + `","method":"ping"}`, invalid, "more than 512 bytes"},
		"method as number":       {`{"jsonrpc":"2.0","id":1,"method":1}`, invalid, "not the name"},
		"empty method":           {`{"jsonrpc":"2.0","id":1,"method":""}`, invalid, "not the name"},
		"method with a space":    {`{"jsonrpc":"2.0","id":1,"method":"tools/call "}`, invalid, "not the name"},
		"method beyond ASCII":    {`{"jsonrpc":"2.0","id":1,"method":"töols/call"}`, invalid, "not the name"},
		"long method":            {`{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("a", 300) + `"}`, invalid, "not the name"},
		"params as array":        {`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, invalid, `"params" that are not an object`},
		"params as null":         {`{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, invalid, `"params" that are not an object`},
		"arguments as array":     {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}`, invalid, `"arguments"`},
		"arguments as text":      {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":"{}"}}`, invalid, `"arguments"`},
		"_meta as text":          {`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":""}}`, invalid, `"_meta"`},
		"no name":                {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, params, "params.name is missing: name the tool"},
		"no params":              {`{"jsonrpc":"2.0","id":1,"method":"prompts/get"}`, params, "params.name is missing: name the prompt"},
		"empty name":             {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}`, params, "missing"},
		"name as list":           {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["x"]}}`, params, "not a string"},
		"NUL in a name":          {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_x\u0000"}}`, params, "control characters"},
		"no address":             {`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"x"}}`, params, "params.uri is missing: name the resource"},
		"no reference":           {`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{}}`, params, "params.ref.type"},
		"odd reference":          {`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/tool","name":"x"}}}`, params, "params.ref.type"},
		"reference without name": {`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt"}}}`, params, "params.ref.name is missing"},
		"subscriptions as text":  {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a://b"}}}`, invalid, "list of addresses"},
		"subscriptions of null":  {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[null]}}}`, invalid, "list of addresses"},
		"an empty subscription":  {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[""]}}}`, params, "resourceSubscriptions is missing"},
		"request and response":   {`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, invalid, "request and a response"},
		"request and error":      {`{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}`, invalid, "request and a response"},
		"result and error":       {`{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, invalid, "result and an error"},
		"response without ID":    {`{"jsonrpc":"2.0","result":{}}`, invalid, "without an id"},
		"response with params":   {`{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, invalid, "with params"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpwire.Read(strings.NewReader(test.body), mcpwire.Limits{})
			refusedWith(t, err, test.code, http.StatusBadRequest, test.words)
		})
	}
}

func TestARefusalNamesTheRequestWhenItsIDWasRead(t *testing.T) {
	_, err := mcpwire.Parse([]byte(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{}}`), mcpwire.Limits{})
	want := `{"jsonrpc":"2.0","id":"x","error":{"code":-32602,"message":"params.name is missing: name the tool"}}`
	if refusal, ok := errors.AsType[*mcpwire.Error](err); !ok || string(refusal.Body()) != want {
		t.Errorf("got %v", err)
	}
	e := mcpwire.Error{Code: -1, Message: "é\n\"", Data: json.RawMessage(`{"a":1}`)}
	if got, want := string(e.Body()), `{"jsonrpc":"2.0","error":{"code":-1,"message":"é\n\"","data":{"a":1}}}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestAReaderThatFailsIsNoRefusal(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := mcpwire.Read(io.MultiReader(strings.NewReader(`{"jsonrpc":`), iotest.ErrReader(broken)), mcpwire.Limits{})
	if _, ok := errors.AsType[*mcpwire.Error](err); ok || !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = mcpwire.Read(iotest.ErrReader(&http.MaxBytesError{Limit: 7}), mcpwire.Limits{})
	refusedWith(t, err, mcpwire.CodeInvalidRequest, http.StatusRequestEntityTooLarge, "7 bytes")
	slow := iotest.OneByteReader(strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if m, err := mcpwire.Read(slow, mcpwire.Limits{}); err != nil || m.Method() != "ping" {
		t.Errorf("got %v", err)
	}
}

func TestSetMetaKeepsEverythingElse(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":      `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		"empty params": `{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`,
		"params":       `{"jsonrpc":"2.0","id":1,"params":{"name":"x","arguments":{"a":[1]}},"method":"tools/call"}`,
		"empty meta":   `{"jsonrpc":"2.0","id":1,"params":{"name":"x","_meta":{},"arguments":{"a":[1]}},"method":"tools/call"}`,
		"meta":         `{"jsonrpc":"2.0","id":1,"params":{"_meta":{"a":{"b":1},"traceparent":"old","c":2},"name":"x","arguments":{"a":[1]}},"method":"tools/call"}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, body)
			before := m.Arguments()
			m.SetMeta("traceparent", "00-1")
			m.SetMeta("tracestate", "a=\"b\"")
			m.SetMeta("traceparent", "00-22")
			again := parse(t, string(m.Bytes()))
			for key, want := range map[string]string{"traceparent": `"00-22"`, "tracestate": `"a=\"b\""`} {
				for _, message := range []*mcpwire.Message{m, again} {
					if got, _ := message.Meta(key); string(got) != want {
						t.Errorf("%s: got %s in %s", key, got, message.Bytes())
					}
				}
			}
			if diff := cmp.Diff(before, m.Arguments()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(m.Uses(), again.Uses()); diff != "" {
				t.Error(diff)
			}
			if name, there := m.Param("name"); there && string(name) != `"x"` {
				t.Errorf("got %s", name)
			}
			if name == "meta" {
				if c, _ := m.Meta("c"); string(c) != "2" {
					t.Errorf("got %s", c)
				}
			}
		})
	}
	answer := parse(t, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	if answer.SetMeta("a", "b"); string(answer.Bytes()) != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("got %s", answer.Bytes())
	}
}

func TestProtocolVersion(t *testing.T) {
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`:                                                                                   "",
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}`:                                   "2025-03-26",
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"protocolVersion":"2025-03-26"}}`:                                         "",
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`:       "2026-07-28",
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol\/protocolVersion":"2026-07\u002d28"}}}`: "2026-07-28",
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}`:                  "",
	} {
		if got := parse(t, body).ProtocolVersion(); got != want {
			t.Errorf("%s: got %q", body, got)
		}
	}
}
