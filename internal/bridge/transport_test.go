package bridge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// wire is a client that writes and reads lines itself.
type wire struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

func (m *machine) wire(t testing.TB, server string) *wire {
	r := m.run(t, server)
	return &wire{t: t, in: r.in, out: bufio.NewReader(r.out)}
}

func (w *wire) say(lines ...string) {
	w.t.Helper()
	for _, line := range lines {
		if _, err := fmt.Fprintln(w.in, line); err != nil {
			w.t.Fatal(err)
		}
	}
}

// answer reads messages until the one that answers the ID.
func (w *wire) answer(id string) map[string]any {
	w.t.Helper()
	for {
		message := w.next()
		if raw, _ := json.Marshal(message["id"]); string(raw) == id && message["method"] == nil {
			return message
		}
	}
}

func (w *wire) next() map[string]any {
	w.t.Helper()
	line, err := w.out.ReadString('\n')
	if err != nil {
		w.t.Fatalf("read: %v", err)
	}
	var message map[string]any
	if err := json.Unmarshal([]byte(line), &message); err != nil {
		w.t.Fatalf("%q: %v", line, err)
	}
	return message
}

func errorOf(message map[string]any) string {
	failure, _ := message["error"].(map[string]any)
	text, _ := failure["message"].(string)
	return text
}

func TestEveryRevisionPasses(t *testing.T) {
	for _, revision := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			p, m := newProvider(t), newMachine(t)
			m.revision = revision
			if revision == "2026-07-28" { // the SDK has one kind of server for the newest revision and one for the others
				p.mcp = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools() }, &mcp.StreamableHTTPOptions{Stateless: true})
			}
			s := m.session(t, p.URL+"/mcp", nil)
			if diff := cmp.Diff(revision, s.InitializeResult().ProtocolVersion); diff != "" {
				t.Error(diff)
			}
			callText(t, s, "get_forecast", nil)
			m.wantClean(t, p.allSecrets())
		})
	}
}

func TestOlderTransportIsFoundByItself(t *testing.T) {
	for _, transport := range []bridge.Transport{bridge.Auto, bridge.SSE} {
		t.Run(string(transport), func(t *testing.T) {
			p, m := newProvider(t), newMachine(t)
			m.change = func(o *bridge.ConnectOptions) { o.Transport = transport }
			m.revision = "2024-11-05"
			s := m.session(t, p.URL+"/sse", nil)
			if diff := cmp.Diff("get_forecast Kyoto", callText(t, s, "get_forecast", map[string]any{"city": "Kyoto"})); diff != "" {
				t.Error(diff)
			}
			p.want(t, 1, 1, 0)
			m.wantClean(t, p.allSecrets())
		})
	}
}

func TestOlderTransportIsOpenedAgainWhenItsStreamBreaks(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	m.change = func(o *bridge.ConnectOptions) { o.Transport = bridge.SSE }
	m.revision = "2024-11-05"
	s := m.session(t, p.URL+"/sse", nil)
	p.server.CloseClientConnections()
	// The stream may break a moment later; a call under way is told so, and the next one works.
	for range 20 {
		if _, err := tryText(s, "get_forecast", nil); err == nil {
			break
		} else if !strings.Contains(err.Error(), "broke off") && !strings.Contains(err.Error(), "can't be reached") {
			t.Fatal(err)
		}
	}
	callText(t, s, "get_forecast", nil)
}

func TestServerThatLostItsSessionsGetsANewOneUnseen(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	m.revision = "2025-11-25"
	s := m.session(t, p.URL+"/mcp", nil)
	callText(t, s, "get_forecast", nil)
	p.restart()
	callText(t, s, "get_forecast", nil)
	m.wantLog(t, "the server has lost the session, and a new one is opened")
	p.want(t, 1, 1, 0)
}

func TestServerThatRestartsIsWaitedFor(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	address := p.server.Listener.Addr().String()
	p.server.CloseClientConnections()
	_ = p.server.Listener.Close()
	p.server.Config.SetKeepAlivesEnabled(false)
	back := make(chan *http.Server)
	go func() {
		m.await(func() bool { return refuses(address) })
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
		}
		next := &http.Server{Handler: p}
		go func() { _ = next.Serve(l) }()
		back <- next
	}()
	if _, err := tryText(s, "get_forecast", nil); err != nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	defer (<-back).Close()
	callText(t, s, "get_forecast", nil)
}

func refuses(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

func TestOfflineStartSaysSoAndWorksOnceTheNetworkIsThere(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	_ = m.session(t, p.URL+"/mcp", nil).Close()
	var offline atomic.Bool
	offline.Store(true)
	m.change = func(o *bridge.ConnectOptions) {
		o.Client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if offline.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("network is unreachable")}
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}}}
	}
	w := m.wire(t, p.URL+"/mcp")
	w.say(hello)
	text := errorOf(w.answer("1"))
	for _, word := range []string{"the server " + p.URL + "/mcp can't be reached", "network is unreachable", "check the network and the address, and try again"} {
		if !strings.Contains(text, word) {
			t.Errorf("the message does not say %q: %s", word, text)
		}
	}
	offline.Store(false)
	w.say(hello)
	if answer := w.answer("1"); answer["result"] == nil {
		t.Errorf("got %v", answer)
	}
	p.want(t, 1, 1, 0)
}

// silly is a server that answers every POST in one way.
func silly(t testing.TB, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/mcp"
}

func TestAnswersThatAreNoneBecomeErrorsThatSayWhy(t *testing.T) {
	tests := map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a web page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<h1>hello</h1>")
		}, "is this the address of an MCP server?"},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{\"jsonrpc\":\n oops")
		}, "it is not a JSON-RPC message"},
		"a stream without an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": nothing\n\n")
		}, "broke off before it answered"},
		"too many requests": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "429 Too Many Requests, and wants to be asked again after 30 seconds"},
		"a bad gateway": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "502 Bad Gateway"},
		"forbidden":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "403 Forbidden"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:9/mcp", http.StatusTemporaryRedirect)
		}, "it redirects to 127.0.0.1:9, which is somebody else"},
		"gzip that nobody asked for": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "{}")
		}, "Content-Encoding"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			w := m.wire(t, silly(t, tt.handler))
			w.say(hello)
			if text := errorOf(w.answer("1")); !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q in it", text, tt.want)
			}
			m.wantClean(t, nil)
		})
	}
}

// What stands in the middle of a message may break lines; what the client gets may not.
func TestMessagesOfTheServerBecomeOneLineEach(t *testing.T) {
	m := newMachine(t)
	w := m.wire(t, silly(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\": \"2.0\",\r\ndata: \"method\": \"notifications/message\"}\r\n\r\n"+
			"event: other\ndata: no message\n\ndata: garbage\n\n"+
			"data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{}}\n\n")
	}))
	w.say(hello)
	if got := w.next()["method"]; got != "notifications/message" {
		t.Errorf("got %v first", got)
	}
	if got := w.next()["result"]; got == nil {
		t.Error("the answer did not come second")
	}
	m.wantClean(t, nil)
	m.wantLog(t, "the server sent something that is no message")
}

func TestGarbageFromTheClientIsAnsweredAndTheRestGoesOn(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	w := m.wire(t, p.URL+"/mcp")
	w.say("", "garbage", `{"jsonrpc":"2.0","id":7}`, hello)
	if text := errorOf(w.next()); !strings.Contains(text, "not one well-formed JSON-RPC message") {
		t.Errorf("got %q", text)
	}
	if text := errorOf(w.answer("7")); text == "" {
		t.Error("no error for a message without a method")
	}
	if w.answer("1")["result"] == nil {
		t.Error("initialize was not answered")
	}
}

func TestBatchIsTakenApart(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	m.revision = "2025-03-26"
	w := m.wire(t, p.URL+"/mcp")
	w.say(hello)
	w.answer("1")
	w.say(`[{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":2,"method":"tools/list"},{"jsonrpc":"2.0","id":3,"method":"ping"}]`)
	seen := map[any]bool{}
	for range 2 {
		seen[w.next()["id"]] = true
	}
	if diff := cmp.Diff(map[any]bool{2.0: true, 3.0: true}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestCancellingHangsUpInTheNewestRevision(t *testing.T) {
	hungUp := make(chan struct{})
	m := newMachine(t)
	started := make(chan struct{})
	w := m.wire(t, silly(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Method") == "notifications/cancelled" {
			t.Error("the notification was sent")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		close(started)
		<-r.Context().Done()
		close(hungUp)
	}))
	w.say(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	<-started
	w.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`)
	select {
	case <-hungUp:
	case <-time.After(10 * time.Second):
		t.Fatal("the call was not given up")
	}
}

func TestCancellingIsToldToServersOfOlderRevisions(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	m.revision = "2025-11-25"
	s := m.session(t, p.URL+"/mcp", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "wait", Arguments: map[string]any{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	callText(t, s, "get_forecast", nil)
}

func TestSubscriptionThatTheServerEndsIsCancelledForTheClient(t *testing.T) {
	m := newMachine(t)
	w := m.wire(t, silly(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n")
	}))
	w.say(`{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	if got := w.next()["method"]; got != "notifications/subscriptions/acknowledged" {
		t.Errorf("got %v first", got)
	}
	want := map[string]any{"requestId": 5.0, "reason": "the server closed the stream"}
	if diff := cmp.Diff(want, w.next()["params"]); diff != "" {
		t.Error(diff)
	}
}

func TestClosedInputEndsTheBridgeAfterTheLastAnswer(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	r := m.run(t, p.URL+"/mcp")
	_, _ = fmt.Fprintln(r.in, hello)
	_ = r.in.Close()
	line, err := bufio.NewReader(r.out).ReadString('\n')
	if err != nil || !strings.Contains(line, `"result"`) {
		t.Errorf("got %q %v", line, err)
	}
	<-r.done
	if r.err != nil {
		t.Error(r.err)
	}
}
