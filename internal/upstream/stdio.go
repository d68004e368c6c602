package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// StdioConfig says how to run a server that is a command.
type StdioConfig struct {
	Command []string // the program and its arguments
	// Env is the whole environment, NAME=value. Nothing is inherited.
	Env []string
	Dir string
	// Shared runs one process for everybody. Else each person has one of their own, and what it keeps is theirs.
	Shared bool
	// IdentityVariable, when set, is the name of an environment variable that tells the process of a person whose
	// it is: "tenant/object".
	IdentityVariable string
	Timeout          time.Duration // of a request; zero: 5 minutes
	Idle             time.Duration // after which a process that nobody uses is ended; zero: 10 minutes
	Processes        int           // how many run at most; zero: 64
	Logger           *slog.Logger
}

var _ Upstream = (*Stdio)(nil)

// Stdio is a server that is a command. Processes start when somebody comes, end when nobody has for a while, and are
// started again when they ended by themselves, after a pause that grows.
type Stdio struct {
	StdioConfig
	all    sync.WaitGroup  // goroutines
	ctx    context.Context // ended by Close
	cancel context.CancelFunc

	mu      sync.Mutex // above the rest
	running map[string]*switchboard
	guests  map[string]home // by session ID
	rest    map[string]backoff
	closed  bool
}

// home is where a session lives.
type home struct {
	key   string
	board *switchboard
}

// backoff is when a process may start again.
type backoff struct {
	failures int
	until    time.Time
}

// healthy is how long a process must have lived for its end not to count as a failure to start.
const healthy = 10 * time.Second

// NewStdio checks the configuration; nothing is started yet.
func NewStdio(c StdioConfig) (*Stdio, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, errors.New("upstream: a command is needed")
	}
	for _, e := range c.Env {
		if !strings.Contains(e, "=") {
			return nil, fmt.Errorf("upstream: environment %q must be NAME=value", e)
		}
	}
	if c.Shared && c.IdentityVariable != "" {
		return nil, errors.New("upstream: a shared process belongs to nobody; leave the identity variable out")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	if c.Processes == 0 {
		c.Processes = 64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	u := &Stdio{StdioConfig: c, running: map[string]*switchboard{}, guests: map[string]home{}, rest: map[string]backoff{}}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u, nil
}

// Forward takes a request to the process that is the caller's.
func (u *Stdio) Forward(ctx context.Context, r *Request) (*Response, error) {
	key := r.Person
	if u.Shared {
		key = ""
	}
	if r.Session != "" {
		return u.forwardSession(ctx, key, r)
	}
	if r.Method != http.MethodPost {
		return notAllowed(), nil
	}
	resp, err := u.forwardAlone(ctx, key, r)
	if errors.Is(err, errGone) { // it ended between our finding it and our asking it
		resp, err = u.forwardAlone(ctx, key, r)
	}
	return resp, err
}

// forwardAlone takes a request that belongs to no session, or begins one.
func (u *Stdio) forwardAlone(ctx context.Context, key string, r *Request) (*Response, error) {
	s, err := u.board(key)
	if err != nil {
		return nil, err
	}
	if r.Message.Method() != "initialize" {
		return s.post(ctx, nil, r)
	}
	g := newGuest(r.Person)
	if err := s.enter(g); err != nil {
		return answer(nil, err)
	}
	u.mu.Lock()
	u.guests[g.id] = home{key, s}
	u.mu.Unlock()
	resp, err := s.post(ctx, g, r)
	if err != nil {
		s.leave(g)
		u.drop(g.id)
	}
	return resp, err
}

// notAllowed is the answer to a GET or DELETE without a session.
func notAllowed() *Response {
	return &Response{Status: http.StatusMethodNotAllowed, Allow: http.MethodPost, Body: http.NoBody}
}

// forwardSession takes a request to the process in which its session is.
func (u *Stdio) forwardSession(ctx context.Context, key string, r *Request) (*Response, error) {
	u.mu.Lock()
	at, known := u.guests[r.Session]
	u.mu.Unlock()
	s := at.board
	var g *guest
	if known && at.key == key {
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
		s.leave(g)
		u.drop(r.Session)
		return &Response{Status: http.StatusNoContent, Body: http.NoBody}, nil
	}
}

func (u *Stdio) drop(session string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.guests, session)
}

// board is the process of a key; it is started when there is none.
func (u *Stdio) board(key string) (*switchboard, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, &Error{Reason: Ended, Cause: errors.New("closed")}
	}
	if s := u.running[key]; s != nil {
		return s, nil
	}
	if wait := time.Until(u.rest[key].until); wait > 0 {
		return nil, &Error{Reason: Unreachable, Cause: fmt.Errorf("it ended at once; it is started again in %v", wait.Round(time.Second))}
	}
	if len(u.running) >= u.Processes {
		return nil, &Error{Reason: Busy, Cause: fmt.Errorf("%d processes are running already", len(u.running))}
	}
	environment := u.Env
	if u.IdentityVariable != "" {
		environment = append(environment[:len(environment):len(environment)], u.IdentityVariable+"="+key)
	}
	p, err := startProcess(u.Command, environment, u.Dir, u.Logger)
	if err != nil {
		u.failed(key)
		return nil, &Error{Reason: Unreachable, Cause: err}
	}
	s := newSwitchboard(p, u.Timeout, u.Logger)
	s.shared = u.Shared
	u.running[key] = s
	u.all.Go(func() { u.run(key, s) })
	u.all.Go(func() { u.watch(key, s) })
	return s, nil
}

// run keeps the books of one process until it ends.
func (u *Stdio) run(key string, s *switchboard) {
	began := time.Now()
	err := s.run()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.remove(key, s)
	for session, home := range u.guests {
		if home.board == s {
			delete(u.guests, session)
		}
	}
	if s.wanted() || u.closed {
		delete(u.rest, key)
		return
	}
	if time.Since(began) < healthy {
		u.failed(key)
	} else {
		delete(u.rest, key)
	}
	u.Logger.Warn("a server behind ended", slog.Any("error", err), slog.Int("failures", u.rest[key].failures))
}

// remove takes a process out of those that are asked. The mutex is held.
func (u *Stdio) remove(key string, s *switchboard) {
	if u.running[key] == s {
		delete(u.running, key)
	}
}

// failed counts a process that did not live. The mutex is held.
func (u *Stdio) failed(key string) {
	b := u.rest[key]
	b.failures++
	b.until = time.Now().Add(min(time.Second<<min(b.failures-1, 10), time.Minute))
	u.rest[key] = b
}

// watch ends a process that nobody uses.
func (u *Stdio) watch(key string, s *switchboard) {
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
				u.mu.Lock()
				u.remove(key, s)
				u.mu.Unlock()
				return
			}
		}
	}
}

// Close ends all processes and waits for them.
func (u *Stdio) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	u.all.Wait()
	return nil
}
