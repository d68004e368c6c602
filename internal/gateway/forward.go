package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// maxBody bounds an answer that must be read whole, to be filtered.
const maxBody = 16 << 20

// maxText bounds an error in plain text that is passed on.
const maxText = 4 << 10

// forward sends the request on and brings back the answer.
func (x *exchange) forward(r *upstream.Request) error {
	if err := x.g.Audit.Ready(); err != nil {
		return &problem{status: http.StatusServiceUnavailable, message: "nothing can be written down at the moment, so nothing is done: try again",
			retry: 5 * time.Second, cause: err}
	}
	var err error
	if r.Params, err = x.params(); err != nil {
		return err
	}
	ctx, cancel := x.lifetime()
	defer cancel()
	done, err := x.limit()
	if err != nil {
		return err
	}
	defer done()
	resp, err := x.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if x.event.Target != "" && x.event.Method == "tools/call" {
		x.g.Metrics.Tool(x.server.Name, x.event.Target)
	}
	if x.detached != nil {
		return x.deliverLegacy(resp)
	}
	return x.deliver(resp)
}

// lifetime is the context of what is asked of the server behind. A stream that only waits ends when we drain.
func (x *exchange) lifetime() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(x.ctx)
	if x.detached != nil {
		stop := context.AfterFunc(x.detached.ctx, cancel)
		return ctx, func() { stop(); cancel() }
	}
	if !x.idle && x.event.Method != "subscriptions/listen" {
		return ctx, cancel
	}
	x.idle = true
	stop := context.AfterFunc(x.g.drain, cancel)
	return ctx, func() { stop(); cancel() }
}

// send shows the credential; when the server behind doesn't take it, once more with a new one.
func (x *exchange) send(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	shown, err := x.server.Credential.Show(ctx, x.caller)
	if err != nil {
		return nil, x.credentialProblem(err)
	}
	r.Credential = shown
	resp, err := x.try(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.Status != http.StatusUnauthorized {
		return resp, nil
	}
	fresh, err := x.server.Credential.Renew(ctx, x.caller, resp.Challenge)
	if errors.Is(err, ErrNothingNew) {
		return resp, nil
	}
	_ = resp.Body.Close()
	if err != nil {
		return nil, x.credentialProblem(err)
	}
	r.Credential = fresh
	return x.try(ctx, r)
}

// try sends the request once, if the circuit lets it.
func (x *exchange) try(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	if wait := x.server.circuit.admit(x.g.Now()); wait > 0 {
		x.g.Metrics.UpstreamFailed(x.server.Name, "circuit")
		return nil, &problem{status: http.StatusServiceUnavailable, retry: wait,
			message: "the server behind has not answered for a while, so it is left alone: try again"}
	}
	ctx, span := x.g.Tracing.Forward(ctx, x.server.Name)
	if parent := x.g.Tracing.Parent(ctx); parent != "" {
		r.Trace = []upstream.Param{{Name: "Traceparent", Value: parent}}
		if r.Message != nil {
			r.Message.SetMeta("traceparent", parent)
		}
	}
	resp, err := x.server.Upstream.Forward(ctx, r)
	span.End(string(reasonOf(err)))
	if changed, open := x.server.circuit.report(troubled(resp, err), x.g.Now()); changed {
		state, gauge := "closed", 0.0
		if open {
			state, gauge = "open", 1
		}
		x.g.Metrics.Circuit(x.server.Name, gauge)
		x.g.Logger.LogAttrs(x.ctx, slog.LevelWarn, "the circuit of a server behind changed", slog.String("server", x.server.Name), slog.String("circuit", state))
	}
	if err != nil {
		return nil, x.upstreamProblem(err)
	}
	return resp, nil
}

// reasonOf is why a server behind did not answer; empty when it was the client who left.
func reasonOf(err error) upstream.Reason {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e.Reason
	}
	return ""
}

func (x *exchange) upstreamProblem(err error) error {
	e, ok := errors.AsType[*upstream.Error](err)
	if !ok {
		return err // the client left
	}
	x.g.Metrics.UpstreamFailed(x.server.Name, string(e.Reason))
	p := &problem{status: http.StatusBadGateway, cause: err}
	switch e.Reason {
	case upstream.Timeout:
		p.status, p.message = http.StatusGatewayTimeout, "the server behind did not answer in time"
	case upstream.Busy:
		p.status, p.message, p.retry = http.StatusServiceUnavailable, "the server behind has too much to do: try again", time.Second
	case upstream.Ended:
		p.status, p.message, p.plain = http.StatusNotFound, "session not found", true
	case upstream.Garbage:
		p.message = "the server behind gave an answer that no MCP server gives"
	default:
		p.message = "the server behind can't be reached at the moment: try again"
	}
	return p
}

// deliver passes the answer on.
func (x *exchange) deliver(resp *upstream.Response) error {
	switch {
	case resp.Status == http.StatusUnauthorized:
		return &problem{status: http.StatusBadGateway, message: "the server behind does not accept the door's credential",
			cause: fmt.Errorf("server %s answers 401 to a fresh credential", x.server.Name)}
	case resp.Status >= 300 && resp.Shape == mcpwire.Other:
		return x.deliverText(resp)
	case resp.Shape == mcpwire.Other:
		return x.deliverEmpty(resp)
	}
	if err := x.head(resp); err != nil {
		return err
	}
	filter := x.filter()
	if resp.Shape == mcpwire.JSON {
		return x.deliverJSON(resp, filter)
	}
	if filter != nil {
		resp.Body = filter.Events(resp.Body)
	}
	return x.stream(resp)
}

// head copies the few headers of an answer that are for the client.
func (x *exchange) head(resp *upstream.Response) error {
	h := x.w.Header()
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set("Mcp-Protocol-Version", resp.Version)
	set("Retry-After", resp.RetryAfter)
	set("Allow", resp.Allow)
	set("Cache-Control", "no-store, no-transform")
	set("X-Content-Type-Options", "nosniff")
	if resp.Session == "" {
		return nil
	}
	sealed, err := x.sealSession(resp.Session)
	if err != nil {
		return fmt.Errorf("seal session: %w", err)
	}
	set("Mcp-Session-Id", sealed)
	return nil
}

// filter is what lists must pass; nil when the answer can't hold one.
func (x *exchange) filter() *mcpwire.Filter {
	if x.message != nil && !mcpwire.Wanted(x.message.Method()) {
		return nil
	}
	f := &mcpwire.Filter{
		Limit: maxBody,
		Visible: func(u mcpwire.Use) bool {
			return x.server.Rules.Visible(x.caller.Identity, policy.Target(u.Thing), u.Name)
		},
		Problem: func(err error) {
			x.event.Detail = "an event was taken out of the stream: it was not one well-formed message"
			x.g.Logger.LogAttrs(x.ctx, slog.LevelWarn, "the server behind sent something malformed",
				slog.String("server", x.server.Name), slog.Any("error", err))
		},
	}
	if x.message != nil {
		id, method := x.message.ID(), x.message.Method()
		f.Pending = id
		f.Method = func(of mcpwire.ID) string {
			if of == id {
				return method
			}
			return ""
		}
	}
	return f
}

// deliverJSON passes on a body, whole if it must be filtered, else as it comes.
func (x *exchange) deliverJSON(resp *upstream.Response, filter *mcpwire.Filter) error {
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json"}
	if filter == nil {
		if resp.Length >= 0 {
			h["Content-Length"] = []string{strconv.FormatInt(resp.Length, 10)}
		}
		x.writeHead(resp.Status)
		return x.copy(resp.Body, wholes)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return x.upstreamProblem(err)
	}
	if body, err = filter.JSON(body); err != nil {
		return x.upstreamProblem(&upstream.Error{Reason: upstream.Garbage, Cause: err})
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.writeHead(resp.Status)
	_, _ = x.w.Write(body) //nolint:gosec // JSON, and nosniff: no browser takes it for a page
	return nil
}

// deliverEmpty passes on an answer that is none of JSON and events: only an empty one can be right.
func (x *exchange) deliverEmpty(resp *upstream.Response) error {
	var one [1]byte
	if n, _ := io.ReadFull(resp.Body, one[:]); n > 0 && resp.Status != http.StatusAccepted {
		return x.upstreamProblem(&upstream.Error{Reason: upstream.Garbage, Cause: fmt.Errorf("status %d with type %q", resp.Status, resp.Type)})
	}
	if err := x.head(resp); err != nil {
		return err
	}
	x.writeHead(resp.Status)
	return nil
}

// deliverText passes on a short error of a server behind. A failure of its own is told in our words: what servers
// write then is often a stack trace.
func (x *exchange) deliverText(resp *upstream.Response) error {
	if resp.Status >= 500 {
		x.g.Metrics.UpstreamFailed(x.server.Name, "status")
		return &problem{status: http.StatusBadGateway, message: "the server behind failed with status " + strconv.Itoa(resp.Status),
			cause: fmt.Errorf("server %s answers %d", x.server.Name, resp.Status)}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if err != nil {
		return x.upstreamProblem(err)
	}
	if err := x.head(resp); err != nil {
		return err
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	x.event.Decision = audit.Failed
	x.writeHead(resp.Status)
	_, _ = x.w.Write(text)
	return nil
}
