package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// HTTPConfig says how to reach a server by streamable HTTP.
type HTTPConfig struct {
	URL *url.URL
	// Transport sends the requests; NewTransport makes a good one. Redirects are never followed.
	Transport http.RoundTripper
	// Timeout bounds the time until the head of an answer, and until the end of one that is no stream.
	// Zero: 5 minutes.
	Timeout time.Duration
}

var _ Upstream = (*HTTP)(nil)

// HTTP is a server that speaks streamable HTTP.
type HTTP struct {
	url       *url.URL
	transport http.RoundTripper
	timeout   time.Duration
}

// NewHTTP makes the upstream; it does not connect yet.
func NewHTTP(c HTTPConfig) (*HTTP, error) {
	if c.URL == nil || (c.URL.Scheme != "http" && c.URL.Scheme != "https") || c.URL.Host == "" {
		return nil, errors.New("upstream: an http or https address is needed")
	}
	if c.URL.User != nil || c.URL.Fragment != "" {
		return nil, errors.New("upstream: the address must have no user and no fragment")
	}
	if c.Transport == nil {
		return nil, errors.New("upstream: a transport is needed")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	return &HTTP{url: c.URL, transport: c.Transport, timeout: c.Timeout}, nil
}

// NewTransport makes a transport for servers behind: connections are kept, nothing is compressed, no proxy of the
// environment is used, and the answer's head is bounded.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		// Ten thousand streams that wait hold two of these each. What is larger is read and written past them.
		WriteBufferSize: 2 << 10,
		ReadBufferSize:  2 << 10,
	}
}

// Forward sends the request and returns as soon as the head of the answer is there.
func (u *HTTP) Forward(ctx context.Context, r *Request) (*Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(u.timeout, func() { cancel(errTimeout) })
	resp, err := u.transport.RoundTrip(u.request(ctx, r))
	if err != nil {
		timer.Stop()
		defer cancel(nil)
		return nil, broken(ctx, err)
	}
	answer, err := read(resp)
	if err != nil {
		timer.Stop()
		_ = resp.Body.Close()
		cancel(nil)
		return nil, err
	}
	if answer.Shape == mcpwire.Stream {
		timer.Stop() // a stream lives as long as both sides want it to
	}
	answer.Body = &body{ReadCloser: resp.Body, ctx: ctx, done: func() { timer.Stop(); cancel(nil) }}
	return answer, nil
}

// Close drops the connections that are idle.
func (u *HTTP) Close() error {
	if t, ok := u.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// errTimeout is the cause of a context that we ended.
var errTimeout = errors.New("no answer in time")

func (u *HTTP) request(ctx context.Context, r *Request) *http.Request {
	req := &http.Request{
		Method: r.Method, URL: u.url, Host: u.url.Host, Header: r.header(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.Message != nil {
		payload := r.Message.Bytes()
		req.ContentLength = int64(len(payload))
		req.Body = io.NopCloser(bytes.NewReader(payload))
		// Lets the transport try a second connection when the first was closed before anything was sent.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }
	}
	return req.WithContext(ctx)
}

// broken tells our own time limit, the client's leaving, and everything else apart.
func broken(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return &Error{Reason: Timeout, Cause: errTimeout}
	case cause != nil:
		return cause
	default:
		return &Error{Reason: Unreachable, Cause: err}
	}
}

// read takes from an answer what a client may see of it.
func read(resp *http.Response) (*Response, error) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 || resp.StatusCode < 200 {
		return nil, &Error{Reason: Garbage, Cause: fmt.Errorf("status %d: redirects are not followed", resp.StatusCode)}
	}
	shape, err := mcpwire.ShapeOf(resp.Header)
	if err != nil {
		return nil, &Error{Reason: Garbage, Cause: err}
	}
	return &Response{
		Status: resp.StatusCode, Shape: shape, Length: resp.ContentLength,
		Type:       resp.Header.Get("Content-Type"),
		Session:    resp.Header.Get("Mcp-Session-Id"),
		Version:    resp.Header.Get("Mcp-Protocol-Version"),
		RetryAfter: resp.Header.Get("Retry-After"),
		Allow:      resp.Header.Get("Allow"),
		Challenge:  resp.Header.Values("Www-Authenticate"),
	}, nil
}

// body gives back what the request held once it is closed, and tells a time limit as such.
type body struct {
	io.ReadCloser
	ctx  context.Context // it is the context of this body's request
	once sync.Once
	done func()
}

// Read reads from the server behind.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = broken(b.ctx, err)
	}
	return n, err
}

// Close ends the request.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.done)
	return err
}
