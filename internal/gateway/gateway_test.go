package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/policy"
)

func toolNames(t *testing.T, session *mcp.ClientSession) []string {
	t.Helper()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

func text(t *testing.T, result *mcp.CallToolResult) string {
	t.Helper()
	if len(result.Content) != 1 {
		t.Fatalf("content %+v", result.Content)
	}
	return result.Content[0].(*mcp.TextContent).Text
}

// eras are the two kinds of server that the official SDK can be.
func eras() map[string]behind {
	return map[string]behind{
		"sessions":     weather(&mcp.StreamableHTTPOptions{}),
		"sessionsJSON": weather(&mcp.StreamableHTTPOptions{JSONResponse: true}),
		"stateless":    stateless(),
	}
}

func TestTheOfficialClientListsAndCallsWhatRulesAllow(t *testing.T) {
	for name, behind := range eras() {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: behind})
			session := d.connect(d.token(alice()), nil)
			want := []string{"big_result", "deep_scan", "get_forecast", "list_cities", "near_only", "set_alert", "slow_count"}
			if diff := cmp.Diff(want, toolNames(t, session)); diff != "" {
				t.Error(diff)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_forecast", Arguments: cityArguments{City: "Oslo"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("get_forecast Oslo", text(t, result)); diff != "" {
				t.Error(diff)
			}
			if session := d.connect(d.token(carol()), nil); len(toolNames(t, session)) != 0 {
				t.Error("carol has no role and sees tools")
			}
		})
	}
}

func TestPromptsAndResourcesAreFilteredAndDecided(t *testing.T) {
	for name, behind := range eras() {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: behind})
			session := d.connect(d.token(bob()), nil)
			prompts, err := session.ListPrompts(t.Context(), nil)
			if err != nil || len(prompts.Prompts) != 1 || prompts.Prompts[0].Name != "brief" {
				t.Errorf("prompts %+v, %v", prompts, err)
			}
			resources, err := session.ListResources(t.Context(), nil)
			if err != nil || len(resources.Resources) != 1 || resources.Resources[0].URI != "weather://oslo" {
				t.Errorf("resources %+v, %v", resources, err)
			}
			if _, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "secret_prompt"}); err == nil || !strings.Contains(err.Error(), `unknown prompt "secret_prompt"`) {
				t.Errorf("secret prompt: %v", err)
			}
			if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "secret://oslo"}); err == nil || !strings.Contains(err.Error(), "Resource not found") {
				t.Errorf("secret resource: %v", err)
			}
			if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "weather://oslo"}); err != nil {
				t.Errorf("allowed resource: %v", err)
			}
		})
	}
}

// A tool that exists and is forbidden, and one that does not exist, must look the same, to the letter, and
// like the SDK's own answer.
func TestAForbiddenToolLooksLikeOneThatDoesNotExist(t *testing.T) {
	for name, behind := range eras() {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: behind})
			token := d.token(bob())
			session := d.connect(token, nil)
			ask := func(tool string) string {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: cityArguments{}})
				if err == nil {
					t.Fatalf("%s is answered", tool)
				}
				return strings.ReplaceAll(err.Error(), tool, "TOOL")
			}
			forbidden, missing, real := ask("set_alert"), ask("no_such_tool"), ask("get_nothing")
			if diff := cmp.Diff(missing, forbidden); diff != "" {
				t.Errorf("one can tell that set_alert exists: %s", diff)
			}
			if diff := cmp.Diff(real, forbidden); diff != "" {
				t.Errorf("one can tell the door's answer from the server's: %s", diff)
			}
		})
	}
}

func TestAMissingScopeAsksForAStepUp(t *testing.T) {
	d := openDoor(t, settings{})
	a := d.post(d.token(bob()), call("deep_scan", "{}"))
	if a.status != http.StatusForbidden {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	challenge := a.header.Get("WWW-Authenticate")
	for _, want := range []string{`error="insufficient_scope"`, `scope="mcp scan"`, `resource_metadata="` + d.url + `/.well-known/oauth-protected-resource/weather/mcp"`} {
		if !strings.Contains(challenge, want) {
			t.Errorf("challenge %s lacks %s", challenge, want)
		}
	}
	session := d.connect(d.token(bob(), "mcp", "scan"), nil)
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "deep_scan", Arguments: cityArguments{}}); err != nil {
		t.Errorf("with the scope: %v", err)
	}
}

func TestAVisibleToolRefusedForItsArgumentsSaysWhy(t *testing.T) {
	d := openDoor(t, settings{behind: stateless()})
	a := d.post(d.token(bob()), call("near_only", `{"city":"Rome"}`))
	var got struct {
		Error struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK || got.Error.Code != -32010 || !strings.Contains(got.Error.Message, "condition") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := d.post(d.token(bob()), call("near_only", `{"city":"Oslo"}`)); !strings.Contains(a.body, "near_only Oslo") {
		t.Errorf("allowed arguments: %d %s", a.status, a.body)
	}
}

func TestProgressAndCancellationPass(t *testing.T) {
	for name, behind := range eras() {
		if name == "sessionsJSON" {
			continue // answers in one piece have no progress
		}
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: behind})
			progress := make(chan float64, 8)
			session := d.connect(d.token(bob()), &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
				progress <- r.Params.Progress
			}})
			params := &mcp.CallToolParams{Name: "slow_count", Arguments: cityArguments{}}
			params.SetProgressToken("p1")
			if _, err := session.CallTool(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]float64{0, 1, 2}, []float64{<-progress, <-progress, <-progress}); diff != "" {
				t.Error(diff)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "slow_count", Arguments: cityArguments{City: "forever"}}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled call: %v", err)
			}
			<-behind.cancelled
		})
	}
}

func TestMetadataSaysWhereToSignIn(t *testing.T) {
	d := openDoor(t, settings{})
	want := map[string]any{
		"resource": d.resource(), "authorization_servers": []any{d.url}, "scopes_supported": []any{"mcp", "scan"},
		"bearer_methods_supported": []any{"header"}, "resource_name": "Weather",
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource/weather/mcp", "/.well-known/oauth-protected-resource"} {
		a := d.do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)))
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(path, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(path, diff)
		}
		if diff := cmp.Diff([]string{"*"}, a.header["Access-Control-Allow-Origin"]); diff != "" {
			t.Error(path, diff)
		}
	}
}

func TestNoTokenIsToldWhereToSignInAndNoError(t *testing.T) {
	d := openDoor(t, settings{})
	a := d.post("", call("get_forecast", "{}"))
	want := `Bearer scope="mcp", resource_metadata="` + d.url + `/.well-known/oauth-protected-resource/weather/mcp"`
	if diff := cmp.Diff(want, a.header.Get("WWW-Authenticate")); a.status != http.StatusUnauthorized || diff != "" {
		t.Error(a.status, diff)
	}
}

func TestBadTokensAreToldAsInvalidAndWhy(t *testing.T) {
	d := openDoor(t, settings{})
	other := d.tokensFor(alice(), d.url+"/profile/mcp").Access.Reveal()
	ended := d.tokens(alice())
	if err := d.grants.End(t.Context(), ended.GrantID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ token, why string }{
		"garbage":        {"garbage", "something else"},
		"another server": {other, d.url + "/profile/mcp"},
		"ended":          {ended.Access.Reveal(), "ended at"},
		"a refresh":      {"gkr_" + strings.Repeat("a", 26) + "_" + strings.Repeat("a", 78), "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			a := d.post(c.token, call("get_forecast", "{}"))
			challenge := a.header.Get("WWW-Authenticate")
			if a.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) || !strings.Contains(a.body, c.why) {
				t.Errorf("%d %s\n%s", a.status, challenge, a.body)
			}
			if strings.Contains(a.body, c.token) && len(c.token) > 10 {
				t.Error("the answer shows the token")
			}
		})
	}
}

func TestBadBodiesSayWhatToDo(t *testing.T) {
	d := openDoor(t, settings{})
	token := d.token(alice())
	for name, c := range map[string]struct {
		body   string
		status int
		code   int
	}{
		"no JSON":        {"{hello}", 400, mcpwire.CodeParse},
		"empty":          {"", 400, mcpwire.CodeParse},
		"a key twice":    {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"set_alert"}}`, 400, mcpwire.CodeInvalidRequest},
		"a batch":        {"[" + call("get_forecast", "{}") + "]", 400, mcpwire.CodeInvalidRequest},
		"over the limit": {call("get_forecast", `{"city":"`+strings.Repeat("x", 4<<20)+`"}`), 413, mcpwire.CodeInvalidRequest},
		"unknown method": {`{"jsonrpc":"2.0","id":1,"method":"admin/reset"}`, 200, mcpwire.CodeMethodNotFound},
		"answer astray":  {`{"jsonrpc":"2.0","id":1,"result":{}}`, 400, mcpwire.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			a := d.post(token, c.body)
			var got struct{ Error struct{ Code int } }
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err, a.body)
			}
			if a.status != c.status || got.Error.Code != c.code {
				t.Errorf("%d %s, want %d and code %d", a.status, a.body, c.status, c.code)
			}
		})
	}
	r := d.request(token, call("get_forecast", "{}"))
	r.Header.Set("Content-Type", "text/plain")
	if a := d.do(r); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", a.status)
	}
	if a := d.do(must(http.NewRequestWithContext(t.Context(), http.MethodPut, d.resource(), nil))); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST, GET, DELETE, OPTIONS" {
		t.Errorf("PUT: %d %v", a.status, a.header)
	}
}

func TestEveryCallIsWrittenDownWithWhoAndWhy(t *testing.T) {
	d := openDoor(t, settings{behind: stateless()})
	d.post(d.token(alice()), call("get_forecast", `{"city":"Oslo"}`))
	d.post(d.token(bob()), call("set_alert", "{}"))
	d.post("garbage", call("get_forecast", "{}"))
	events := d.events()
	if len(events) != 3 {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	a, b, c := events[0], events[1], events[2]
	if a.Kind != audit.Call || a.Decision != audit.Allowed || a.Object != alice().Object || a.Target != "get_forecast" ||
		a.Server != "weather" || a.Client != "client-1" || a.Rule != "readers" || a.Status != 200 || a.Duration <= 0 ||
		a.RequestID == "" || a.SessionID == "" || a.Address != "127.0.0.1" || a.Arguments != nil {
		t.Errorf("call: %+v", a)
	}
	if b.Kind != audit.Refusal || b.Decision != audit.Refused || b.Object != bob().Object || b.Target != "set_alert" ||
		b.Refusal == nil || b.Refusal.Check != policy.CheckRule {
		t.Errorf("refused call: %+v", b)
	}
	if c.Kind != audit.Refusal || c.Object != "" || c.Refusal == nil || c.Refusal.Check != policy.CheckToken || c.Status != 401 {
		t.Errorf("bad token: %+v", c)
	}
}

func TestArgumentsAreWrittenDownOnlyWhereAsked(t *testing.T) {
	d := openDoor(t, settings{behind: stateless(), server: func(s *gateway.Server) { s.RecordArguments = true }})
	d.post(d.token(alice()), call("get_forecast", `{"city":"Oslo"}`))
	if diff := cmp.Diff(`{"city":"Oslo"}`, string(d.events()[0].Arguments)); diff != "" {
		t.Error(diff)
	}
}

func TestTheSignedIdentityIsForThisServerAndSaysWhoCalls(t *testing.T) {
	rec := &recorder{}
	d := openDoor(t, settings{behind: rec})
	signed := must(gateway.NewSignedIdentity(d.url, "https://weather.internal/mcp", d.keys, time.Now))
	d = openDoor(t, settings{behind: rec, server: func(s *gateway.Server) { s.Credential = signed }})
	token := d.token(alice())
	d.post(token, call("get_forecast", "{}"))
	d.post(token, call("get_forecast", "{}"))
	requests, _ := rec.seen()
	shown := strings.TrimPrefix(requests[0].Header.Get("Authorization"), "Bearer ")
	if shown != strings.TrimPrefix(requests[1].Header.Get("Authorization"), "Bearer ") {
		t.Error("signed anew within half its life")
	}
	parsed, err := jwt.ParseSigned(shown, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("at+jwt", parsed.Headers[0].ExtraHeaders["typ"]); diff != "" {
		t.Error(diff)
	}
	var claims map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 {
		t.Errorf("lives for %v s", life)
	}
	for _, k := range []string{"exp", "iat", "nbf", "jti", "iss"} {
		delete(claims, k)
	}
	want := map[string]any{
		"aud": "https://weather.internal/mcp", "sub": alice().Key(), "client_id": "client-1", "tid": tenant, "oid": alice().Object,
		"kind": "person", "scope": "mcp", "roles": []any{"Weather.Read", "Weather.Write"}, "name": "Alice", "preferred_username": "alice@contoso.example",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
}

// A plain reverse proxy loses about four answers in a thousand here, because this server may answer before it has
// read its request.
func TestNoAnswerIsCutOffWhenTheServerAnswersBeforeItHasReadTheRequest(t *testing.T) {
	d := openDoor(t, settings{behind: stateless()})
	token := d.token(alice())
	client := d.client(token)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 250 {
				id := fmt.Sprint(worker*1000 + i)
				r := d.request(token, strings.Replace(call("get_forecast", `{"city":"`+id+`"}`), `"id":1`, `"id":`+id, 1))
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body := new(strings.Builder)
				_, err = fmt.Fprint(body, readAll(resp))
				if err != nil || !strings.Contains(body.String(), "get_forecast "+id) {
					t.Errorf("answer %s is cut off: %q, %v", id, body, err)
				}
			}
		})
	}
	group.Wait()
}

func readAll(resp *http.Response) string {
	defer resp.Body.Close()
	var b strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return b.String()
		}
	}
}

func TestLargeResultsArriveWhole(t *testing.T) {
	for name, behind := range eras() {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, settings{behind: behind})
			session := d.connect(d.token(alice()), nil)
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "big_result", Arguments: cityArguments{Size: 3 << 20}})
			if err != nil || len(text(t, result)) != 3<<20 {
				t.Errorf("%v", err)
			}
		})
	}
}
