package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// errOlderTransport means that the server doesn't take POST at its address, as those of revision 2024-11-05.
var errOlderTransport = errors.New("the server seems to speak the older transport")

// legacy is a connection of the older transport: one stream for everything that comes, an address for
// everything that goes (2024-11-05, Transports §HTTP with SSE).
type legacy struct {
	endpoint string
	hangUp   context.CancelFunc
	gone     chan struct{} // closed when the stream has ended

	mu      sync.Mutex
	waiting map[mcpwire.ID]*awaited
}

// awaited is a request whose answer comes on the stream.
type awaited struct {
	m     *mcpwire.Message
	quiet bool // the client doesn't see the answer
	done  chan struct{}
}

func (r *remote) sendLegacy(ctx context.Context, m *mcpwire.Message, sent func()) error {
	for again := false; ; again = true {
		l, err := r.connected(ctx, m)
		if err != nil {
			return err
		}
		err = r.postLegacy(ctx, l, m, sent, false)
		if !errors.Is(err, errUnknownStream) || again {
			return err
		}
		l.hangUp()
		<-l.gone
	}
}

// errUnknownStream means that the server has ended the stream, and we have not noticed yet.
var errUnknownStream = errors.New("the server does not know the stream any more")

// connected gives the connection, and opens one where there is none. A client that has said initialize before is
// not bothered with it again.
func (r *remote) connected(ctx context.Context, m *mcpwire.Message) (*legacy, error) {
	r.opening.Lock()
	defer r.opening.Unlock()
	r.mu.Lock()
	l, initialize := r.legacy, r.initialize
	r.mu.Unlock()
	if l != nil && !l.ended() {
		return l, nil
	}
	l, err := r.connectLegacy(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.legacy = l
	r.mu.Unlock()
	if m.Method() == "initialize" || len(initialize) == 0 {
		return l, nil
	}
	hello, initialized, err := handshake(initialize)
	if err != nil {
		return nil, err
	}
	if err := r.postLegacy(ctx, l, hello, func() {}, true); err != nil {
		return nil, err
	}
	return l, r.postLegacy(ctx, l, initialized, func() {}, true)
}

func (l *legacy) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// connectLegacy opens the stream, whose first event names the address to post to.
func (r *remote) connectLegacy(ctx context.Context) (*legacy, error) {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, hangUp) // until the connection stands
	resp, err := r.authorised(ctx, false, func(token string) (*http.Response, error) {
		return r.dial(ctx, func() (*http.Request, error) {
			return r.request(life, http.MethodGet, r.url, token, session{}, nil)
		})
	})
	if err != nil {
		hangUp()
		return nil, err
	}
	shape, err := mcpwire.ShapeOf(resp.Header)
	if err != nil || shape != mcpwire.Stream || resp.StatusCode != http.StatusOK {
		discard(resp)
		hangUp()
		return nil, fmt.Errorf("the server speaks neither streamable HTTP nor the older transport (it answered %s): is this the address of an MCP server?", resp.Status)
	}
	l := &legacy{hangUp: hangUp, gone: make(chan struct{}), waiting: map[mcpwire.ID]*awaited{}}
	named := make(chan error, 1)
	r.streams.Go(func() {
		defer hangUp()
		defer close(l.gone)
		r.readLegacy(l, resp, named)
	})
	select {
	case err = <-named:
	case <-l.gone:
		err = errors.New("the server closed the stream before it named an address")
	}
	if !stop() || err != nil {
		hangUp()
		return nil, errors.Join(err, ctx.Err())
	}
	return l, nil
}

// readLegacy lets through everything that comes.
func (r *remote) readLegacy(l *legacy, resp *http.Response, named chan<- error) {
	defer func() { _ = resp.Body.Close() }()
	for e, err := range events(resp.Body) {
		switch {
		case err != nil:
			r.log.Debug("the stream of the server broke off", "why", err)
			return
		case e.kind == "endpoint" && l.endpoint == "":
			address, err := endpointOf(r.url, string(e.data))
			l.endpoint = address
			named <- err
			if err != nil {
				return
			}
		case e.isMessage():
			r.passLegacy(l, e.data)
		}
	}
}

// endpointOf reads the address to post to. It must be at the same server, for the token goes there.
func endpointOf(base, named string) (string, error) {
	from, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	to, err := from.Parse(named)
	if err != nil || to.Scheme != from.Scheme || to.Host != from.Host || to.User != nil {
		return "", fmt.Errorf("the server names an address of somebody else to post to: %q", oneLine(named))
	}
	return to.String(), nil
}

func (r *remote) passLegacy(l *legacy, raw []byte) {
	var message struct {
		ID json.RawMessage `json:"id"`
	}
	var answered *awaited
	if json.Unmarshal(raw, &message) == nil {
		l.mu.Lock()
		if a := l.waiting[mcpwire.ID(message.ID)]; a != nil && answers(a.m, raw) {
			answered = a
			delete(l.waiting, mcpwire.ID(message.ID))
		}
		l.mu.Unlock()
	}
	if answered != nil {
		defer close(answered.done)
		if answered.quiet {
			return
		}
	}
	if err := r.out.message(raw); err != nil {
		r.log.Warn("the server sent something that is no message, and it was left out", "why", err)
	}
}

// postLegacy sends a message and, for a request, waits until its answer has come on the stream.
func (r *remote) postLegacy(ctx context.Context, l *legacy, m *mcpwire.Message, sent func(), quiet bool) error {
	a := &awaited{m: m, quiet: quiet, done: make(chan struct{})}
	if m.Kind() == mcpwire.Request {
		l.mu.Lock()
		l.waiting[m.ID()] = a
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			delete(l.waiting, m.ID())
			l.mu.Unlock()
		}()
	}
	resp, err := r.authorised(ctx, false, func(token string) (*http.Response, error) {
		return r.dial(ctx, func() (*http.Request, error) {
			return r.request(ctx, http.MethodPost, l.endpoint, token, session{}, m.Bytes())
		})
	})
	if err != nil {
		return err
	}
	discard(resp)
	if resp.StatusCode == http.StatusNotFound {
		return errUnknownStream
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	sent()
	if m.Kind() != mcpwire.Request {
		return nil
	}
	select {
	case <-a.done:
		return nil
	case <-l.gone:
		return errors.New("the server broke off before it answered: it closed the stream")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func readAll(resp *http.Response) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, messageLimit))
	if err != nil {
		return nil, fmt.Errorf("the server broke off in the middle of its answer: %w", err)
	}
	return raw, nil
}
