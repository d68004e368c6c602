package redis_test

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"

	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

// lossy stands between client and server. When it is armed, it lets the next script through, and cuts the
// connection instead of passing the answer on.
type lossy struct {
	addr  string
	armed atomic.Bool
	lost  atomic.Int32
}

func newLossy(t *testing.T, server string) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &lossy{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client, server)
		}
	}()
	return p
}

func (p *lossy) serve(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	var cut atomic.Bool
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, err := upstream.Read(buffer)
			if cut.Load() || err != nil {
				_ = client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("evalsha")) && p.armed.CompareAndSwap(true, false) {
			p.lost.Add(1)
			cut.Store(true)
		}
		if _, err := upstream.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// The change was done and its answer was lost: the client library sends it again, and it must be recognised.
func TestThreat33_AChangeWhoseAnswerWasLostIsDoneOnce(t *testing.T) {
	server := storetest.StartRedis(t)
	wire := newLossy(t, server.Addr)
	s := open(t, redis.Config{Addrs: []string{wire.addr}})
	create(t, s, "zero") // the server knows the scripts from now on
	zero, err := s.Get(t.Context(), "sample", "zero")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if _, err := s.Swap(t.Context(), zero); err != nil {
		t.Fatalf("Swap: %v", err)
	}

	wire.armed.Store(true)
	create(t, s, "one")
	one, err := s.Get(t.Context(), "sample", "one")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	one.Value = []byte("swapped")
	wire.armed.Store(true)
	revision, err := s.Swap(t.Context(), one)
	if err != nil {
		t.Fatalf("Swap: %v", err)
	}
	got, err := s.Get(t.Context(), "sample", "one")
	if err != nil || got.Revision != revision || string(got.Value) != "swapped" {
		t.Errorf("Get = %+v, %v", got, err)
	}
	if n := wire.lost.Load(); n != 2 {
		t.Errorf("%d answers were lost, want 2", n)
	}
}
