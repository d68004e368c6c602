package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// duplex is a connection on which both sides send whenever they like: a process, a legacy event stream.
type duplex interface {
	// send sends one message.
	send(ctx context.Context, message []byte, c Credential) error
	// run hands on what the server behind sends, until the connection ends.
	run(deliver func(message []byte)) error
	// close ends the connection, which ends run.
	close()
}

// switchboard connects many sessions of clients with one connection. Every request goes on under a number of our
// own, so that the IDs and progress tokens of clients can't collide, and comes back under the client's.
type switchboard struct {
	line    duplex
	shared  bool // its guests are different people
	timeout time.Duration
	logger  *slog.Logger
	done    chan struct{} // closed when the connection has ended

	mu     sync.Mutex // above the rest
	next   int64
	calls  map[int64]*pending
	guests map[string]*guest
	asked  map[string]*guest // requests of the server behind, by their ID, and who was asked
	hello  handshake
	ended  bool // or about to: nobody is let in any more
	over   bool // it was we who ended it
	used   time.Time
}

// pending is a request of a client that the server behind has not answered.
type pending struct {
	id       mcpwire.ID // the client's
	guest    *guest     // nil: the request stands alone
	outlet   *outlet
	progress json.RawMessage // the client's progress token
	method   string
	timer    *time.Timer
}

// guest is one session of a client.
type guest struct {
	id         string
	person     string
	standing   *outlet // the stream of its GET
	subscribed map[string]bool
}

// handshake is the initialisation of the connection, which happens once however many guests there are.
type handshake struct {
	begun     bool
	announced bool            // notifications/initialized was sent
	settled   chan struct{}   // closed when result is there, or it failed
	result    json.RawMessage // what later guests are told; nil: it failed
}

func newSwitchboard(line duplex, timeout time.Duration, logger *slog.Logger) *switchboard {
	return &switchboard{
		line: line, timeout: timeout, logger: logger, done: make(chan struct{}),
		calls: map[int64]*pending{}, guests: map[string]*guest{}, asked: map[string]*guest{}, used: time.Now(),
	}
}

// run works until the connection ends; then everybody who waits is told.
func (s *switchboard) run() error {
	err := s.line.run(s.receive)
	s.mu.Lock()
	s.ended = true
	calls, guests := s.calls, s.guests
	s.calls, s.guests = map[int64]*pending{}, map[string]*guest{}
	s.settle(nil)
	s.mu.Unlock()
	for _, p := range calls {
		p.timer.Stop()
		p.outlet.deliver(failure(p.id, "the server behind ended before it answered"))
		p.outlet.end()
	}
	for _, g := range guests {
		if g.standing != nil {
			g.standing.end()
		}
	}
	close(s.done)
	return err
}

// stop ends the connection, because nobody needs it any more.
func (s *switchboard) stop() {
	s.mu.Lock()
	s.over, s.ended = true, true
	s.mu.Unlock()
	s.line.close()
}

// stopIfIdle stops it when nobody has used it for so long, and says whether it did.
func (s *switchboard) stopIfIdle(now time.Time, limit time.Duration) bool {
	s.mu.Lock()
	idle := s.idle(now) >= limit
	s.over, s.ended = s.over || idle, s.ended || idle
	s.mu.Unlock()
	if idle {
		s.line.close()
	}
	return idle
}

// wanted says whether the end of the connection was our doing.
func (s *switchboard) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// guest finds a session.
func (s *switchboard) guest(id string) *guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guests[id]
}

// idle says for how long nobody has used the connection; zero while somebody does. The mutex is held.
func (s *switchboard) idle(now time.Time) time.Duration {
	if len(s.calls) > 0 {
		return 0
	}
	for _, g := range s.guests {
		if g.standing != nil {
			return 0
		}
	}
	return now.Sub(s.used)
}

// errGone means that the connection has ended meanwhile.
var errGone = errors.New("the connection has ended")

// enter adds a guest.
func (s *switchboard) enter(g *guest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errGone
	}
	s.guests[g.id] = g
	return nil
}

// leave removes a guest; what it waits for is forgotten.
func (s *switchboard) leave(g *guest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.guests, g.id)
	for id, who := range s.asked {
		if who == g {
			delete(s.asked, id)
		}
	}
	if g.standing != nil {
		g.standing.end()
	}
}

// listen opens the stream on which a guest hears what belongs to no request. There is one; a new one replaces it.
func (s *switchboard) listen(g *guest) *outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.standing != nil {
		g.standing.end()
	}
	var o *outlet
	o = newOutlet(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used = time.Now()
		if g.standing == o {
			g.standing = nil
		}
	})
	g.standing = o
	if s.ended {
		o.end()
	}
	return o
}

// ask sends a request of a client on, and gives the stream on which its answer comes.
func (s *switchboard) ask(ctx context.Context, g *guest, r *Request) (*outlet, error) {
	m := r.Message
	p := &pending{id: m.ID(), guest: g, method: m.Method()}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, errGone
	}
	s.next++
	n := s.next
	s.mu.Unlock()
	if token, ok := m.Meta(progressKey); ok {
		p.progress = append(json.RawMessage(nil), token...)
		m.SetMeta(progressKey, progressToken(n))
	}
	e, err := open(m)
	if err != nil {
		return nil, err
	}
	e.ID = number(n)
	message, err := e.bytes()
	if err != nil {
		return nil, err
	}
	p.outlet = newOutlet(func() { s.abandon(n) })
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, errGone
	}
	s.calls[n], s.used = p, time.Now()
	s.subscribe(g, m)
	p.timer = time.AfterFunc(s.timeout, func() { s.expire(n) })
	s.mu.Unlock()
	if err := s.line.send(ctx, message, r.Credential); err != nil {
		s.forget(n)
		return nil, err
	}
	return p.outlet, nil
}

// subscribe keeps which resources a guest hears of, where a connection is shared.
func (s *switchboard) subscribe(g *guest, m *mcpwire.Message) {
	if g == nil {
		return
	}
	raw, _ := m.Param("uri")
	var uri string
	if json.Unmarshal(raw, &uri) != nil {
		return
	}
	switch m.Method() {
	case "resources/subscribe":
		g.subscribed[uri] = true
	case "resources/unsubscribe":
		delete(g.subscribed, uri)
	}
}

func (s *switchboard) forget(n int64) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.calls[n]
	if p != nil {
		delete(s.calls, n)
		p.timer.Stop()
		s.used = time.Now()
	}
	return p
}

// expire tells a client that waited too long.
func (s *switchboard) expire(n int64) {
	if p := s.forget(n); p != nil && p.method != "subscriptions/listen" {
		p.outlet.deliver(failure(p.id, "the server behind did not answer in time"))
		p.outlet.end()
		s.cancel(n, "it took too long")
	} else if p != nil {
		s.mu.Lock()
		s.calls[n] = p // a subscription lasts as long as its client wants it to
		s.mu.Unlock()
	}
}

// abandon is called when the client of a request has left before the answer. A request that stands alone is then
// cancelled; one of a session goes on, unless its client cancels it (MCP 2025-11-25, Transports).
func (s *switchboard) abandon(n int64) {
	p := s.forget(n)
	if p != nil && p.guest == nil {
		go s.cancel(n, "the client left") // whoever left shall not wait
	}
}

func (s *switchboard) cancel(n int64, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	params, err := json.Marshal(map[string]any{"requestId": n, "reason": why})
	if err != nil {
		return
	}
	message, err := envelope{Method: "notifications/cancelled", Params: params}.bytes()
	if err != nil {
		return
	}
	_ = s.line.send(ctx, message, Credential{}) // it is a courtesy
}

// tell sends a notification of a client on.
func (s *switchboard) tell(ctx context.Context, g *guest, r *Request) error {
	e, err := open(r.Message)
	if err != nil {
		return err
	}
	switch e.Method {
	case "notifications/initialized":
		s.mu.Lock()
		first := !s.hello.announced
		s.hello.announced = true
		s.mu.Unlock()
		if !first {
			return nil
		}
	case "notifications/cancelled":
		n, ok := s.numberOf(g, member(e.Params, "requestId"))
		if !ok {
			return nil // it has been answered meanwhile
		}
		e.Params = withMember(e.Params, "requestId", number(n))
	case "notifications/progress": // about a request of the server behind: its own token
	default:
		if s.shared {
			return nil // what one guest's roots are is nothing to the others
		}
	}
	message, err := e.bytes()
	if err != nil {
		return err
	}
	return s.line.send(ctx, message, r.Credential)
}

// numberOf finds a guest's own request.
func (s *switchboard) numberOf(g *guest, id json.RawMessage) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, p := range s.calls {
		if p.guest == g && g != nil && string(p.id) == string(id) {
			return n, true
		}
	}
	return 0, false
}

// reply sends a client's answer to what the server behind asked it.
func (s *switchboard) reply(ctx context.Context, g *guest, r *Request) error {
	id := string(r.Message.ID())
	s.mu.Lock()
	mine := g != nil && s.asked[id] == g
	if mine {
		delete(s.asked, id)
	}
	s.mu.Unlock()
	if !mine {
		return nil // nobody asked, or it was another who was asked
	}
	return s.line.send(ctx, r.Message.Bytes(), r.Credential)
}
