package mcpwire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// public lets pass what isn't hidden.
func public(u mcpwire.Use) bool { return !strings.Contains(u.Name, "hidden") }

// answering is a filter for a client that asked for these methods with the IDs 1, 2, 3 ...
func answering(methods ...string) *mcpwire.Filter {
	return &mcpwire.Filter{Visible: public, Method: func(id mcpwire.ID) string {
		if n := int(id[0] - '1'); len(id) == 1 && n >= 0 && n < len(methods) {
			return methods[n]
		}
		return ""
	}}
}

func TestListsLoseWhatMayNotBeSeen(t *testing.T) {
	for name, test := range map[string]struct{ method, body, want string }{
		"tools": {"tools/list",
			`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"properties":{"x":{"type":"number"},"X":{}}}},{"name":"hidden"},{"name":"c"}],"nextCursor":"n"}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"properties":{"x":{"type":"number"},"X":{}}}},{"name":"c"}],"nextCursor":"n"}}`},
		"the first":  {"tools/list", `{"id":1,"result":{"tools":[{"name":"hidden"},{"name":"c"}]}}`, `{"id":1,"result":{"tools":[{"name":"c"}]}}`},
		"the last":   {"tools/list", `{"id":1,"result":{"tools":[{"name":"a"},{"name":"hidden"}]}}`, `{"id":1,"result":{"tools":[{"name":"a"}]}}`},
		"all":        {"tools/list", `{"id":1,"result":{"tools":[{"name":"hidden"},{"name":"hidden2"}]}}`, `{"id":1,"result":{"tools":[]}}`},
		"none":       {"tools/list", `{"id":1,"result":{"tools":[]}}`, `{"id":1,"result":{"tools":[]}}`},
		"numbers":    {"tools/list", `{"id":1,"result":{"tools":[{"name":"a","x":[1,22,1.50e3]},{"name":"hidden"}]}}`, `{"id":1,"result":{"tools":[{"name":"a","x":[1,22,1.50e3]}]}}`},
		"prompts":    {"prompts/list", `{"id":1,"result":{"prompts":[{"name":"hidden"},{"name":"p"}]}}`, `{"id":1,"result":{"prompts":[{"name":"p"}]}}`},
		"resources":  {"resources/list", `{"id":1,"result":{"resources":[{"uri":"a://hidden","name":"n"},{"uri":"a://b","name":"hidden"}]}}`, `{"id":1,"result":{"resources":[{"uri":"a://b","name":"hidden"}]}}`},
		"templates":  {"resources/templates/list", `{"id":1,"result":{"resourceTemplates":[{"uriTemplate":"a://hidden/{x}"},{"uriTemplate":"a://{x}"}]}}`, `{"id":1,"result":{"resourceTemplates":[{"uriTemplate":"a://{x}"}]}}`},
		"ID behind":  {"tools/list", `{"result":{"tools":[{"name":"hidden"}]},"id":1}`, `{"result":{"tools":[]},"id":1}`},
		"error":      {"tools/list", `{"id":1,"error":{"code":1,"message":"tools"}}`, `{"id":1,"error":{"code":1,"message":"tools"}}`},
		"no result":  {"tools/list", `{"id":1}`, `{"id":1}`},
		"empty body": {"tools/list", "", ""},
		"not asked":  {"tools/call", `{"id":1, "result":{"content":[],"tools":[{"name":"hidden"}]}}`, `{"id":1, "result":{"content":[],"tools":[{"name":"hidden"}]}}`},
		"batch": {"tools/list", `[{"method":"notifications/progress","params":{}},{"id":1,"result":{"tools":[{"name":"hidden"}]}}]`,
			`[{"method":"notifications/progress","params":{}},{"id":1,"result":{"tools":[]}}]`},
		"batch of others": {"ping", `[ {"id":1,"result":{}} ]`, `[ {"id":1,"result":{}} ]`},
		"list of things that are no tools": {"tools/list", `{"id":1,"result":{"tools":[1,"hidden",null,[{"name":"x"}],{},{"name":7},{"name":"ok"}]}}`,
			`{"id":1,"result":{"tools":[{"name":"ok"}]}}`},
		"no list":                  {"tools/list", `{"id":1,"result":{"tools":{"0":{"name":"hidden"}},"x":1}}`, `{"id":1,"result":{"tools":[],"x":1}}`},
		"result that is no object": {"tools/list", `{"id":1,"result":[{"name":"hidden"}]}`, `{"id":1,"result":[{"name":"hidden"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answering(test.method).JSON([]byte(test.body))
			if err != nil || string(got) != test.want {
				t.Errorf("got  %s\nwant %s (%v)", got, test.want, err)
			}
		})
	}
}

// 2026-07-28, Caching: what depends on who asks is not for everybody's cache.
func TestWhatDependsOnTheIdentityIsCachedForNobodyElse(t *testing.T) {
	for name, test := range map[string]struct{ method, result, want string }{
		"public":            {"tools/list", `{"tools":[],"ttlMs":5,"cacheScope":"public"}`, `{"tools":[],"ttlMs":5,"cacheScope":"private"}`},
		"scope first":       {"tools/list", `{"cacheScope":"public","tools":[],"ttlMs":5}`, `{"tools":[],"ttlMs":5,"cacheScope":"private"}`},
		"only scope":        {"tools/list", `{"cacheScope":"public"}`, `{"cacheScope":"private"}`},
		"no scope":          {"tools/list", `{"tools":[],"ttlMs":5}`, `{"tools":[],"ttlMs":5,"cacheScope":"private"}`},
		"twice":             {"tools/list", `{"cacheScope":"private","tools":[],"cacheScope":"public","CacheScope":"public"}`, `{"tools":[],"cacheScope":"private"}`},
		"before 2026-07-28": {"tools/list", `{"tools":[]}`, `{"tools":[]}`},
		"read":              {"resources/read", `{"contents":[{"text":"x"}],"cacheScope":"public","ttlMs":9}`, `{"contents":[{"text":"x"}],"ttlMs":9,"cacheScope":"private"}`},
		"read before":       {"resources/read", `{"contents": []}`, `{"contents": []}`},
		"discover":          {"server/discover", `{"capabilities":{},"ttlMs":1,"cacheScope":"public"}`, `{"capabilities":{},"ttlMs":1,"cacheScope":"private"}`},
		"a call":            {"tools/call", `{"content":[],"ttlMs":1,"cacheScope":"public"}`, `{"content":[],"ttlMs":1,"cacheScope":"public"}`},
		"nobody knows":      {"", `{"content":[],"ttlMs":1,"cacheScope":"public"}`, `{"content":[],"ttlMs":1,"cacheScope":"public"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answering(test.method).JSON([]byte(`{"id":1,"result":` + test.result + `}`))
			if want := `{"id":1,"result":` + test.want + `}`; err != nil || string(got) != want {
				t.Errorf("got  %s\nwant %s (%v)", got, want, err)
			}
		})
	}
}

func TestOnlyListsAndCacheableResultsWantAFilter(t *testing.T) {
	for method, want := range map[string]bool{
		"tools/list": true, "prompts/list": true, "resources/list": true, "resources/templates/list": true,
		"resources/read": true, "server/discover": true, "": true,
		"tools/call": false, "prompts/get": false, "initialize": false, "ping": false, "tasks/list": false, "subscriptions/listen": false,
	} {
		if got := mcpwire.Wanted(method); got != want {
			t.Errorf("%s: got %v", method, got)
		}
	}
}

func TestShapeOf(t *testing.T) {
	for name, test := range map[string]struct {
		headers http.Header
		want    mcpwire.Shape
		words   string
	}{
		"JSON":                 {headers("Content-Type", "application/json"), mcpwire.JSON, ""},
		"JSON with charset":    {headers("Content-Type", "Application/JSON; charset=UTF-8"), mcpwire.JSON, ""},
		"stream":               {headers("Content-Type", "text/event-stream", "Content-Encoding", "identity"), mcpwire.Stream, ""},
		"nothing":              {headers(), mcpwire.Other, ""},
		"a page":               {headers("Content-Type", "text/html; charset=latin1"), mcpwire.Other, ""},
		"gzip":                 {headers("Content-Type", "application/json", "Content-Encoding", "gzip"), mcpwire.Other, "Content-Encoding"},
		"gzip behind identity": {headers("Content-Type", "application/json", "Content-Encoding", "identity", "Content-Encoding", "br"), mcpwire.Other, "Content-Encoding"},
		"UTF-16":               {headers("Content-Type", "application/json; charset=utf-16"), mcpwire.Other, "UTF-8"},
		"UTF-7 stream":         {headers("Content-Type", "text/event-stream; charset=utf-7"), mcpwire.Other, "UTF-8"},
		"two types":            {headers("Content-Type", "text/plain", "Content-Type", "application/json"), mcpwire.Other, "more than one"},
		"no type":              {headers("Content-Type", "application/json; charset"), mcpwire.Other, "Content-Type"},
	} {
		got, err := mcpwire.ShapeOf(test.headers)
		if got != test.want || (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
