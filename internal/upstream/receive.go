package upstream

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

const progressPrefix = "genkan-"

// progressToken is our own token for the progress of a request.
func progressToken(n int64) string { return progressPrefix + strconv.FormatInt(n, 10) }

// receive takes one message of the server behind to whom it is for.
func (s *switchboard) receive(message []byte) {
	m, err := mcpwire.Parse(append([]byte(nil), message...), serverLimits())
	var e envelope
	if err == nil {
		e, err = open(m)
	}
	if err != nil {
		s.logger.Warn("the server behind sent something that is no message", slog.Any("error", err))
		return
	}
	switch m.Kind() {
	case mcpwire.Response:
		s.answered(e)
	case mcpwire.Request:
		s.asks(e)
	case mcpwire.Notification:
		s.tells(e)
	}
}

// answered brings an answer back under the client's own ID.
func (s *switchboard) answered(e envelope) {
	n, err := strconv.ParseInt(string(e.ID), 10, 64)
	if err != nil {
		return
	}
	p := s.forget(n)
	if p == nil {
		return // its client has left
	}
	if p.method == "initialize" {
		s.mu.Lock()
		s.settle(e.Result)
		s.mu.Unlock()
	}
	e.ID = json.RawMessage(p.id)
	e.Result = withSubscription(e.Result, p.id)
	if out, err := e.bytes(); err == nil {
		p.outlet.deliver(out)
	}
	p.outlet.end()
}

// settle ends the handshake; nil means that it failed, and the next guest begins anew. The mutex is held.
func (s *switchboard) settle(result json.RawMessage) {
	if s.hello.settled == nil || s.hello.result != nil {
		return
	}
	s.hello.result = append(json.RawMessage(nil), result...)
	if len(result) == 0 {
		s.hello.begun = false
		s.hello.result = nil
	}
	close(s.hello.settled)
	s.hello.settled = nil
}

// asks takes a request of the server behind to the one client that can answer it. Where there are several, none can:
// it would be asked in the name of another.
func (s *switchboard) asks(e envelope) {
	if e.Method == "ping" {
		s.respond(envelope{ID: e.ID, Result: json.RawMessage("{}")})
		return
	}
	g, out := s.sole()
	if out == nil {
		problem := json.RawMessage(`{"code":-32601,"message":"no client can answer this"}`)
		s.respond(envelope{ID: e.ID, Error: problem})
		return
	}
	s.mu.Lock()
	s.asked[string(e.ID)] = g
	s.mu.Unlock()
	if message, err := e.bytes(); err == nil {
		out.deliver(message)
	}
}

// respond answers the server behind ourselves.
func (s *switchboard) respond(e envelope) {
	message, err := e.bytes()
	if err != nil {
		return
	}
	// Not from the goroutine that reads: a server that writes before it reads would stop both.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.line.send(ctx, message, Credential{})
	}()
}

// sole is the only guest there is, and where it can be reached: best on a request that is under way.
func (s *switchboard) sole() (*guest, *outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared || len(s.guests) != 1 {
		return nil, nil
	}
	for _, g := range s.guests {
		return g, s.reach(g)
	}
	return nil, nil
}

// reach finds a stream of a guest. The mutex is held.
func (s *switchboard) reach(g *guest) *outlet {
	var newest int64
	for n, p := range s.calls {
		if p.guest == g {
			newest = max(newest, n)
		}
	}
	if p := s.calls[newest]; p != nil {
		return p.outlet
	}
	return g.standing
}

// tells takes a notification of the server behind to those whom it concerns, and to nobody else.
func (s *switchboard) tells(e envelope) {
	switch {
	case e.Method == "notifications/progress":
		s.progress(e)
		return
	case member(member(e.Params, metaKey), subscriptionKey) != nil:
		s.subscription(e)
		return
	}
	message, err := e.bytes()
	if err != nil {
		return
	}
	for _, o := range s.audience(e) {
		o.deliver(message)
	}
}

// progress goes to the request that it is about.
func (s *switchboard) progress(e envelope) {
	var token string
	if json.Unmarshal(member(e.Params, progressKey), &token) != nil {
		return
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(token, progressPrefix), 10, 64)
	if err != nil {
		return
	}
	p := s.call(n)
	if p == nil || p.progress == nil {
		return
	}
	e.Params = withMember(e.Params, progressKey, p.progress)
	if message, err := e.bytes(); err == nil {
		p.outlet.deliver(message)
	}
}

// subscription goes to the request that subscribed.
func (s *switchboard) subscription(e envelope) {
	n, err := strconv.ParseInt(string(member(member(e.Params, metaKey), subscriptionKey)), 10, 64)
	if err != nil {
		return
	}
	p := s.call(n)
	if p == nil {
		return
	}
	e.Params = withSubscription(e.Params, p.id)
	if message, err := e.bytes(); err == nil {
		p.outlet.deliver(message)
	}
}

func (s *switchboard) call(n int64) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[n]
}

// audience is who hears a notification that names no request: everybody, where all are one person; else only what
// says nothing of anybody.
func (s *switchboard) audience(e envelope) []*outlet {
	var uri string
	_ = json.Unmarshal(member(e.Params, "uri"), &uri)
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*outlet
	for _, g := range s.guests {
		harmless := strings.HasSuffix(e.Method, "/list_changed")
		wanted := e.Method == "notifications/resources/updated" && g.subscribed[uri]
		if s.shared && !harmless && !wanted {
			continue
		}
		if o := s.hearing(g, e.Method); o != nil {
			all = append(all, o)
		}
	}
	if len(s.guests) == 0 && !s.shared && len(s.calls) == 1 {
		for _, p := range s.calls { // a request that stands alone, of a person who has the connection alone
			all = append(all, p.outlet)
		}
	}
	return all
}

// hearing is where a guest hears it: log messages belong to what is under way, the rest to the standing stream. The
// mutex is held.
func (s *switchboard) hearing(g *guest, method string) *outlet {
	if g.standing != nil && method != "notifications/message" {
		return g.standing
	}
	return s.reach(g)
}
