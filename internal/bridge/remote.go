package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

const (
	headerSession = "Mcp-Session-Id"
	headerVersion = "Mcp-Protocol-Version"
	headerResume  = "Last-Event-Id"

	// maxRefusals is how often one message may be refused: for a token that has ended, for a sign-in that has
	// ended, and for a permission that is missing.
	maxRefusals = 3
	// dialTries and dialPause bridge the seconds in which a server restarts.
	dialTries = 4
	dialPause = 500 * time.Millisecond
)

// remote is the server, over streamable HTTP of every revision or over the older HTTP with SSE.
type remote struct {
	url    string
	http   *http.Client
	access *access
	out    *output
	log    *slog.Logger
	tools  paramHeaders

	// Only one message at a time may open a session again.
	opening sync.Mutex

	mu         sync.Mutex
	transport  Transport // Auto until it is known
	session    session
	initialize []byte // the client's own, to open a session again after the server lost it
	listening  context.CancelFunc
	legacy     *legacy
	streams    sync.WaitGroup
}

// session is what a server of the revisions up to 2025-11-25 agreed with the client.
type session struct {
	id      string
	version string
}

func newRemote(o *ConnectOptions, a *access, out *output, log *slog.Logger) *remote {
	return &remote{url: o.Server, http: o.Client, access: a, out: out, log: log, transport: o.Transport}
}

// send delivers one message and lets through what comes back for it. It calls sent as soon as the message is
// on its way.
func (r *remote) send(ctx context.Context, m *mcpwire.Message, sent func()) error {
	if m.Method() == "initialize" {
		r.begin(m)
	}
	r.mu.Lock()
	old := r.transport == SSE
	r.mu.Unlock()
	if old {
		return r.sendLegacy(ctx, m, sent)
	}
	resp, err := r.exchange(ctx, m, sent) //nolint:bodyclose // receive closes it
	if err != nil {
		return err
	}
	err = r.receive(ctx, m, resp)
	if errors.Is(err, errOlderTransport) {
		r.log.Info("the server speaks the older transport, HTTP with SSE")
		r.mu.Lock()
		r.transport = SSE
		r.mu.Unlock()
		return r.sendLegacy(ctx, m, sent)
	}
	if err == nil && m.Method() == "notifications/initialized" && !isModern(m) {
		r.listen(ctx)
	}
	return err
}

// begin forgets the session before a new one.
func (r *remote) begin(m *mcpwire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = session{}
	r.initialize = bytes.Clone(m.Bytes())
	if r.listening != nil {
		r.listening()
		r.listening = nil
	}
}

// exchange posts a message until it is accepted: in a new session where the server has lost the old one, and
// with the headers that a tool wants.
func (r *remote) exchange(ctx context.Context, m *mcpwire.Message, sent func()) (*http.Response, error) {
	reopened, relisted := false, false
	for {
		at, resp, err := r.post(ctx, m, sent)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusNotFound && at.id != "" && !reopened && m.Method() != "initialize":
			discard(resp)
			reopened = true
			if err := r.reopen(ctx, at); err != nil {
				return nil, err
			}
		case resp.StatusCode == http.StatusBadRequest && m.Method() == "tools/call" && isModern(m) && !relisted && isMismatch(resp):
			discard(resp)
			relisted = true
			if err := r.relist(ctx, m); err != nil {
				return nil, err
			}
		default:
			return resp, nil
		}
	}
}

// post sends a message with a token, if the server wants one.
func (r *remote) post(ctx context.Context, m *mcpwire.Message, sent func()) (at session, resp *http.Response, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }})
	resp, err = r.authorised(ctx, false, func(token string) (*http.Response, error) {
		at = r.at()
		return r.dial(ctx, func() (*http.Request, error) {
			req, err := r.request(ctx, http.MethodPost, r.url, token, at, m.Bytes())
			if err != nil {
				return nil, err
			}
			m.SetHeaders(req.Header)
			if isModern(m) {
				r.tools.set(req.Header, m)
			}
			return req, nil
		})
	})
	return at, resp, err
}

func (r *remote) at() session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session
}

// authorised makes a request until its token is accepted, and gets better ones in between. The person is asked
// unless it has to be silent.
func (r *remote) authorised(ctx context.Context, silent bool, try func(token string) (*http.Response, error)) (*http.Response, error) {
	for refused := 0; ; refused++ {
		token, err := r.access.token(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := try(token)
		if err != nil {
			return nil, err
		}
		c, ok := readChallenge(resp, token, refused)
		if !ok {
			return resp, nil
		}
		discard(resp)
		if refused == maxRefusals {
			return nil, fmt.Errorf("the server refuses every token (%s): ask who runs it, or sign out with --sign-out and try again", resp.Status)
		}
		c.silent = silent
		if err := r.access.satisfy(ctx, c); err != nil {
			return nil, err
		}
	}
}

// dial makes a request, and waits a little for a server that is just restarting: as long as nobody has taken
// the call, nothing has happened.
func (r *remote) dial(ctx context.Context, prepare func() (*http.Request, error)) (*http.Response, error) {
	for try := 1; ; try++ {
		req, err := prepare()
		if err != nil {
			return nil, err
		}
		resp, err := r.http.Do(req)
		if err == nil {
			return resp, nil
		}
		if try == dialTries || !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("the server %s %w; check the network and the address, and try again", r.url, unreachable(err))
		}
		select {
		case <-time.After(dialPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// request makes a request with what every one of them needs.
func (r *remote) request(ctx context.Context, method, address, token string, at session, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if at.id != "" {
		req.Header.Set(headerSession, at.id)
	}
	if at.version != "" {
		req.Header.Set(headerVersion, at.version)
	}
	switch method {
	case http.MethodPost:
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
	case http.MethodGet:
		req.Header.Set("Accept", "text/event-stream")
	}
	return req, nil
}

// receive lets through what the server answers to one message.
func (r *remote) receive(ctx context.Context, m *mcpwire.Message, resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	r.noteSession(m, resp)
	shape, err := mcpwire.ShapeOf(resp.Header)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return r.receiveError(m, resp, shape)
	}
	if m.Kind() != mcpwire.Request {
		discard(resp) // accepted; there is nothing to read
		return nil
	}
	switch shape {
	case mcpwire.JSON:
		raw, err := io.ReadAll(io.LimitReader(resp.Body, messageLimit))
		if err != nil {
			return fmt.Errorf("the server broke off in the middle of its answer: %w", err)
		}
		if err := r.pass(m, raw); err != nil {
			return fmt.Errorf("the answer of the server can't be used: %w", err)
		}
		return nil
	case mcpwire.Stream:
		return r.follow(ctx, m, resp)
	default:
		return fmt.Errorf("the server answered with %q, which no MCP client reads: is this the address of an MCP server?",
			oneLine(resp.Header.Get("Content-Type")))
	}
}

// noteSession remembers the session that a server of the older revisions opens with its answer to initialize.
func (r *remote) noteSession(m *mcpwire.Message, resp *http.Response) {
	if m.Method() != "initialize" || resp.StatusCode != http.StatusOK {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session.id = resp.Header.Get(headerSession)
	if r.transport == Auto {
		r.transport = HTTP
	}
}

// receiveError lets a JSON-RPC error through, whatever the status, and makes one out of everything else.
func (r *remote) receiveError(m *mcpwire.Message, resp *http.Response, shape mcpwire.Shape) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var failure struct {
		ID    json.RawMessage `json:"id"`
		Error json.RawMessage `json:"error"`
	}
	isRPC := shape == mcpwire.JSON && json.Unmarshal(raw, &failure) == nil && len(failure.Error) > 0 && failure.Error[0] == '{'
	if isRPC && m.Kind() == mcpwire.Request {
		return r.out.object(map[string]any{"jsonrpc": "2.0", "id": json.RawMessage(m.ID()), "error": failure.Error})
	}
	status := fmt.Sprintf("the server answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if after := resp.Header.Get("Retry-After"); after != "" {
		status += ", and wants to be asked again after " + oneLine(after) + " seconds"
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		if m.Method() == "initialize" && r.mayBeOlder() {
			return errOlderTransport
		}
		if isModern(m) && m.Kind() == mcpwire.Request {
			// A server of an earlier revision does not know the method: the client then begins with initialize.
			return r.out.failure(m.ID(), mcpwire.CodeMethodNotFound, status)
		}
	}
	return errors.New(status)
}

func (r *remote) mayBeOlder() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.transport == Auto
}

// pass lets one message of the server through to the client. m is the request that it may answer, or nil.
func (r *remote) pass(m *mcpwire.Message, raw []byte) error {
	if m == nil {
		return r.out.message(raw)
	}
	switch m.Method() {
	case "initialize":
		r.noteVersion(raw)
	case "tools/list":
		if isModern(m) {
			raw = r.tools.learn(raw, r.log)
		}
	}
	return r.out.message(raw)
}

// noteVersion remembers the revision that an answer to initialize agrees to.
func (r *remote) noteVersion(raw []byte) {
	var answer struct {
		Result struct {
			Version string `json:"protocolVersion"`
		} `json:"result"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Result.Version == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Revision 2024-11-05 and 2025-03-26 have no such header, and servers of those may refuse it.
	if answer.Result.Version >= mcpwire.Revision2025_06_18 {
		r.session.version = answer.Result.Version
	}
}

// close ends the session at the server, as far as that is possible at once.
func (r *remote) close(ctx context.Context) {
	r.mu.Lock()
	at, listening, old := r.session, r.listening, r.legacy
	r.listening, r.legacy = nil, nil
	r.mu.Unlock()
	if listening != nil {
		listening()
	}
	if old != nil {
		old.hangUp()
	}
	r.streams.Wait()
	if at.id == "" {
		return
	}
	held := r.access.current.Load()
	if held == nil {
		held = &record{}
	}
	req, err := r.request(ctx, http.MethodDelete, r.url, held.AccessToken, at, nil)
	if err != nil {
		return
	}
	if resp, err := r.http.Do(req); err == nil {
		discard(resp)
	}
}

// discard reads what little is left of a body, so that the connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
