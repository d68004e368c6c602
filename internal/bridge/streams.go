package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

const (
	// resumeTries is how often a stream is resumed without anything new coming.
	resumeTries = 5
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// progress is how far a stream was read.
type progress struct {
	last  string // ID of the last event
	retry time.Duration
	any   bool // something came
}

// follow reads the stream that answers a request, and resumes it where the revision can.
func (r *remote) follow(ctx context.Context, m *mcpwire.Message, resp *http.Response) error {
	var p progress
	for tries := 0; ; {
		answered, err := r.read(m, resp, &p)
		if answered || ctx.Err() != nil {
			return nil
		}
		if p.any {
			tries = 0
		}
		if isModern(m) || p.last == "" || tries >= resumeTries {
			return r.brokenOff(m, err)
		}
		tries++
		resp, err = r.resume(ctx, p, tries) //nolint:bodyclose // read closes it
		if err != nil {
			return r.brokenOff(m, err)
		}
	}
}

// brokenOff tells the client that an answer will not come. A subscription just ends (2026-07-28, Subscriptions).
func (r *remote) brokenOff(m *mcpwire.Message, cause error) error {
	if m.Method() == "subscriptions/listen" {
		return r.out.notify("notifications/cancelled", map[string]any{
			"requestId": json.RawMessage(m.ID()), "reason": "the server closed the stream",
		})
	}
	if cause == nil {
		cause = errors.New("it closed the stream")
	}
	return fmt.Errorf("the server broke off before it answered: %w", cause)
}

// resume waits as long as the server wishes and opens the stream again where it broke off.
func (r *remote) resume(ctx context.Context, p progress, try int) (*http.Response, error) {
	wait := p.retry
	if wait == 0 {
		wait = min(firstWait<<(try-1), longestWait)
	}
	select {
	case <-time.After(min(wait, longestWait)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	resp, err := r.get(ctx, p.last)
	if err != nil {
		return nil, err
	}
	if shape, err := mcpwire.ShapeOf(resp.Header); err != nil || shape != mcpwire.Stream || resp.StatusCode != http.StatusOK {
		discard(resp)
		return nil, fmt.Errorf("the server does not resume the stream (%s)", resp.Status)
	}
	return resp, nil
}

// get opens a stream of events that nobody asked for, or resumes one.
func (r *remote) get(ctx context.Context, last string) (*http.Response, error) {
	return r.authorised(ctx, true, func(token string) (*http.Response, error) {
		return r.dial(ctx, func() (*http.Request, error) {
			req, err := r.request(ctx, http.MethodGet, r.url, token, r.at(), nil)
			if err == nil && last != "" {
				req.Header.Set(headerResume, last)
			}
			return req, err
		})
	})
}

// read lets through the messages of a stream until the answer to m came, if there is an m, or the stream ends.
func (r *remote) read(m *mcpwire.Message, resp *http.Response, p *progress) (answered bool, err error) {
	defer func() { _ = resp.Body.Close() }()
	p.any = false
	for e, err := range events(resp.Body) {
		if err != nil {
			return false, err
		}
		if e.id != "" {
			p.any = p.any || e.id != p.last
			p.last = e.id
		}
		if e.retry > 0 {
			p.retry = e.retry
		}
		if !e.isMessage() {
			continue
		}
		if m != nil && answers(m, e.data) {
			if err := r.pass(m, e.data); err != nil {
				return false, err
			}
			return true, nil
		}
		if err := r.pass(nil, e.data); err != nil {
			r.log.Warn("the server sent something that is no message, and it was left out", "why", err)
		}
	}
	return false, nil
}

// answers says whether a message is the answer to a request.
func answers(m *mcpwire.Message, raw []byte) bool {
	var message struct {
		ID     any             `json:"id"`
		Method string          `json:"method"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	var id any
	if json.Unmarshal(raw, &message) != nil || json.Unmarshal([]byte(m.ID()), &id) != nil {
		return false
	}
	return message.Method == "" && message.ID == id && (message.Result != nil || message.Error != nil)
}

// listen opens the stream on which servers of the revisions up to 2025-11-25 speak first, in place of the one
// before.
func (r *remote) listen(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	before := r.listening
	r.listening = cancel
	r.mu.Unlock()
	if before != nil {
		before()
	}
	r.streams.Go(func() {
		defer cancel()
		r.keepListening(ctx)
	})
}

// keepListening reads the stream for as long as the server offers one, and comes back when it breaks off.
func (r *remote) keepListening(ctx context.Context) {
	var p progress
	for tries := 0; ; tries++ {
		resp, err := r.get(ctx, p.last)
		if err == nil {
			shape, shapeErr := mcpwire.ShapeOf(resp.Header)
			if shapeErr != nil || resp.StatusCode < 500 && (shape != mcpwire.Stream || resp.StatusCode != http.StatusOK) {
				discard(resp)
				return // it offers none: 405, or whatever it says instead
			}
			if resp.StatusCode == http.StatusOK {
				if _, err = r.read(nil, resp, &p); p.any {
					tries = 0
				}
			} else {
				discard(resp)
			}
		}
		if err != nil && ctx.Err() == nil {
			r.log.Debug("the server's own stream broke off", "why", err)
		}
		wait := p.retry
		if wait == 0 {
			wait = min(firstWait<<min(tries, 10), longestWait)
		}
		select {
		case <-time.After(min(wait, longestWait)):
		case <-ctx.Done():
			return
		}
	}
}

// reopen opens a new session with the client's own initialize after the server has lost the old one, and tells
// the client nothing about it (2025-11-25, Transports §Session Management).
func (r *remote) reopen(ctx context.Context, lost session) error {
	r.opening.Lock()
	defer r.opening.Unlock()
	r.mu.Lock()
	if r.session != lost {
		r.mu.Unlock()
		return nil // somebody else did it
	}
	body := r.initialize
	r.session = session{}
	r.mu.Unlock()
	r.log.Info("the server has lost the session, and a new one is opened")
	hello, initialized, err := handshake(body)
	if err != nil {
		return err
	}
	_, resp, err := r.post(ctx, hello, func() {})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server has lost the session and opens no new one: it answered %s", resp.Status)
	}
	r.noteSession(hello, resp)
	answer, err := r.soleAnswer(hello, resp)
	if err != nil {
		return err
	}
	r.noteVersion(answer)
	_, taken, err := r.post(ctx, initialized, func() {})
	if err != nil {
		return err
	}
	discard(taken)
	r.listen(ctx)
	return nil
}

// handshake gives the two messages that open a session.
func handshake(initialize []byte) (hello, initialized *mcpwire.Message, err error) {
	if len(initialize) == 0 {
		return nil, nil, errors.New("the server wants initialize first")
	}
	if hello, err = mcpwire.Parse(append([]byte(nil), initialize...), mcpwire.Limits{Bytes: messageLimit}); err != nil {
		return nil, nil, err
	}
	initialized, err = mcpwire.Parse([]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), mcpwire.Limits{})
	return hello, initialized, err
}

// soleAnswer reads the answer to a message of the bridge's own, which the client does not see.
func (r *remote) soleAnswer(m *mcpwire.Message, resp *http.Response) ([]byte, error) {
	shape, err := mcpwire.ShapeOf(resp.Header)
	if err != nil {
		return nil, err
	}
	if shape == mcpwire.JSON {
		return readAll(resp)
	}
	for e, err := range events(resp.Body) {
		if err != nil {
			return nil, err
		}
		if e.isMessage() && answers(m, e.data) {
			return e.data, nil
		}
	}
	return nil, errors.New("the server broke off before it answered")
}
