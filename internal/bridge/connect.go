package bridge

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// drainTime is how long answers may still come when the MCP client has closed its end.
const drainTime = 3 * time.Second

// Connect carries messages between an MCP client on stdio and a protected server, and signs the person in
// where the server wants it. It returns when the client closes its end, or when the context ends.
func Connect(ctx context.Context, o ConnectOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	log := newLogger(o.Log, o.level())
	out := &output{w: o.Out}
	somebody := &person{options: &o.SignIn, log: log, stderr: o.Log, out: out}
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	a := newAccess(&o, log, somebody)
	working.Go(func() { a.run(ctx) })
	b := &bridge{
		log: log, out: out, person: somebody, calls: map[mcpwire.ID]*call{},
		remote: newRemote(&o, a, out, log), working: &working,
	}
	return b.run(ctx, o.Streams)
}

// bridge is one connection between a client and a server.
type bridge struct {
	log     *slog.Logger
	out     *output
	person  *person
	remote  *remote
	working *sync.WaitGroup

	mu    sync.Mutex
	calls map[mcpwire.ID]*call
}

// call is a request of the client that was not answered yet.
type call struct {
	method string
	modern bool // of a revision in which hanging up is how to cancel
	cancel context.CancelFunc
	done   chan struct{}
}

func (b *bridge) run(ctx context.Context, s Streams) error {
	type arrival struct {
		m   *mcpwire.Message
		err error
	}
	arrivals := make(chan arrival)
	// Reading standard input can't be interrupted: when the context ends, this goroutine ends with the process.
	go func() {
		defer close(arrivals)
		for m, err := range messages(s.In) {
			select {
			case arrivals <- arrival{m, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	turn := make(chan struct{})
	close(turn)
	for {
		select {
		case <-ctx.Done():
			return b.end()
		case a, more := <-arrivals:
			var refusal *mcpwire.Error
			switch {
			case !more:
				b.drain()
				return b.end()
			case errors.As(a.err, &refusal):
				b.log.Warn("the MCP client sent something that is no message", "why", refusal)
				_ = b.out.message(refusal.Body())
			case a.err != nil:
				return a.err
			default:
				turn = b.take(ctx, a.m, turn)
			}
		}
	}
}

// take starts work on a message. Messages are sent in the order in which they came: each waits for its turn,
// which is when the one before it is on its way.
func (b *bridge) take(ctx context.Context, m *mcpwire.Message, turn chan struct{}) (next chan struct{}) {
	switch {
	case m.Kind() == mcpwire.Response && b.person.answered(m):
		return turn
	case m.Method() == "notifications/cancelled" && b.cancelled(m):
		return turn
	case m.Method() == "initialize":
		b.person.introduce(m)
	case m.Method() == "notifications/initialized":
		b.person.initialized()
	}
	next = make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	c := &call{method: m.Method(), modern: isModern(m), cancel: cancel, done: make(chan struct{})}
	if m.Kind() == mcpwire.Request {
		b.mu.Lock()
		b.calls[m.ID()] = c
		b.mu.Unlock()
	}
	sent := sync.OnceFunc(func() { close(next) })
	b.working.Go(func() {
		defer cancel()
		defer sent()
		defer close(c.done)
		select {
		case <-turn:
		case <-ctx.Done():
		}
		b.deliver(ctx, m, sent)
		b.mu.Lock()
		if b.calls[m.ID()] == c {
			delete(b.calls, m.ID())
		}
		b.mu.Unlock()
	})
	return next
}

// deliver sends a message and lets its answer through. Whatever goes wrong with a request is its answer.
func (b *bridge) deliver(ctx context.Context, m *mcpwire.Message, sent func()) {
	err := b.remote.send(ctx, m, sent)
	if err == nil || ctx.Err() != nil {
		return // answered, or nobody waits any more
	}
	b.log.Warn("a message was not delivered", "method", m.Method(), "why", err)
	if m.Kind() == mcpwire.Request {
		_ = b.out.failure(m.ID(), mcpwire.CodeInternal, "Genkan: "+oneLine(err.Error()))
	}
}

// cancelled stops a request that the client does not want any more, where hanging up is the way to say so
// (2026-07-28, Cancellation), and where it was not even sent. Otherwise the server is told.
func (b *bridge) cancelled(m *mcpwire.Message) bool {
	raw, _ := m.Param("requestId")
	b.mu.Lock()
	c := b.calls[mcpwire.ID(raw)]
	b.mu.Unlock()
	if c == nil {
		return false
	}
	if c.modern {
		c.cancel()
		return true
	}
	return false
}

// drain waits for the answers that are still due, but not for streams that never end.
func (b *bridge) drain() {
	timeout := time.After(drainTime)
	b.mu.Lock()
	var due []chan struct{}
	for _, c := range b.calls {
		if c.method != "subscriptions/listen" {
			due = append(due, c.done)
		}
	}
	b.mu.Unlock()
	for _, done := range due {
		select {
		case <-done:
		case <-timeout:
			return
		}
	}
}

// end closes the session at the server.
func (b *bridge) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	b.remote.close(ctx)
	return nil
}

// isModern says whether a message names its revision itself, as all do since 2026-07-28.
func isModern(m *mcpwire.Message) bool {
	version := m.ProtocolVersion()
	return m.Method() != "initialize" && version != "" && strings.Compare(version, mcpwire.Revision2026_07_28) >= 0
}
