package guard_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
)

func TestWithoutAGoodTokenTheAnswerSaysWhereToSignIn(t *testing.T) {
	w := begin(t)
	metadata := strings.Replace(w.url, "/mcp", "/.well-known/oauth-protected-resource/mcp", 1)
	scope := entratest.GenkanURI + "/access_as_user"
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`

	none := w.send(ping)
	want := `Bearer scope="` + scope + `", resource_metadata="` + metadata + `"`
	if none.status != http.StatusUnauthorized || none.header.Get("WWW-Authenticate") != want {
		t.Errorf("got %d %s\nwant %s", none.status, none.header.Get("WWW-Authenticate"), want)
	}
	other, err := w.tenant.AccessToken("alice", entratest.GenkanToolsID, entratest.GraphURI)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ authorization, words string }{
		"garbage":           {"Bearer garbage", "token check"},
		"another API's":     {"Bearer " + other, "check"},
		"another scheme":    {"Basic YTpi", "token check"},
		"two tokens in one": {"Bearer a, Bearer b", "token check"},
		"empty":             {"Bearer ", "token check"},
	} {
		got := w.send(ping, "Authorization", test.authorization)
		challenge := got.header.Get("WWW-Authenticate")
		if got.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) ||
			!strings.Contains(challenge, `resource_metadata="`+metadata+`"`) || !strings.Contains(challenge, test.words) {
			t.Errorf("%s: got %d %s", name, got.status, challenge)
		}
		if body := mustJSON(t, got.body); body["error"] != "invalid_token" {
			t.Errorf("%s: got %s", name, got.body)
		}
	}
	alice := w.token("alice")
	w.tenant.Advance(-3 * time.Hour)
	old := w.token("alice")
	w.tenant.Advance(3 * time.Hour)
	if got := w.send(ping, "Authorization", "Bearer "+old); got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("WWW-Authenticate"), "expiry check") {
		t.Errorf("an old token: got %d %s", got.status, got.header.Get("WWW-Authenticate"))
	}
	if got := w.send(ping, "Authorization", "Bearer "+alice, "Authorization", "Bearer "+alice); got.status != http.StatusBadRequest {
		t.Errorf("two headers: got %d", got.status)
	}
	if got := w.do(http.MethodPost, w.url+"?access_token="+alice, ping, "Content-Type", "application/json"); got.status != http.StatusBadRequest {
		t.Errorf("a token in the address: got %d", got.status)
	}
	for _, secret := range []string{alice, old, other} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("a token is in the log")
		}
	}
}

func TestTheMetadataSaysWhereToSignIn(t *testing.T) {
	w := begin(t)
	url := strings.Replace(w.url, "/mcp", "/.well-known/oauth-protected-resource/mcp", 1)
	got := w.do(http.MethodGet, url, "")
	want := map[string]any{
		"resource": w.url, "authorization_servers": []any{w.tenant.URL + "/" + w.tenant.TenantID + "/v2.0"},
		"scopes_supported":         []any{entratest.GenkanURI + "/access_as_user", entratest.GenkanURI + "/archive.write"},
		"bearer_methods_supported": []any{"header"}, "resource_name": "Weather",
	}
	if diff := cmp.Diff(want, mustJSON(t, got.body)); diff != "" || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error(diff, got.header)
	}
	if got := w.do(http.MethodOptions, url, ""); got.status != http.StatusNoContent {
		t.Errorf("got %d", got.status)
	}
	if got := w.do(http.MethodPost, url, ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("got %d", got.status)
	}
	for _, other := range []string{"/mcp/", "/MCP", "/m%63p", "//mcp", "/mcp/../mcp", "/", "/.well-known/oauth-protected-resource"} {
		if got := w.do(http.MethodGet, strings.TrimSuffix(w.url, "/mcp")+other, ""); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d", other, got.status)
		}
	}
}

func TestACallThatLacksOnlyAScopeNamesIt(t *testing.T) {
	w := begin(t)
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"archive"}}`
	got := w.send(call, "Authorization", "Bearer "+w.token("alice"))
	challenge := got.header.Get("WWW-Authenticate")
	want := `scope="` + entratest.GenkanURI + `/access_as_user ` + entratest.GenkanURI + `/archive.write"`
	if got.status != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, want) {
		t.Errorf("got %d %s", got.status, challenge)
	}
	got = w.send(call, "Authorization", "Bearer "+w.token("bob"))
	if got.status != http.StatusOK || !strings.Contains(got.body, "unknown tool") {
		t.Errorf("bob lacks the role, no scope helps: got %d %s", got.status, got.body)
	}
}

func TestThreat21_ASessionIsOnlyForWhoOpenedIt(t *testing.T) {
	w := begin(t, stateful)
	begun := w.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		"Authorization", "Bearer "+w.token("alice"))
	session := begun.header.Get("Mcp-Session-Id")
	if begun.status != http.StatusOK || session == "" {
		t.Fatalf("got %d %s", begun.status, begun.body)
	}
	list := `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	for who, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		got := w.send(list, "Authorization", "Bearer "+w.token(who), "Mcp-Session-Id", session, "Mcp-Protocol-Version", "2025-06-18")
		if got.status != want {
			t.Errorf("%s: got %d %s", who, got.status, got.body)
		}
	}
	if got := w.do(http.MethodDelete, w.url, "", "Authorization", "Bearer "+w.token("bob"), "Mcp-Session-Id", session); got.status != http.StatusForbidden {
		t.Errorf("bob ends alice's session: got %d", got.status)
	}
}

func TestApplicationsComeInOnlyWhereTheyAreWanted(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	machine := func(w *world) answer {
		claims, err := w.tenant.Claims("alice", entratest.GenkanToolsID, entratest.GenkanURI)
		if err != nil {
			t.Fatal(err)
		}
		delete(claims, "scp")
		for _, name := range []string{"name", "preferred_username"} {
			delete(claims, name)
		}
		claims["idtyp"], claims["roles"] = "app", []string{"Weather.Read"}
		token, err := w.tenant.Sign(claims, nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.send(list, "Authorization", "Bearer "+token)
	}
	if got := machine(begin(t)); got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("WWW-Authenticate"), "kind check") {
		t.Errorf("got %d %s", got.status, got.header.Get("WWW-Authenticate"))
	}
	both := begin(t, func(c *guard.Config, _ *mcp.StreamableHTTPOptions) { c.Callers = entra.PeopleAndApplications })
	if got := machine(both); got.status != http.StatusOK || !strings.Contains(got.body, "get_forecast") || strings.Contains(got.body, "set_alert") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestGroupsAreAskedForOnlyWhereRulesDo(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	grouped := []policy.Rule{{Allow: []string{"get_*"}, Groups: []string{staff}}}
	for name, test := range map[string]struct {
		rules  []policy.Rule
		groups entra.GroupSource
		want   int
	}{
		"no rule asks":      {rules(), nil, http.StatusOK},
		"nobody can tell":   {grouped, nil, http.StatusUnauthorized},
		"a condition asks":  {[]policy.Rule{{Allow: []string{"*"}, When: `"g1" in identity.groups`}}, nil, http.StatusUnauthorized},
		"somebody can tell": {grouped, everybody{}, http.StatusOK},
	} {
		w := begin(t, func(c *guard.Config, _ *mcp.StreamableHTTPOptions) { c.Rules, c.Groups = test.rules, test.groups })
		got := w.send(list, "Authorization", "Bearer "+w.token("erin"))
		if got.status != test.want {
			t.Errorf("%s: got %d %s", name, got.status, got.header.Get("WWW-Authenticate"))
		}
		if test.groups != nil && !strings.Contains(got.body, "get_forecast") {
			t.Errorf("%s: got %s", name, got.body)
		}
	}
}

func TestEntraDownIsNotTheClientsFault(t *testing.T) {
	w := begin(t)
	token := w.token("alice")
	w.tenant.FailNext(entratest.Fault{Path: "keys", Status: http.StatusServiceUnavailable, Times: 100})
	got := w.send(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Authorization", "Bearer "+token)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %v %s", got.status, got.header, got.body)
	}
}

func TestAStreamEndsWithTheTokenThatOpenedIt(t *testing.T) {
	w := begin(t, stateful)
	begun := w.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		"Authorization", "Bearer "+w.token("alice"))
	claims, err := w.tenant.Claims("alice", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	claims["exp"] = time.Now().Add(2 * time.Second).Unix()
	token, err := w.tenant.Sign(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + token},
		"Mcp-Session-Id": {begun.header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {"2025-06-18"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("got %d", response.StatusCode)
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
	}
	if ctx.Err() != nil {
		t.Error("the stream outlived its token")
	}
}

func TestOnlyTokensForThisAPIAndOfAllowedClientsComeIn(t *testing.T) {
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	w := begin(t, func(c *guard.Config, _ *mcp.StreamableHTTPOptions) { c.Clients = []string{entratest.VSCodeID} })
	if got := w.send(ping, "Authorization", "Bearer "+w.token("alice")); got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("WWW-Authenticate"), "client check") {
		t.Errorf("another client: got %d %s", got.status, got.header.Get("WWW-Authenticate"))
	}
	w = begin(t)
	claims, err := w.tenant.Claims("alice", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	claims["scp"] = "something.else"
	token, err := w.tenant.Sign(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := w.send(ping, "Authorization", "Bearer "+token)
	challenge := got.header.Get("WWW-Authenticate")
	if got.status != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, "/access_as_user") {
		t.Errorf("another scope: got %d %s", got.status, challenge)
	}
}
