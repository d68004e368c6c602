package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// exchange is one request on its way through the gateway, and what is known of it so far.
type exchange struct {
	g     *Gateway
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // it is the context of this very request
	began time.Time
	allow string // the HTTP methods of the path

	server  *server
	at      *address
	caller  Caller
	token   string
	message *mcpwire.Message // nil: none was read
	version string           // the protocol revision of a message, as header and body say it
	session string           // the upstream's own session ID

	event audit.Event
	span  *telemetry.Span
	quiet bool // nothing happened that the audit should keep
	idle  bool // a stream that waits for messages: how long says nothing
	// detached is the legacy session on whose stream the answer goes, after the request itself has been answered.
	detached *legacySession
	abort    bool // the answer has begun and can't be finished: the client must not take it for whole
}

func (g *Gateway) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{g: g, w: w, r: r, began: g.Now()}
	x.event = audit.Event{
		Time: x.began, Kind: audit.Call, Decision: audit.Allowed,
		RequestID: rand.Text(), Address: g.ClientAddress(r), Method: r.Method,
	}
	x.ctx = telemetry.WithRequest(r.Context(), x.event.RequestID)
	x.ctx, x.span = g.Tracing.Begin(x.ctx, r.Header)
	w.Header()["X-Request-Id"] = []string{x.event.RequestID}
	return x
}

// writeHead begins the answer.
func (x *exchange) writeHead(status int) {
	x.event.Status = status
	x.w.WriteHeader(status)
}

// serveServer answers at the address of a server.
func (x *exchange) serveServer() error {
	switch x.r.Method {
	case http.MethodPost:
		return x.post()
	case http.MethodGet:
		return x.listen()
	case http.MethodDelete:
		return x.endSession()
	case http.MethodOptions:
		return x.preflight()
	default:
		x.quiet = true
		return x.methodNotAllowed()
	}
}

// post takes one message to the server behind and brings back what it answers.
func (x *exchange) post() error {
	if err := x.admit(); err != nil {
		return err
	}
	if err := x.read(); err != nil {
		return err
	}
	if err := x.openSession(); err != nil {
		return err
	}
	if err := x.decide(); err != nil {
		return err
	}
	return x.forward(x.request(http.MethodPost))
}

// listen opens the stream on which the server behind speaks first, or goes on with one that broke.
func (x *exchange) listen() error {
	if err := x.admit(); err != nil {
		return err
	}
	if !accepts(x.r.Header["Accept"], "text/event-stream") {
		x.quiet = true
		return &problem{status: http.StatusNotAcceptable, message: "this is the address of an MCP server: give it to an MCP client (Accept must contain text/event-stream)"}
	}
	if err := x.single("Last-Event-Id", "Mcp-Protocol-Version"); err != nil {
		return err
	}
	if err := x.openSession(); err != nil {
		return err
	}
	x.idle, x.quiet = true, true
	r := x.request(http.MethodGet)
	r.LastEventID = x.r.Header.Get("Last-Event-Id")
	return x.forward(r)
}

// endSession ends a session of the protocol, not the one with us.
func (x *exchange) endSession() error {
	if err := x.admit(); err != nil {
		return err
	}
	if err := x.openSession(); err != nil {
		return err
	}
	if x.session == "" {
		return x.badRequest("DELETE ends a session: send its Mcp-Session-Id")
	}
	x.quiet = true
	return x.forward(x.request(http.MethodDelete))
}

// preflight tells browsers what the pages of an allowed origin may send.
func (x *exchange) preflight() error {
	x.quiet = true
	if err := errors.Join(x.checkHost(), x.checkOrigin()); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Allow", x.allow)
	h.Set("Access-Control-Allow-Methods", x.allow)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	x.writeHead(http.StatusNoContent)
	return nil
}

// read reads the message. All of it is here before anything goes on: a server that answers before it has read its
// request would otherwise have its answer cut off.
func (x *exchange) read() error {
	if err := x.single("Content-Type", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{status: http.StatusUnsupportedMediaType, message: "send one JSON-RPC message as application/json",
			refusal: &policy.Refusal{Check: policy.CheckMessage, Wanted: "Content-Type: application/json", Got: "another type"}}
	}
	if !accepts(x.r.Header["Accept"], "application/json") && !accepts(x.r.Header["Accept"], "text/event-stream") {
		return &problem{status: http.StatusNotAcceptable, message: "answers are application/json or text/event-stream: Accept both",
			refusal: &policy.Refusal{Check: policy.CheckMessage, Wanted: "Accept: application/json, text/event-stream", Got: "neither"}}
	}
	controller := http.NewResponseController(x.w)
	_ = controller.SetReadDeadline(time.Now().Add(x.g.BodyTimeout)) // of the network, not of our clock
	message, err := mcpwire.Read(x.r.Body, x.g.Messages)
	if malformed, ok := errors.AsType[*mcpwire.Error](err); err != nil && !ok {
		// The deadline stays: else the rest of the body would be waited for before this is answered.
		x.w.Header().Set("Connection", "close")
		return &problem{status: http.StatusRequestTimeout, message: "the message did not arrive whole in time: send it again", cause: err}
	} else if err != nil {
		return malformed
	}
	_ = controller.SetReadDeadline(time.Time{})
	x.message = message
	headers := x.r.Header
	if x.at.resource != x.server.Resource {
		headers = legacyHeaders(message, headers)
	}
	if err := message.CheckHeaders(headers); err != nil {
		return err
	}
	x.version = headers.Get("Mcp-Protocol-Version")
	x.event.Method = message.Method()
	x.quiet = routine(message)
	return nil
}

// routine are messages that the audit doesn't keep when they were allowed: they do nothing by themselves.
func routine(m *mcpwire.Message) bool {
	return m.Kind() != mcpwire.Request || m.Method() == "ping"
}

// stateless says whether the request stands alone: since that revision there are no sessions, and errors have a
// status of their own.
func (x *exchange) stateless() bool { return x.version >= mcpwire.Revision2026_07_28 }

// single refuses headers that come twice: which one counts would be a matter of taste.
func (x *exchange) single(names ...string) error {
	for _, name := range names {
		if len(x.r.Header[name]) > 1 {
			return x.badRequest("the header " + name + " stands there twice: send it once")
		}
	}
	return nil
}

// accepts says whether an Accept header names the media type, or everything.
func accepts(values []string, want string) bool {
	if len(values) == 0 {
		return true // RFC 9110 §12.5.1
	}
	family, _, _ := strings.Cut(want, "/")
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			kind, _, _ := strings.Cut(part, ";")
			switch kind = strings.TrimSpace(kind); {
			case strings.EqualFold(kind, want), kind == "*/*", strings.EqualFold(kind, family+"/*"):
				return true
			}
		}
	}
	return false
}

// request is what goes on: nothing of the client's headers but these.
func (x *exchange) request(method string) *upstream.Request {
	return &upstream.Request{
		Method: method, Message: x.message, Session: x.session,
		Version: x.r.Header.Get("Mcp-Protocol-Version"), Accept: strings.Join(x.r.Header["Accept"], ", "),
		RequestID: x.event.RequestID, Person: x.caller.Identity.Key(),
	}
}

// endSpan ends the span of the request.
func (x *exchange) endSpan() {
	if x.span == nil {
		return
	}
	x.span.Name(strings.TrimSpace(methodClass(x.event.Method) + " " + x.event.Server))
	x.span.Set("mcp.method.name", x.event.Method, "genkan.server", x.event.Server, "genkan.decision", string(x.event.Decision),
		"gen_ai.tool.name", x.event.Target, "genkan.request_id", x.event.RequestID)
	problem := ""
	if x.event.Decision == audit.Failed {
		problem = x.event.Detail
	}
	x.span.End(problem)
}

// record writes down what happened.
func (x *exchange) record() {
	now := x.g.Now()
	x.event.Duration = now.Sub(x.began)
	x.endSpan()
	sample := telemetry.Sample{
		Server: x.event.Server, Method: methodClass(x.event.Method), Decision: string(x.event.Decision),
		Status: x.event.Status, Duration: x.event.Duration, Stream: x.idle,
	}
	if x.event.Server == "" {
		return // a stranger's path: nothing of ours
	}
	x.g.Metrics.Request(sample)
	if x.quiet && (x.event.Decision == audit.Allowed || x.message == nil) {
		return
	}
	if x.event.Decision == audit.Refused && !x.watchRefusal() {
		return
	}
	// What was done must be written down even if the client has left.
	if err := x.g.Audit.Record(context.WithoutCancel(x.ctx), x.event); err != nil {
		x.g.Logger.LogAttrs(x.ctx, slog.LevelError, "an event was not written down", slog.Any("error", err))
	}
}

// methodClass is a method as a label of metrics: those of the protocol by name, everything else as one.
func methodClass(method string) string {
	switch method {
	case "initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get",
		"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"subscriptions/listen", "completion/complete", "logging/setLevel", "GET", "DELETE", "POST", "OPTIONS":
		return method
	}
	if strings.HasPrefix(method, "notifications/") {
		return "notifications"
	}
	return "other"
}
