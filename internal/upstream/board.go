package upstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// accepted is the answer to what needs none.
func accepted() *Response {
	return &Response{Status: http.StatusAccepted, Shape: mcpwire.Other, Body: http.NoBody}
}

// streamed is an answer that comes as events, until the request's context ends.
func streamed(ctx context.Context, o *outlet) *Response {
	o.until(ctx)
	return &Response{Status: http.StatusOK, Type: typeEvents, Shape: mcpwire.Stream, Length: -1, Body: o}
}

// post takes a client's message to the server behind.
func (s *switchboard) post(ctx context.Context, g *guest, r *Request) (*Response, error) {
	switch m := r.Message; {
	case m.Kind() == mcpwire.Response:
		return answer(accepted(), s.reply(ctx, g, r))
	case m.Kind() == mcpwire.Notification:
		return answer(accepted(), s.tell(ctx, g, r))
	case m.Method() == "initialize":
		return s.initialize(ctx, g, r)
	}
	o, err := s.ask(ctx, g, r)
	if err != nil {
		return answer(nil, err)
	}
	return s.respondTo(ctx, o, r)
}

// answer sorts the errors of a connection.
func answer(resp *Response, err error) (*Response, error) {
	if err == nil {
		return resp, nil
	}
	if refused, ok := errors.AsType[*unauthorizedError](err); ok {
		return &Response{Status: http.StatusUnauthorized, Challenge: refused.challenge, Body: http.NoBody}, nil
	}
	if _, ok := errors.AsType[*Error](err); ok || errors.Is(err, context.Canceled) {
		return nil, err
	}
	if errors.Is(err, errGone) {
		return nil, &Error{Reason: Ended, Cause: err}
	}
	return nil, &Error{Reason: Unreachable, Cause: err}
}

// unauthorizedError means that the server behind did not accept the credential.
type unauthorizedError struct{ challenge []string }

// Error says so.
func (*unauthorizedError) Error() string { return "the server behind did not accept the credential" }

// respondTo streams the answer, or waits for all of it where the client takes no streams.
func (s *switchboard) respondTo(ctx context.Context, o *outlet, r *Request) (*Response, error) {
	if strings.Contains(r.Accept, typeEvents) || strings.Contains(r.Accept, "*/*") || r.Accept == "" {
		return streamed(ctx, o), nil
	}
	o.until(ctx)
	defer func() { _ = o.Close() }()
	all, err := io.ReadAll(o)
	if err != nil {
		return nil, ctx.Err()
	}
	last := strings.TrimSpace(string(all))
	_, last, found := cutLast(last, "data: ")
	if !found {
		return nil, &Error{Reason: Garbage, Cause: errors.New("no answer")}
	}
	return &Response{Status: http.StatusOK, Type: typeJSON, Shape: mcpwire.JSON, Length: int64(len(last)),
		Body: io.NopCloser(strings.NewReader(last))}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// initialize takes the first guest's request to the server behind. The others are told what it answered.
func (s *switchboard) initialize(ctx context.Context, g *guest, r *Request) (*Response, error) {
	for {
		first, settled, result := s.begin()
		if first {
			o, err := s.ask(ctx, g, r)
			if err != nil {
				s.mu.Lock()
				s.settle(nil)
				s.mu.Unlock()
				return answer(nil, err)
			}
			return s.welcome(ctx, g, o, r)
		}
		if result != nil {
			message, err := envelope{ID: json.RawMessage(r.Message.ID()), Result: result}.bytes()
			if err != nil {
				return nil, err
			}
			o := newOutlet(nil)
			o.deliver(message)
			o.end()
			return s.welcome(ctx, g, o, r)
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.done:
			return answer(nil, errGone)
		}
	}
}

func (s *switchboard) welcome(ctx context.Context, g *guest, o *outlet, r *Request) (*Response, error) {
	resp, err := s.respondTo(ctx, o, r)
	if err == nil && g != nil {
		resp.Session = g.id
	}
	return resp, err
}

// begin says whether the caller shall do the handshake, wait for it, or has its result.
func (s *switchboard) begin() (first bool, settled chan struct{}, result json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hello.result != nil {
		return false, nil, s.hello.result
	}
	if !s.hello.begun {
		s.hello.begun, s.hello.settled = true, make(chan struct{})
		return true, nil, nil
	}
	return false, s.hello.settled, nil
}

// newGuest is a session of a client.
func newGuest(person string) *guest {
	return &guest{id: rand.Text(), person: person, subscribed: map[string]bool{}}
}
