// Package upstream reaches the servers behind the door. Whatever a server speaks (streamable HTTP, the older HTTP
// with events, standard input and output), it is spoken to in the terms of streamable HTTP: a POST brings a
// message and gets a body or a stream, a GET waits for messages, a DELETE ends a session.
//
// Nothing of a client's request goes on unless it is in Request: that is the allow-list.
package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// Upstream is one server behind. It is safe for concurrent use.
type Upstream interface {
	// Forward sends one request. An error is an *Error, or the context's. Whoever gets a Response closes its body.
	Forward(ctx context.Context, r *Request) (*Response, error)
	// Close ends what the upstream holds: connections, processes.
	Close() error
}

// Request is all that a server behind gets to know of a client's request.
type Request struct {
	Method      string           // POST, GET or DELETE
	Message     *mcpwire.Message // of a POST
	Session     string           // the upstream's own session ID
	Version     string           // Mcp-Protocol-Version
	Accept      string
	LastEventID string
	Params      []Param    // Mcp-Param-* headers, checked against the message
	Credential  Credential // what the door shows in place of the client's token
	Trace       []Param    // traceparent and its like
	RequestID   string
	Person      string // whom a process of their own belongs to
}

// Param is one header.
type Param struct{ Name, Value string }

// Credential is a header that shows who calls. The zero Credential shows nothing.
type Credential struct {
	Header string // empty: Authorization
	Value  secret.Text
}

// Response is the answer of a server behind. Only the headers that a client may see are there.
type Response struct {
	Status     int
	Type       string // Content-Type
	Session    string // a session that was opened
	Version    string // Mcp-Protocol-Version
	RetryAfter string
	Allow      string
	Challenge  []string // WWW-Authenticate, for the door and not for the client
	Length     int64    // of the body; -1: not known
	Shape      mcpwire.Shape
	Body       io.ReadCloser
}

// Reason says in one word why a server behind did not answer.
type Reason string

// The reasons.
const (
	Unreachable Reason = "unreachable" // no connection, or it broke before the answer
	Timeout     Reason = "timeout"     // no answer in time
	Garbage     Reason = "garbage"     // an answer that no MCP server gives: a redirect, an encoded body
	Busy        Reason = "busy"        // as many as allowed are under way, or processes running
	Ended       Reason = "ended"       // the session is gone
)

// Error says why a server behind did not answer.
type Error struct {
	Reason Reason
	Cause  error
}

// Error is for the log. Clients are told the reason only: a cause can name internal addresses.
func (e *Error) Error() string { return fmt.Sprintf("upstream %s: %v", e.Reason, e.Cause) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// The media types of streamable HTTP.
const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// header writes the headers of a request to a server behind.
func (r *Request) header() http.Header {
	h := make(http.Header, 10)
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	if r.Method == http.MethodPost {
		set("Content-Type", typeJSON)
	}
	set("Accept", r.Accept)
	set("Mcp-Session-Id", r.Session)
	set("Mcp-Protocol-Version", r.Version)
	set("Last-Event-Id", r.LastEventID)
	set("X-Request-Id", r.RequestID)
	// The filter can't look into a compressed body, and streams must not wait for a compressor.
	set("Accept-Encoding", "identity")
	set("User-Agent", "genkan")
	for _, p := range r.Params {
		h.Set(p.Name, p.Value)
	}
	for _, p := range r.Trace {
		h.Set(p.Name, p.Value)
	}
	if r.Message != nil {
		r.Message.SetHeaders(h)
	}
	if !r.Credential.Value.IsZero() {
		name := r.Credential.Header
		if name == "" {
			name = "Authorization"
		}
		h.Set(name, r.Credential.Value.Reveal())
	}
	return h
}
