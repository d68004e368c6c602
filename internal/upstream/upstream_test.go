package upstream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

func TestMain(m *testing.M) {
	if os.Getenv("GENKAN_TEST_COMMAND") != "" { // this binary is also the command of the tests
		command(os.Getenv("GENKAN_TEST_COMMAND"))
		return
	}
	goleak.VerifyTestMain(m)
}

// command is a server of few words: it answers every request with the params it got, and does what some methods say.
func command(kind string) {
	fmt.Fprintln(os.Stderr, "ready "+kind)
	if kind == "dies" {
		os.Exit(1)
	}
	if kind == "deaf" {
		select {}
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(in.Bytes(), &m) != nil {
			continue
		}
		if len(m.Params) == 0 {
			m.Params = json.RawMessage("{}")
		}
		switch m.Method {
		case "noise":
			fmt.Println("this is no JSON")
			fmt.Println(`{"jsonrpc":"2.0","id":1,"id":2,"result":{}}`)
		case "announce":
			fmt.Println(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"private"}}`)
			fmt.Println(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		case "silence":
			continue
		case "pinged":
			fmt.Println(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
			fmt.Println(`{"jsonrpc":"2.0","id":"r","method":"roots/list"}`)
		}
		if len(m.ID) > 0 && m.Method != "" {
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"method":%q,"params":%s,"pid":%d}}`+"\n", m.ID, m.Method, m.Params, os.Getpid())
		} else {
			fmt.Fprintln(os.Stderr, "told "+in.Text())
		}
	}
	fmt.Fprintln(os.Stderr, "bye")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func message(body string) *mcpwire.Message {
	return must(mcpwire.Parse([]byte(body), mcpwire.Limits{}))
}

func ask(method string) *upstream.Request {
	return &upstream.Request{Method: http.MethodPost, Person: "alice", Accept: "application/json, text/event-stream",
		Message: message(fmt.Sprintf(`{"jsonrpc":"2.0","id":"mine","method":%q,"params":{"a":1}}`, method))}
}

// whole forwards and reads the answer to its end.
func whole(t *testing.T, u upstream.Upstream, r *upstream.Request) (*upstream.Response, string) {
	t.Helper()
	resp, err := u.Forward(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func reason(err error) upstream.Reason {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e.Reason
	}
	return ""
}

// lines is a log that tests wait for.
type lines struct {
	mu  sync.Mutex
	b   strings.Builder
	has chan struct{}
}

func newLines() *lines { return &lines{has: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.has <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lines) wait(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		all := l.b.String()
		l.mu.Unlock()
		found := strings.Contains(all, want)
		if found {
			return
		}
		select {
		case <-l.has:
		case <-timeout:
			t.Fatalf("the log never says %q:\n%s", want, all)
		}
	}
}

func stdio(t *testing.T, kind string, change func(*upstream.StdioConfig)) (*upstream.Stdio, *lines) {
	t.Helper()
	log := newLines()
	c := upstream.StdioConfig{Command: []string{must(os.Executable())}, Env: []string{"GENKAN_TEST_COMMAND=" + kind},
		Logger: slog.New(slog.NewTextHandler(log, nil))}
	if change != nil {
		change(&c)
	}
	u := must(upstream.NewStdio(c))
	t.Cleanup(func() { _ = u.Close() })
	return u, log
}

func TestARequestComesBackUnderItsOwnID(t *testing.T) {
	u, log := stdio(t, "echo", nil)
	_, body := whole(t, u, ask("x/y"))
	if !strings.HasPrefix(body, "event: message\ndata: {") || !strings.Contains(body, `"id":"mine"`) || !strings.Contains(body, `"params":{"a":1}`) {
		t.Error(body)
	}
	log.wait(t, "ready echo")
}

func TestAClientThatTakesNoStreamsGetsOneBody(t *testing.T) {
	u, _ := stdio(t, "echo", nil)
	r := ask("x/y")
	r.Accept = "application/json"
	resp, body := whole(t, u, r)
	if resp.Shape != mcpwire.JSON || !strings.HasPrefix(body, "{") || !strings.Contains(body, `"id":"mine"`) {
		t.Error(resp.Type, body)
	}
}

func TestWhatIsNoMessageIsLeftOut(t *testing.T) {
	u, log := stdio(t, "echo", nil)
	if _, body := whole(t, u, ask("noise")); strings.Contains(body, "no JSON") || !strings.Contains(body, `"method":"noise"`) {
		t.Error(body)
	}
	log.wait(t, "no message")
}

func TestProgressTokensOfTwoClientsDontMeet(t *testing.T) {
	u, _ := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Shared = true })
	token := func(person string) string {
		r := ask("x")
		r.Person = person
		r.Message = message(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":"same"}}}`)
		_, body := whole(t, u, r)
		_, after, _ := strings.Cut(body, `"progressToken":"`)
		token, _, _ := strings.Cut(after, `"`)
		return token
	}
	if a, b := token("alice"), token("bob"); a == b || a == "same" || a == "" {
		t.Errorf("the server behind saw %q and %q", a, b)
	}
}

func TestARequestWithoutAnAnswerEndsInTime(t *testing.T) {
	u, log := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Timeout = 50 * time.Millisecond })
	_, body := whole(t, u, ask("silence"))
	if !strings.Contains(body, "did not answer in time") || !strings.Contains(body, `"id":"mine"`) {
		t.Error(body)
	}
	log.wait(t, "notifications/cancelled")
}

func TestAClientThatLeavesCancelsWhatStandsAlone(t *testing.T) {
	u, log := stdio(t, "echo", nil)
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := u.Forward(ctx, ask("silence"))
	if err != nil {
		t.Fatal(err)
	}
	log.wait(t, "ready")
	cancel()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a body goes on after its request has ended")
	}
	log.wait(t, "notifications/cancelled")
}

func TestAProcessThatEndsAtOnceRestsLongerEachTime(t *testing.T) {
	u, log := stdio(t, "dies", nil)
	r := ask("x")
	if resp, err := u.Forward(t.Context(), r); err == nil {
		_, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	log.wait(t, "failures=1")
	if _, err := u.Forward(t.Context(), ask("x")); reason(err) != upstream.Unreachable || !strings.Contains(err.Error(), "started again in 1s") {
		t.Errorf("at once again: %v", err)
	}
}

func TestACommandThatIsNotThereIsUnreachable(t *testing.T) {
	u := must(upstream.NewStdio(upstream.StdioConfig{Command: []string{"/no/such/command"}}))
	defer u.Close()
	if _, err := u.Forward(t.Context(), ask("x")); reason(err) != upstream.Unreachable {
		t.Error(err)
	}
}

func TestAProcessThatNobodyUsesEnds(t *testing.T) {
	u, log := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Idle = 100 * time.Millisecond })
	_, first := whole(t, u, ask("x"))
	log.wait(t, "bye")
	deadline := time.Now().Add(5 * time.Second)
	for {
		resp, err := u.Forward(t.Context(), ask("x"))
		if err == nil {
			second, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(second) == first {
				t.Error("the same process answers again")
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestOnlySoManyProcessesRun(t *testing.T) {
	u, _ := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Processes = 1 })
	whole(t, u, ask("x"))
	r := ask("x")
	r.Person = "bob"
	if _, err := u.Forward(t.Context(), r); reason(err) != upstream.Busy {
		t.Error(err)
	}
}

// open begins a session.
func open(t *testing.T, u upstream.Upstream, person string) string {
	t.Helper()
	r := ask("initialize")
	r.Person = person
	resp, _ := whole(t, u, r)
	if resp.Session == "" {
		t.Fatal("no session")
	}
	return resp.Session
}

func TestOfASharedProcessNobodyHearsWhatConcernsAnother(t *testing.T) {
	u, _ := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Shared = true })
	session := open(t, u, "bob")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resp, err := u.Forward(ctx, &upstream.Request{Method: http.MethodGet, Session: session, Person: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, body := whole(t, u, ask("announce")); strings.Contains(body, "private") {
		t.Errorf("alice hears a log line that may be of bob: %s", body)
	}
	in := bufio.NewReader(resp.Body)
	heard := must(in.ReadString('\n')) + must(in.ReadString('\n'))
	if strings.Contains(heard, "private") || !strings.Contains(heard, "list_changed") {
		t.Errorf("bob hears %q", heard)
	}
}

func TestAServerThatAsksManyClientsIsAnsweredByTheDoor(t *testing.T) {
	u, log := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Shared = true })
	open(t, u, "alice")
	open(t, u, "bob")
	if _, body := whole(t, u, ask("pinged")); strings.Contains(body, "roots/list") {
		t.Errorf("a client was asked for all: %s", body)
	}
	log.wait(t, `told`)
	log.wait(t, `no client can answer`)
}

func TestAProcessThatDoesNotEndIsMadeTo(t *testing.T) {
	u, log := stdio(t, "deaf", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if resp, err := u.Forward(ctx, ask("x")); err == nil {
		resp.Body.Close()
	}
	log.wait(t, "ready")
	began := time.Now()
	if err := u.Close(); err != nil || time.Since(began) > 8*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestConfigurationsThatCantWorkAreRefused(t *testing.T) {
	for name, c := range map[string]upstream.StdioConfig{
		"no command":             {},
		"a name without a value": {Command: []string{"x"}, Env: []string{"HOME"}},
		"shared and somebody's":  {Command: []string{"x"}, Shared: true, IdentityVariable: "WHO"},
	} {
		if _, err := upstream.NewStdio(c); err == nil {
			t.Error(name)
		}
	}
	for name, address := range map[string]string{"no scheme": "weather", "another scheme": "ftp://weather/", "a user": "http://a:b@weather/", "a fragment": "http://weather/#x"} {
		if _, err := upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse(address)), Transport: http.DefaultTransport}); err == nil {
			t.Error(name)
		}
	}
}

// sse makes an upstream of a handler that speaks events.
func sse(t *testing.T, h http.Handler) *upstream.SSE {
	t.Helper()
	server := httptest.NewServer(h)
	transport := upstream.NewTransport()
	u := must(upstream.NewSSE(upstream.SSEConfig{URL: must(url.Parse(server.URL + "/sse")), Transport: transport}))
	t.Cleanup(func() {
		_ = u.Close()
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return u
}

func endpoint(address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: endpoint\ndata: %s\n\n", address)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

func TestAnEndpointElsewhereIsNotBelieved(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("our credential went elsewhere") }))
	defer elsewhere.Close()
	for _, address := range []string{elsewhere.URL + "/message", "//" + strings.TrimPrefix(elsewhere.URL, "http://") + "/message", "https://127.0.0.1/message", "http://user@127.0.0.1/"} {
		u := sse(t, endpoint(address))
		r := ask("initialize")
		r.Credential = upstream.Credential{Value: secret.NewText("Bearer ours")}
		if _, err := u.Forward(t.Context(), r); reason(err) != upstream.Unreachable {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnEventServerThatWantsAnotherCredentialSaysSo(t *testing.T) {
	u := sse(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	resp, err := u.Forward(t.Context(), ask("initialize"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Status != http.StatusUnauthorized || len(resp.Challenge) != 1 {
		t.Errorf("%+v", resp)
	}
}

func TestASlowServerIsATimeoutAndALeavingClientIsNot(t *testing.T) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	transport := upstream.NewTransport()
	defer transport.CloseIdleConnections()
	u := must(upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse("http://" + listener.Addr().String())), Transport: transport, Timeout: 50 * time.Millisecond}))
	if _, err := u.Forward(t.Context(), ask("x")); reason(err) != upstream.Timeout {
		t.Errorf("slow: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.Forward(ctx, ask("x")); reason(err) != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("left: %v", err)
	}
}

func TestTheCredentialTakesNoOtherHeadersPlace(t *testing.T) {
	got := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- r.Header; w.WriteHeader(202) }))
	defer server.Close()
	transport := upstream.NewTransport()
	defer transport.CloseIdleConnections()
	u := must(upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse(server.URL)), Transport: transport}))
	r := ask("x")
	r.Credential = upstream.Credential{Header: "X-Api-Key", Value: secret.NewText("k")}
	whole(t, u, r)
	h := <-got
	if diff := cmp.Diff([]string{"k", ""}, []string{h.Get("X-Api-Key"), h.Get("Authorization")}); diff != "" {
		t.Error(diff)
	}
}

// The door binds session IDs to people by itself. This is the second line: who gets past it still gets nothing, and
// takes nothing from the other.
func TestThreat21_ASessionAnswersOnlyThePersonWhoOpenedIt(t *testing.T) {
	shared, _ := stdio(t, "echo", func(c *upstream.StdioConfig) { c.Shared = true })
	own, _ := stdio(t, "echo", nil)
	for name, u := range map[string]upstream.Upstream{"shared": shared, "own": own} {
		session := open(t, u, "alice")
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			r := ask("x")
			r.Method, r.Session, r.Person = method, session, "bob"
			resp, err := u.Forward(t.Context(), r)
			if err == nil {
				resp.Body.Close()
			}
			if reason(err) != upstream.Ended {
				t.Errorf("%s: %s by bob: %v", name, method, err)
			}
		}
		r := ask("x")
		r.Session = session
		if _, body := whole(t, u, r); !strings.Contains(body, `"method":"x"`) {
			t.Errorf("%s: alice's own session is gone: %s", name, body)
		}
	}
}
