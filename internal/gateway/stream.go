package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// The sizes of the buffers that answers are copied with. Ten thousand streams that wait hold one each, so theirs
// are small.
const (
	wholeSize = 32 << 10
	eventSize = 2 << 10
)

// size says which of the two an answer needs.
type size int

const (
	wholes size = iota
	events
)

// pools lend the buffers out.
type pools struct{ whole, event sync.Pool }

func (p *pools) get(s size) *[]byte {
	pool, length := &p.whole, wholeSize
	if s == events {
		pool, length = &p.event, eventSize
	}
	if b, ok := pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, length)
	return &b
}

func (p *pools) put(s size, b *[]byte) {
	if s == events {
		p.event.Put(b)
		return
	}
	p.whole.Put(b)
}

// stream passes events on as they come, and ends when the session behind it ends.
func (x *exchange) stream(resp *upstream.Response) error {
	x.streamHead(resp.Status)
	done := x.g.Metrics.Stream(x.server.Name)
	defer done()
	guard := x.guard(resp.Body)
	defer guard.stop()
	return x.copy(resp.Body, events)
}

// streamHead begins an answer that is a stream.
func (x *exchange) streamHead(status int) {
	h := x.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-store, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx would hold events back
	x.writeHead(status)
	_ = http.NewResponseController(x.w).Flush() // if the client has left, the first write says so
}

// writeEvent writes an event of our own and says whether the client is still there.
func (x *exchange) writeEvent(kind string, data []byte) bool {
	controller := http.NewResponseController(x.w)
	_ = controller.SetWriteDeadline(time.Now().Add(x.g.BodyTimeout))
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	event := make([]byte, 0, len(data)+32)
	event = append(append(append(event, "event: "...), kind...), "\ndata: "...)
	event = append(append(event, data...), "\n\n"...)
	if _, err := x.w.Write(event); err != nil { //nolint:gosec // an event stream: no browser takes it for a page
		return false
	}
	return controller.Flush() == nil
}

// copy writes what comes, flushing after each read of events. A client that takes nothing for BodyTimeout is given
// up.
func (x *exchange) copy(body io.Reader, s size) error {
	buffer := x.g.pools.get(s)
	defer x.g.pools.put(s, buffer)
	controller := http.NewResponseController(x.w)
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	for {
		n, err := body.Read(*buffer)
		if n > 0 {
			_ = controller.SetWriteDeadline(time.Now().Add(x.g.BodyTimeout)) // of the network, not of our clock
			if _, err := x.w.Write((*buffer)[:n]); err != nil {              //nolint:gosec // JSON or events, and nosniff
				x.event.Detail = "the client left before the end of the answer"
				return nil // nobody is there to be told
			}
			if s == events && controller.Flush() != nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return x.cutOff(err)
		}
	}
}

// cutOff ends an answer that has begun and can't be finished: the client must see that it is not whole.
func (x *exchange) cutOff(err error) error {
	if x.ctx.Err() != nil {
		return nil
	}
	if x.g.drain.Err() != nil && x.idle || errors.Is(err, errSessionEnded) {
		return nil
	}
	x.g.Metrics.UpstreamFailed(x.server.Name, "cut_off")
	x.abort = true
	return &problem{status: http.StatusBadGateway, message: "the server behind broke off in the middle of its answer",
		cause: fmt.Errorf("answer of %s: %w", x.server.Name, err)}
}

// errSessionEnded is why a stream is ended by us.
var errSessionEnded = errors.New("the session has ended")

// watch looks, again and again, whether the token of an open stream is still good.
type watch struct {
	x     *exchange
	body  io.Closer
	mu    sync.Mutex // above timer and ended
	timer *time.Timer
	ended bool
}

// guard begins to watch; when the session ends, the body is closed.
func (x *exchange) guard(body io.Closer) *watch {
	w := &watch{x: x, body: body}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(x.g.Recheck, w.look)
	return w
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}

// look checks the token. A store that can't be asked ends no stream: what flows was allowed, and new requests
// are refused meanwhile. A token that expired ends a stream that only waits; an answer may be finished.
func (w *watch) look() {
	ctx, cancel := context.WithTimeout(w.x.ctx, w.x.g.Recheck)
	defer cancel()
	_, err := w.x.authenticate(ctx, w.x.token)
	refusal, refused := errors.AsType[*policy.Refusal](err)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ended:
	case refused && (w.x.idle || refusal.Check != policy.CheckExpiry):
		w.ended = true
		_ = w.body.Close()
	default:
		w.timer.Reset(w.x.g.Recheck)
	}
}
