package bridge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

func TestThreat17_ServerCanNotSendTokensOrMetadataRequestsElsewhere(t *testing.T) {
	tests := map[string]struct{ server, want string }{
		"plain http":     {"http://mcp.example/mcp", "would show your token to the network"},
		"no address":     {"weather", "is not the address of a server"},
		"another scheme": {"ftp://mcp.example/mcp", "is not a web address"},
		"a user in it":   {"https://me:secret@mcp.example/mcp", "has a user or a fragment"},
		"a fragment":     {"https://mcp.example/mcp#x", "has a user or a fragment"},
		"cloud metadata": {"https://169.254.169.254/mcp", "link-local"},
		"cloud, by IPv6": {"https://[fe80::a9fe:a9fe]/mcp", "link-local"},
		"mapped in IPv6": {"https://[::ffff:169.254.169.254]/mcp", "link-local"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			r := m.run(t, tt.server)
			_, _ = fmt.Fprintln(r.in, hello)
			out, _ := bufio.NewReader(r.out).ReadString('\n')
			_ = r.in.Close()
			<-r.done
			got := out
			if r.err != nil {
				got += r.err.Error()
			}
			if !strings.Contains(got, tt.want) || strings.Contains(got, "secret") {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestMetadataOfAnotherServerIsRefused(t *testing.T) {
	m := newMachine(t)
	for _, resource := range []string{"https://victim.example/mcp", "http://127.0.0.1/other", ""} {
		w := m.wire(t, silly(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource") {
				reply(w, 200, map[string]any{"resource": resource, "authorization_servers": []string{"https://login.example"}})
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		}))
		w.say(hello)
		if text := errorOf(w.answer("1")); !strings.Contains(text, "its metadata") {
			t.Errorf("resource %q: got %q", resource, text)
		}
	}
}

// The older transport lets a server say where to post to; elsewhere it would get the token.
func TestEndpointOfSomebodyElseIsRefused(t *testing.T) {
	m := newMachine(t)
	m.change = func(o *bridge.ConnectOptions) { o.Transport = bridge.SSE }
	w := m.wire(t, silly(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: https://evil.example/message\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	w.say(hello)
	if text := errorOf(w.answer("1")); !strings.Contains(text, "somebody else") {
		t.Errorf("got %q", text)
	}
}
