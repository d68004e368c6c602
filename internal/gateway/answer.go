package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
)

// problem is a request that is not answered by the server behind: what the client is told, and why, for the log
// and the audit.
type problem struct {
	status    int
	code      int    // of JSON-RPC; zero: fits the status
	message   string // for the client: what is wrong and what to do
	data      json.RawMessage
	oauth     oauth.Code // the body is OAuth's
	challenge string     // WWW-Authenticate
	retry     time.Duration
	plain     bool // the body is text: old clients understand a lost session only so
	refusal   *policy.Refusal
	cause     error
}

// Error is the line for the log.
func (p *problem) Error() string {
	switch {
	case p.cause != nil:
		return p.cause.Error()
	case p.refusal != nil:
		return p.refusal.Error()
	}
	return p.message
}

// Unwrap gives the cause.
func (p *problem) Unwrap() error { return p.cause }

func (x *exchange) badRequest(message string) *problem {
	return &problem{status: http.StatusBadRequest, message: message,
		refusal: &policy.Refusal{Check: policy.CheckMessage, Wanted: "a well-formed request", Got: message}}
}

func (x *exchange) methodNotAllowed() *problem {
	x.w.Header().Set("Allow", x.allow)
	return &problem{status: http.StatusMethodNotAllowed, message: "the method must be one of " + x.allow}
}

// asProblem turns every error into an answer. What nobody foresaw is our fault, and its text is not for clients.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*mcpwire.Error](err); ok {
		return &problem{status: e.Status, code: e.Code, message: e.Message, data: e.Data,
			refusal: &policy.Refusal{Check: policy.CheckMessage, Wanted: "one well-formed message", Got: e.Message}}
	}
	if errors.Is(err, context.Canceled) { // it was we who ended it
		return &problem{status: http.StatusServiceUnavailable, message: "this replica is going away: try again", retry: time.Second}
	}
	return &problem{status: http.StatusInternalServerError, message: "something went wrong here: the log has it under this request's ID", cause: err}
}

// end writes the answer if nobody has, and then writes down what happened.
func (x *exchange) end(err error) {
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled) && x.ctx.Err() != nil:
		x.event.Decision, x.event.Detail = audit.Failed, "the client left before the answer"
	default:
		p := asProblem(err)
		if x.detached != nil {
			x.writeLegacy(p)
		} else if x.event.Status == 0 {
			x.write(p)
		}
		x.fail(p)
	}
	x.record()
}

// writeLegacy answers on the stream of a legacy session, when the request wants an answer.
func (x *exchange) writeLegacy(p *problem) {
	x.event.Status = p.status
	if x.message != nil && x.message.Kind() == mcpwire.Request {
		p.challenge = "" // there is no place for it
		x.detached.deliver(x.body(p))
	}
}

// fail notes the problem for the log, the audit and the metrics.
func (x *exchange) fail(p *problem) {
	x.event.Refusal = p.refusal
	if p.refusal != nil {
		x.event.Kind, x.event.Decision = audit.Refusal, audit.Refused
		x.g.Metrics.Refused(x.event.Server, string(p.refusal.Check))
		return
	}
	x.event.Decision = audit.Failed
	if x.event.Detail == "" {
		x.event.Detail = p.message
	}
	if p.cause != nil {
		x.g.Logger.LogAttrs(x.ctx, slog.LevelWarn, "a request failed",
			slog.String("server", x.event.Server), slog.String("method", x.event.Method), slog.String("error", p.cause.Error()))
	}
}

// write answers with the problem.
func (x *exchange) write(p *problem) {
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	h.Set("Content-Type", "application/json")
	body := x.body(p)
	if p.plain {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(p.message + "\n")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.writeHead(p.status)
	_, _ = x.w.Write(body) //nolint:gosec // JSON or plain text, and nosniff: no browser takes it for a page
}

// body is the problem as JSON: OAuth's form for tokens, JSON-RPC's for everything else.
func (x *exchange) body(p *problem) []byte {
	if p.challenge != "" {
		code := p.oauth
		if code == "" {
			code = "unauthorized"
		}
		body, err := json.Marshal(map[string]string{"error": string(code), "error_description": oauth.PlainText(p.message)})
		if err != nil {
			return nil
		}
		return body
	}
	code := p.code
	if code == 0 {
		code = codeFor(p.status)
	}
	e := mcpwire.Error{Code: code, Status: p.status, Message: p.message, Data: p.data}
	if x.message != nil && x.message.Kind() == mcpwire.Request {
		e.ID = x.message.ID()
	}
	return e.Body()
}

func codeFor(status int) int {
	switch {
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status < 500:
		return mcpwire.CodeInvalidRequest
	default:
		return mcpwire.CodeInternal
	}
}
