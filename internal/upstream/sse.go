package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// SSEConfig says how to reach a server that speaks the HTTP with events of 2024-11-05.
type SSEConfig struct {
	URL       *url.URL // of the event stream, often /sse
	Transport http.RoundTripper
	Timeout   time.Duration // of a request; zero: 5 minutes
	Idle      time.Duration // after which a connection that nobody uses is ended; zero: 10 minutes
	Sessions  int           // how many at most; zero: 10,000
	Logger    *slog.Logger
}

var _ Upstream = (*SSE)(nil)

// SSE is a server of the older transport: one event stream a session, on which all answers come. A request that
// belongs to no session goes on a stream that its person keeps for such.
type SSE struct {
	SSEConfig
	all    sync.WaitGroup
	ctx    context.Context // ended by Close
	cancel context.CancelFunc

	mu     sync.Mutex              // above the rest
	boards map[string]*switchboard // by session ID, or by person
	closed bool
}

// connectPatience bounds the time until the endpoint is known.
const connectPatience = 10 * time.Second

// NewSSE checks the configuration; it does not connect yet.
func NewSSE(c SSEConfig) (*SSE, error) {
	if _, err := NewHTTP(HTTPConfig{URL: c.URL, Transport: c.Transport}); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	if c.Sessions == 0 {
		c.Sessions = 10_000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	u := &SSE{SSEConfig: c, boards: map[string]*switchboard{}}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u, nil
}

// Forward takes a request to the stream of its session.
func (u *SSE) Forward(ctx context.Context, r *Request) (*Response, error) {
	if r.Session != "" {
		return u.forwardSession(ctx, r)
	}
	if r.Method != http.MethodPost {
		return notAllowed(), nil
	}
	if r.Message.Method() == "initialize" {
		g := newGuest(r.Person)
		s, err := u.connect(ctx, g.id, r)
		if err != nil {
			return answer(nil, err)
		}
		if err := s.enter(g); err != nil {
			return answer(nil, err)
		}
		return s.post(ctx, g, r)
	}
	key := "person\x00" + r.Person
	u.mu.Lock()
	s := u.boards[key]
	u.mu.Unlock()
	if s == nil {
		var err error
		if s, err = u.connect(ctx, key, r); err != nil {
			return answer(nil, err)
		}
	}
	return s.post(ctx, nil, r)
}

func (u *SSE) forwardSession(ctx context.Context, r *Request) (*Response, error) {
	u.mu.Lock()
	s := u.boards[r.Session]
	u.mu.Unlock()
	var g *guest
	if s != nil {
		g = s.guest(r.Session)
	}
	if g == nil || g.person != r.Person {
		return nil, &Error{Reason: Ended, Cause: errors.New("no such session")}
	}
	switch r.Method {
	case http.MethodPost:
		return s.post(ctx, g, r)
	case http.MethodGet:
		return streamed(ctx, s.listen(g)), nil
	default:
		s.stop()
		return &Response{Status: http.StatusNoContent, Body: http.NoBody}, nil
	}
}

// connect opens a stream and waits until its endpoint is known.
func (u *SSE) connect(ctx context.Context, key string, r *Request) (*switchboard, error) {
	u.mu.Lock()
	full := len(u.boards) >= u.Sessions || u.closed
	u.mu.Unlock()
	if full {
		return nil, &Error{Reason: Busy, Cause: errors.New("too many sessions, or closed")}
	}
	line := &eventLine{url: u.URL, transport: u.Transport, ready: make(chan struct{})}
	line.ctx, line.stop = context.WithCancel(u.ctx)
	if err := line.open(ctx, r); err != nil {
		line.stop()
		return nil, err
	}
	s := newSwitchboard(line, u.Timeout, u.Logger)
	u.mu.Lock()
	if other := u.boards[key]; other != nil { // of two at once, one is enough
		u.mu.Unlock()
		line.stop()
		_ = line.body.Close()
		return other, nil
	}
	u.boards[key] = s
	u.mu.Unlock()
	u.all.Go(func() { u.run(key, s) })
	u.all.Go(func() { u.watch(s) })
	select {
	case <-line.ready:
		return s, nil
	case <-s.done:
		return nil, &Error{Reason: Unreachable, Cause: errors.New("the stream ended before it named its endpoint")}
	case <-ctx.Done():
		s.stop()
		return nil, ctx.Err()
	case <-time.After(connectPatience):
		s.stop()
		return nil, &Error{Reason: Timeout, Cause: errors.New("no endpoint was named")}
	}
}

func (u *SSE) run(key string, s *switchboard) {
	err := s.run()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.boards[key] == s {
		delete(u.boards, key)
	}
	if !s.wanted() && !u.closed {
		u.Logger.Info("an event stream of a server behind ended", slog.Any("error", err))
	}
}

func (u *SSE) watch(s *switchboard) {
	tick := time.NewTicker(max(u.Idle/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-u.ctx.Done():
			s.stop()
			return
		case now := <-tick.C:
			if s.stopIfIdle(now, u.Idle) {
				return
			}
		}
	}
}

// Close ends all streams.
func (u *SSE) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	u.all.Wait()
	return nil
}

// eventLine is one event stream, and the endpoint to which messages are sent.
type eventLine struct {
	url       *url.URL
	transport http.RoundTripper
	ctx       context.Context // the life of the stream
	stop      context.CancelFunc
	body      io.ReadCloser

	endpoint *url.URL      // set before ready is closed
	ready    chan struct{} // closed once
}

var _ duplex = (*eventLine)(nil)

// open asks for the stream. Whoever opens a session is shown to the server behind; the stream then lives longer than
// the request that opened it.
func (l *eventLine) open(ctx context.Context, r *Request) error {
	req := (&http.Request{
		Method: http.MethodGet, URL: l.url, Host: l.url.Host,
		Header: (&Request{Method: http.MethodGet, Accept: typeEvents, Credential: r.Credential, RequestID: r.RequestID}).header(),
	}).WithContext(l.ctx)
	timer := time.AfterFunc(connectPatience, l.stop)
	defer timer.Stop()
	left := context.AfterFunc(ctx, l.stop)
	defer left()
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return &Error{Reason: Unreachable, Cause: err}
	}
	if resp.StatusCode == http.StatusUnauthorized {
		_ = resp.Body.Close()
		return &unauthorizedError{challenge: resp.Header.Values("Www-Authenticate")}
	}
	found, err := read(resp)
	if err == nil && found.Shape == mcpwire.Stream && found.Status == http.StatusOK {
		l.body = resp.Body
		return nil
	}
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	return &Error{Reason: Garbage, Cause: fmt.Errorf("status %d with type %q in place of an event stream", resp.StatusCode, found.Type)}
}

// run reads events until the stream ends.
func (l *eventLine) run(deliver func([]byte)) error {
	stream := mcpwire.EditEvents(l.body, int(serverLimits().Bytes), func(e mcpwire.Event) (mcpwire.Verdict, []byte) {
		switch e.Type {
		case "endpoint":
			l.meet(string(bytes.TrimSpace(e.Data)))
		case "", "message":
			deliver(e.Data)
		}
		return mcpwire.Remove, nil
	})
	_, err := io.Copy(io.Discard, stream)
	_ = stream.Close()
	l.stop()
	return err
}

// meet takes the endpoint that the server names. It must be at the server's own origin: it is where our credential
// goes.
func (l *eventLine) meet(address string) {
	if l.endpoint != nil {
		return
	}
	endpoint, err := l.url.Parse(address)
	if err != nil || endpoint.Scheme != l.url.Scheme || endpoint.Host != l.url.Host || endpoint.User != nil {
		l.stop()
		return
	}
	l.endpoint = endpoint
	close(l.ready)
}

// send posts one message.
func (l *eventLine) send(ctx context.Context, message []byte, c Credential) error {
	select {
	case <-l.ready:
	default:
		return errGone
	}
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	header := (&Request{Method: http.MethodPost, Accept: typeJSON, Credential: c}).header()
	req := (&http.Request{
		Method: http.MethodPost, URL: l.endpoint, Host: l.endpoint.Host, Header: header,
		ContentLength: int64(len(message)), Body: io.NopCloser(bytes.NewReader(message)),
	}).WithContext(ctx)
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return &Error{Reason: Unreachable, Cause: err}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusUnauthorized {
		return &unauthorizedError{challenge: resp.Header.Values("Www-Authenticate")}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &Error{Reason: Garbage, Cause: fmt.Errorf("status %d for a message", resp.StatusCode)}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) // so that the connection can be used again
	return nil
}

// close ends the stream.
func (l *eventLine) close() { l.stop() }
