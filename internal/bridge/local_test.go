package bridge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/bridge"
	"github.com/genkan-mcp/genkan/policy"
)

// someServer is a server that somebody else wrote: it knows nothing of Genkan.
func someServer() int {
	fmt.Fprintln(os.Stderr, "some server, with", len(os.Args), "arguments")
	s := mcp.NewServer(&mcp.Implementation{Name: "some", Version: "1"}, nil)
	for _, name := range []string{"get_forecast", "set_alert"} {
		mcp.AddTool(s, &mcp.Tool{Name: name}, func(_ context.Context, r *mcp.CallToolRequest, _ map[string]any) (*mcp.CallToolResult, any, error) {
			meta, _ := json.Marshal(r.Params.Meta[bridge.MetaIdentity])
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(meta)}}}, nil, nil
		})
	}
	mcp.AddTool(s, &mcp.Tool{Name: "show_token"}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
		token := os.Getenv("GRAPH_TOKEN")
		if fd := os.Getenv("GRAPH_TOKEN_FD"); fd != "" {
			file, err := os.Open("/dev/fd/" + fd)
			if err != nil {
				return nil, nil, err
			}
			token, _ = bufio.NewReader(file).ReadString('\n')
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: token}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "die"}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
		os.Exit(3)
		return nil, nil, nil
	})
	if err := s.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		return 1
	}
	return 0
}

// guarded is somebody's local server behind genkan local.
type guarded struct {
	*machine
	*office
	options bridge.LocalOptions
	done    chan struct{}
	err     error
}

func newGuarded(t *testing.T, who string, rules ...policy.Rule) *guarded {
	g := &guarded{machine: newMachine(t), office: newOffice(t, who)}
	g.options = bridge.LocalOptions{
		Command: []string{os.Args[0], "some-server"}, Env: os.Environ(),
		Tenant: entratest.TenantID, ClientID: entratest.GenkanToolsID, Authority: g.tenant.URL,
		Scope: entratest.GenkanURI + "/" + entratest.GenkanScope, Rules: rules,
		SignIn: bridge.SignIn{Browser: append(browserCommand(), g.walker), Timeout: 10 * time.Second},
		Place:  bridge.Place{Dir: g.dir, InsecureFile: true},
	}
	return g
}

func (g *guarded) start(t *testing.T) (in io.WriteCloser, out io.ReadCloser) {
	t.Helper()
	clientOut, in := pipe(t)
	out, clientIn := pipe(t)
	o := g.options
	o.Streams = bridge.Streams{In: clientOut, Out: io.MultiWriter(clientIn, g.stdout), Log: g.log}
	g.done = make(chan struct{})
	done := g.done
	go func() {
		defer close(done)
		g.err = bridge.Local(t.Context(), o)
		_ = clientIn.Close()
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-done
	})
	return in, out
}

func (g *guarded) session(t *testing.T, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	in, out := g.start(t)
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options).Connect(t.Context(), &mcp.IOTransport{Reader: out, Writer: in}, nil)
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, g.log)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func toolNames(t *testing.T, s *mcp.ClientSession) []string {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

func weatherRules() []policy.Rule {
	return []policy.Rule{
		{Name: "readers", Allow: []string{"get_*", "show_token", "die"}, Roles: []string{"Weather.Read"}},
		{Name: "writers", Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}, When: `args.city != "Oslo"`},
	}
}

func TestGuardedServerShowsWhatTheRolesAllow(t *testing.T) {
	for who, want := range map[string][]string{
		"alice": {"die", "get_forecast", "set_alert", "show_token"},
		"bob":   {"die", "get_forecast", "show_token"},
		"carol": {},
	} {
		t.Run(who, func(t *testing.T) {
			g := newGuarded(t, who, weatherRules()...)
			s := g.session(t, nil)
			g.want(t, 0) // opening the connection needs nobody
			if diff := cmp.Diff(want, toolNames(t, s)); diff != "" {
				t.Error(diff)
			}
			g.want(t, 1)
			g.wantClean(t, []string{"eyJ"})
		})
	}
}

func TestGuardedServerIsToldWhoCalls(t *testing.T) {
	g := newGuarded(t, "alice", weatherRules()...)
	s := g.session(t, nil)
	var who policy.Identity
	if err := json.Unmarshal([]byte(callText(t, s, "get_forecast", nil)), &who); err != nil {
		t.Fatal(err)
	}
	want := policy.Identity{Tenant: entratest.TenantID, Object: entratest.AliceID, Kind: policy.Person, Client: entratest.GenkanToolsID}
	if who.Key() != want.Key() || who.Kind != want.Kind || who.Client != want.Client || !who.HasRole("Weather.Read") {
		t.Errorf("the server was told %+v", who)
	}
}

func TestGuardedServerIsNotReachedByWhatTheRulesRefuse(t *testing.T) {
	g := newGuarded(t, "bob", weatherRules()...)
	s := g.session(t, nil)
	_, err := tryText(s, "set_alert", map[string]any{"city": "Kyoto"})
	wantError(t, err, `unknown tool "set_alert"`)
	_, err = tryText(s, "no_such_tool", nil)
	wantError(t, err, `unknown tool "no_such_tool"`)
	a := newGuarded(t, "alice", weatherRules()...)
	s = a.session(t, nil)
	_, err = tryText(s, "set_alert", map[string]any{"city": "Oslo"})
	wantError(t, err, "refused by the rule check")
	callText(t, s, "set_alert", map[string]any{"city": "Kyoto"})
}

func TestThreat21_ClientCanNotSayWhoItIs(t *testing.T) {
	g := newGuarded(t, "bob", weatherRules()...)
	in, out := g.start(t)
	w := &wire{t: t, in: in, out: bufio.NewReader(out)}
	w.say(hello)
	w.answer("1")
	for i, key := range []string{"genkan/identity", "Genkan/Identity", "GENKAN/IDENTITY"} {
		w.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"get_forecast","arguments":{},"_meta":{%q:{"oid":"somebody else"}}}}`, 10+i, key))
		if text := errorOf(w.answer(itoa(10 + i))); !strings.Contains(text, "is set by Genkan, and by nobody else") {
			t.Errorf("%s: got %q", key, text)
		}
	}
	w.say(`{"jsonrpc":"2.0","id":20,"method":"secret/method"}`)
	if text := errorOf(w.answer("20")); !strings.Contains(text, "method not found") {
		t.Errorf("got %q", text)
	}
}

func TestGuardedServerSignsInOnce(t *testing.T) {
	g := newGuarded(t, "alice", weatherRules()...)
	s := g.session(t, nil)
	toolNames(t, s)
	callText(t, s, "get_forecast", nil)
	_ = s.Close()
	<-g.done
	callText(t, g.session(t, nil), "get_forecast", nil)
	g.want(t, 1)
}

func TestNobodySignsInAtAGuardedServer(t *testing.T) {
	g := newGuarded(t, "alice", weatherRules()...)
	g.options.SignIn.Browser, g.options.SignIn.Timeout = []string{"true"}, 300*time.Millisecond
	_, err := tryText(g.session(t, nil), "get_forecast", nil)
	wantError(t, err, "nobody signed in within 300ms", "try again")
}

func TestGuardedServerGetsATokenButNeverOnItsCommandLine(t *testing.T) {
	for name, token := range map[string]bridge.ChildToken{
		"environment": {Env: "GRAPH_TOKEN"},
		"descriptor":  {FileEnv: "GRAPH_TOKEN_FD"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, "alice", weatherRules()...)
			cloud, err := entra.DevCloud(g.tenant.URL)
			if err != nil {
				t.Fatal(err)
			}
			token.Scope = cloud.GraphScope("User.Read")
			g.options.Token = token
			s := g.session(t, nil)
			got := callText(t, s, "show_token", nil)
			if !strings.HasPrefix(got, "eyJ") {
				t.Errorf("the server got %q", got)
			}
			if strings.Contains(g.log.String(), "eyJ") {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestServerThatEndsIsTold(t *testing.T) {
	g := newGuarded(t, "alice", weatherRules()...)
	s := g.session(t, nil)
	if _, err := tryText(s, "die", nil); err == nil {
		t.Error("a server that died answered")
	}
	<-g.done
	wantError(t, g.err, "the server "+os.Args[0]+" ended: exit status 3")
}

func TestLocalSaysEverythingThatIsMissing(t *testing.T) {
	err := bridge.Local(t.Context(), bridge.LocalOptions{Token: bridge.ChildToken{Env: "X"}, Rules: []policy.Rule{{Allow: []string{"a?"}}}})
	wantError(t, err, "no command to guard", "--token-scope", "set HOME", "rules[0].allow")
	err = bridge.Local(t.Context(), bridge.LocalOptions{Command: []string{"true"}, Place: bridge.Place{Dir: t.TempDir()}})
	wantError(t, err, "--tenant and --client-id must name an app registration")
	err = bridge.Local(t.Context(), bridge.LocalOptions{Command: []string{"true"}, Token: bridge.ChildToken{Scope: "x"}, Place: bridge.Place{Dir: t.TempDir()}})
	wantError(t, err, "--token-env", "--token-file-env")
}

func TestWithoutRulesEverybodyOfTheTenantMayUseEverything(t *testing.T) {
	g := newGuarded(t, "carol")
	s := g.session(t, nil)
	if diff := cmp.Diff([]string{"die", "get_forecast", "set_alert", "show_token"}, toolNames(t, s)); diff != "" {
		t.Error(diff)
	}
	g.want(t, 1)
}
