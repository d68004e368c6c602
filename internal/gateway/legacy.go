package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// The transport of 2024-11-05: a client opens a stream of events, is told an endpoint, posts its messages there, and
// gets all answers on the stream. The session is in the memory of this process: replicas need a balancer that keeps
// a client where it is.

// legacyPaths are where the older transport is served, beside the newer one.
func legacyPaths(path string) (stream, message string) {
	base := strings.TrimSuffix(strings.TrimSuffix(path, "/mcp"), "/")
	return base + "/sse", base + "/message"
}

// maxUnread is how many messages wait for a client that reads slowly, before its session ends.
const maxUnread = 256

// legacySession is one stream and what is under way for it.
type legacySession struct {
	server *server
	ctx    context.Context // the life of the session
	end    context.CancelFunc
	out    chan []byte
	work   sync.WaitGroup

	mu       sync.Mutex // above the rest
	closed   bool
	upstream string // the session ID of the server behind
	heard    bool   // its standing stream is open
}

// legacySessions are those of this process.
type legacySessions struct {
	mu  sync.Mutex // above all
	all map[string]*legacySession
}

func (l *legacySessions) add(id string, s *legacySession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*legacySession{}
	}
	l.all[id] = s
}

func (l *legacySessions) get(id string) *legacySession {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[id]
}

func (l *legacySessions) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, id)
}

// deliver puts a message on the stream.
func (s *legacySession) deliver(message []byte) {
	select {
	case s.out <- message:
	case <-s.ctx.Done():
	default:
		s.end() // it does not read: what was lost can't be made up for
	}
}

// begin counts a piece of work, if the session is still there.
func (s *legacySession) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// legacyBinding ties the ID of a legacy session to whoever opened it, as sessions of the newer transport are.
func (x *exchange) legacyBinding() secret.Binding {
	b := x.binding()
	b.Kind = "mcp-legacy-session"
	return b
}

// legacyStream serves GET on the older transport's address.
func (x *exchange) legacyStream() error {
	switch x.r.Method {
	case http.MethodGet:
	case http.MethodOptions:
		return x.preflight()
	default: // newer clients try a POST first, and then know
		x.quiet = true
		return x.methodNotAllowed()
	}
	if err := x.admit(); err != nil {
		return err
	}
	x.idle, x.quiet = true, true
	done, err := x.limit()
	if err != nil {
		return err
	}
	defer done()
	s := &legacySession{server: x.server, out: make(chan []byte, maxUnread)}
	s.ctx, s.end = context.WithCancel(x.ctx)
	defer s.end()
	defer context.AfterFunc(x.g.drain, s.end)()
	sealed, err := x.g.SessionIDs.Seal(x.legacyBinding(), []byte(x.event.RequestID))
	if err != nil {
		return err
	}
	x.g.legacy.add(x.event.RequestID, s)
	defer x.closeLegacy(s)
	_, message := legacyPaths(x.server.path)
	x.streamHead(http.StatusOK)
	if !x.writeEvent("endpoint", []byte(message+"?sessionId="+base64.RawURLEncoding.EncodeToString(sealed))) {
		return nil
	}
	streaming := x.g.Metrics.Stream(x.server.Name)
	defer streaming()
	guard := x.guard(closer(s.end))
	defer guard.stop()
	for {
		select {
		case message := <-s.out:
			if !x.writeEvent("message", message) {
				return nil
			}
		case <-s.ctx.Done():
			return nil
		}
	}
}

// closer makes a Closer of a function.
type closer func()

func (c closer) Close() error { c(); return nil }

// closeLegacy ends a session and what is under way for it, here and at the server behind.
func (x *exchange) closeLegacy(s *legacySession) {
	x.g.legacy.remove(x.event.RequestID)
	s.mu.Lock()
	s.closed = true
	session := s.upstream
	s.mu.Unlock()
	s.end()
	s.work.Wait()
	if session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), x.g.Recheck)
	defer cancel()
	x.session = session
	shown, err := x.server.Credential.Show(ctx, x.caller)
	if err != nil {
		return // the server behind forgets the session by itself in time
	}
	r := x.request(http.MethodDelete)
	r.Credential = shown
	if resp, err := x.server.Upstream.Forward(ctx, r); err == nil {
		_ = resp.Body.Close()
	}
}

// legacyMessage serves POST at the endpoint that a stream named. It says only that the message was taken; what comes
// of it comes on the stream.
func (x *exchange) legacyMessage() error {
	if x.r.Method == http.MethodOptions {
		return x.preflight()
	}
	if x.r.Method != http.MethodPost {
		x.quiet = true
		return x.methodNotAllowed()
	}
	if err := x.admit(); err != nil {
		return err
	}
	s, err := x.openLegacy()
	if err != nil {
		return err
	}
	if err := x.read(); err != nil {
		return err
	}
	s.mu.Lock()
	x.session = s.upstream
	s.mu.Unlock()
	if !s.begin() {
		return x.noSession()
	}
	y := *x // goes on after this request is answered
	y.detached = s
	y.ctx = context.WithoutCancel(x.ctx)
	go func() {
		defer s.work.Done()
		y.end(y.legacyForward())
	}()
	x.detached, x.quiet, x.span = s, true, nil
	x.writeHead(http.StatusAccepted)
	return nil
}

func (x *exchange) openLegacy() (*legacySession, error) {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil || len(query["sessionId"]) != 1 || len(query) != 1 {
		return nil, x.badRequest("the address must have the sessionId that the stream named, and nothing else")
	}
	shown := query.Get("sessionId")
	sealed, err := base64.RawURLEncoding.DecodeString(shown)
	if err != nil || len(shown) > maxSession {
		return nil, x.noSession()
	}
	id, err := x.g.SessionIDs.Open(x.legacyBinding(), sealed)
	if err != nil {
		return nil, x.noSession()
	}
	s := x.g.legacy.get(string(id))
	if s == nil || s.server != x.server {
		return nil, x.noSession()
	}
	return s, nil
}

func (x *exchange) noSession() error {
	// 404 makes a client begin a new session (MCP 2025-11-25, Transports, Session Management).
	return &problem{status: http.StatusNotFound, message: "session not found", plain: true,
		refusal: &policy.Refusal{Check: policy.CheckSession, Wanted: "a session that this identity opened with this client",
			Got: "another", Remedy: "begin a new session with initialize"}}
}

// legacyHeaders are the headers of a message on the older transport, which has none: what the body says, unless the
// client sent them all the same. Then they must agree.
func legacyHeaders(m *mcpwire.Message, sent http.Header) http.Header {
	headers := http.Header{}
	m.SetHeaders(headers)
	for name, values := range sent {
		if strings.HasPrefix(name, "Mcp-") {
			headers[name] = values
		}
	}
	return headers
}

// legacyForward decides on the message and takes it to the server behind.
func (x *exchange) legacyForward() error {
	if err := x.decide(); err != nil {
		return err
	}
	r := x.request(http.MethodPost)
	r.Accept = "application/json, text/event-stream"
	if err := x.forward(r); err != nil {
		return err
	}
	if x.event.Method == "notifications/initialized" {
		x.legacyListen()
	}
	return nil
}

// legacyListen opens the stream on which the server behind speaks first, once a session. A server that has none says
// so, and that is fine.
func (x *exchange) legacyListen() {
	s := x.detached
	s.mu.Lock()
	first := !s.heard && s.upstream != ""
	s.heard = s.heard || first
	s.mu.Unlock()
	if !first || !s.begin() {
		return
	}
	y := *x
	y.message, y.idle, y.quiet = nil, true, true
	y.event = audit.Event{Kind: audit.Call, Decision: audit.Allowed, Server: x.server.Name, Method: http.MethodGet}
	r := y.request(http.MethodGet)
	r.Accept = "text/event-stream"
	go func() {
		defer s.work.Done()
		_ = y.forward(r) // when it breaks, the client misses notifications, and nothing else
	}()
}

// deliverLegacy puts what the server behind answers on the stream.
func (x *exchange) deliverLegacy(resp *upstream.Response) error {
	s := x.detached
	if resp.Session != "" {
		s.mu.Lock()
		s.upstream = resp.Session
		s.mu.Unlock()
	}
	x.event.Status = resp.Status
	filter := x.filter()
	switch {
	case resp.Shape == mcpwire.Stream:
		body := resp.Body
		if filter != nil {
			body = filter.Events(body)
		}
		edited := mcpwire.EditEvents(body, maxBody, func(e mcpwire.Event) (mcpwire.Verdict, []byte) {
			if (e.Type == "" || e.Type == "message") && len(e.Data) > 0 {
				s.deliver(append([]byte(nil), e.Data...))
			}
			return mcpwire.Remove, nil
		})
		_, err := io.Copy(io.Discard, edited)
		if err != nil && s.ctx.Err() == nil {
			return x.upstreamProblem(err)
		}
		return nil
	case resp.Shape == mcpwire.JSON:
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
		if err == nil && filter != nil {
			body, err = filter.JSON(body)
		}
		if err != nil {
			return x.upstreamProblem(&upstream.Error{Reason: upstream.Garbage, Cause: err})
		}
		if len(body) > 0 {
			s.deliver(body)
		}
		return nil
	case resp.Status >= 300:
		return x.upstreamProblem(&upstream.Error{Reason: upstream.Garbage, Cause: errors.New("status " + http.StatusText(resp.Status))})
	}
	return nil
}
