package mcpwire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// decoded reads JSON with encoding/json, numbers as they are.
func decoded(t *testing.T, body []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json doesn't read what was accepted: %v\n%q", err, body)
	}
	return v
}

// hold holds an accepted body to encoding/json: it is valid, means what was sent, is stable, and says to a
// lenient reader what was authorised.
func hold(t *testing.T, body []byte) {
	t.Helper()
	m, err := mcpwire.Parse(bytes.Clone(body), mcpwire.Limits{})
	if err != nil {
		if _, ok := errors.AsType[*mcpwire.Error](err); !ok {
			t.Fatalf("refused with %T: %v", err, err)
		}
		if refusal, _ := errors.AsType[*mcpwire.Error](err); !json.Valid(refusal.Body()) {
			t.Fatalf("the refusal is no JSON: %q", refusal.Body())
		}
		return
	}
	if !json.Valid(body) || !utf8.Valid(body) {
		t.Fatalf("accepted what is no JSON: %q", body)
	}
	out := bytes.Clone(m.Bytes())
	if diff := cmp.Diff(decoded(t, body), decoded(t, out)); diff != "" {
		t.Fatalf("%q became %q: %s", body, out, diff)
	}
	again, err := mcpwire.Parse(bytes.Clone(out), mcpwire.Limits{})
	if err != nil || !bytes.Equal(again.Bytes(), out) {
		t.Fatalf("%q is not stable: %v", out, err)
	}
	var lenient struct {
		Method string
		ID     json.RawMessage
		Params struct {
			Name, URI string
			Arguments map[string]any
		}
	}
	if err := json.Unmarshal(out, &lenient); err != nil && m.Method() == "tools/call" {
		t.Fatalf("%q: %v", out, err)
	}
	if m.Kind() != mcpwire.Response && lenient.Method != m.Method() || string(lenient.ID) != string(m.ID()) {
		t.Fatalf("%q: a lenient reader sees another method or ID than %q %q", out, m.Method(), m.ID())
	}
	if m.Method() == "tools/call" && lenient.Params.Name != m.Uses()[0].Name {
		t.Fatalf("%q: a lenient reader sees another tool than %v", out, m.Uses())
	}
	holdMeta(t, m, again)
}

// holdMeta sets a member of _meta and holds everything else to what it was.
func holdMeta(t *testing.T, m, before *mcpwire.Message) {
	if m.Kind() == mcpwire.Response {
		return
	}
	m.SetMeta("traceparent", "00-\"1")
	after, err := mcpwire.Parse(bytes.Clone(m.Bytes()), mcpwire.Limits{Bytes: 1 << 30, Depth: 100})
	if err != nil {
		t.Fatalf("after SetMeta: %v: %q", err, m.Bytes())
	}
	for _, message := range []*mcpwire.Message{m, after} {
		if got, _ := message.Meta("traceparent"); string(got) != `"00-\"1"` {
			t.Fatalf("got %s in %q", got, m.Bytes())
		}
		if diff := cmp.Diff(before.Uses(), message.Uses()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before.Arguments(), message.Arguments()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		modernCall,
		`{"jsonrpc":"2.0","id":"a\u0041","method":"tools/call","params":{"name":"\ud83d\ude00","arguments":{"a":[1,-0.0,1e5,null,true,{"b":"\\\"\/\b\f\n\r\t\u0001"}]},"_meta":{"traceparent":"x"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a"]}}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		"\xef\xbb\xbf{}", `{"a":1,"A":2}`, `{"k":1,"` + "\u212a" + `":2}`, `{"id":1e999}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(hold)
}

// FuzzValue gives the fuzzer the inside of the arguments, where any JSON may stand.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{`1`, `"\u00e9"`, `[[],{},[{"a":[]}]]`, `{"a":1,"b":{"a":2}}`, `-0.5E-7`, `"\ud83d\ude00 \u2028"`, ` [ 1 , 2 ] `, "\"\x7f\"",
		`{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"b":0,"c":0,"d":0,"D":0}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		hold(t, []byte(call(`{"v":`+string(value)+`}`)))
	})
}

// FuzzFilter: whatever the server behind sends, no client reads a hidden name out of it, and what it sends in
// pieces comes out the same.
func FuzzFilter(f *testing.F) {
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"hidden"}],"ttlMs":1}}`
	for _, seed := range []string{
		"data: " + list + "\n\n", ": c\r\nid: 1\r\ndata: " + list + "\r\n\r\n", "data: " + list, "\xef\xbb\xbfdata:" + list + "\r\r",
		"data: [" + list + "]\n\n", "event: endpoint\ndata: /x\n\n",
		"data: {\"result\":{\"tools\":[\ndata: {\"name\":\"hidden\"}]}}\n\n",
		"data: {\"Result\":{\"resources\":[{\"URI\":\"hidden\"}]}}\rx\n\n",
		`data: {"result":{"prompts":[{"name":"x","name":"hidden"}],"cacheScope":"public"}}` + "\n\n",
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, stream string, piece int) {
		whole := through(t, &mcpwire.Filter{Visible: public}, stream, 0)
		for _, data := range readings(whole) {
			if showsHidden([]byte(data)) {
				t.Fatalf("a client reads it out of %q", whole)
			}
		}
		split := through(t, &mcpwire.Filter{Visible: public}, stream, 1+piece&7)
		if diff := cmp.Diff(messages(whole), messages(split)); diff != "" {
			t.Fatalf("%q in pieces: %s", stream, diff)
		}
		if body, err := (&mcpwire.Filter{Visible: public}).JSON([]byte(stream)); err == nil {
			if showsHidden(body) {
				t.Fatalf("a client reads it out of %q", body)
			}
			if len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
				t.Fatalf("%q became %q", stream, body)
			}
		}
	})
}

// messages are the events of a stream by the letter.
func messages(stream string) []string {
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	return eventsOf(stream, false)
}

// FuzzEvents: a stream without anything to filter keeps its events.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\r\ndata\r\rid: 1\n\n: x\n\ndata:  b\n\nnew: field\ndata: c\n\n", 2)
	f.Add("\xef\xbb\xbfdata: a\n\n", 1)
	f.Fuzz(func(t *testing.T, stream string, piece int) {
		pass := func(mcpwire.Event) (mcpwire.Verdict, []byte) { return mcpwire.Pass, nil }
		source := &pieces{strings.NewReader(stream), 1 + piece&15}
		got, err := io.ReadAll(mcpwire.EditEvents(io.NopCloser(source), 0, pass))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(messages(strings.TrimPrefix(stream, "\xef\xbb\xbf")), messages(string(got))); diff != "" {
			t.Fatalf("%q became %q: %s", stream, got, diff)
		}
	})
}
