package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// baseScope is the scope that every token for a server carries.
const baseScope = "mcp"

func (k *Console) server(name string) (Server, bool) {
	servers := k.Servers()
	i := slices.IndexFunc(servers, func(s Server) bool { return s.Name == name })
	if i < 0 {
		return Server{}, false
	}
	return servers[i], true
}

// door gives the token with which the console calls one server for one person: a session of the house like any
// client's, which the person sees among theirs and which ends with the console's.
func (k *Console) door(ctx context.Context, s *session, server Server) (secret.Text, error) {
	if kept, ok := s.Doors[server.Name]; ok && k.Now().Before(kept.Expires.Add(-time.Minute)) {
		if g, err := k.Grants.Get(ctx, kept.Grant); err == nil && g.Ended.IsZero() {
			return secret.NewText(kept.Token), nil
		}
	}
	tokens, err := k.Grants.Issue(ctx, grant.Opening{
		Client: ClientID, ClientName: "Genkan console", Server: server.Name, Resource: server.Resource,
		Scopes: server.allScopes(), Identity: s.person(), Upstream: s.State,
	})
	if err != nil {
		return secret.Text{}, fmt.Errorf("open a session for %s: %w", server.Name, err)
	}
	var before opened
	err = k.change(ctx, s, func(s *session) error {
		if s.Doors == nil {
			s.Doors = map[string]opened{}
		}
		before = s.Doors[server.Name]
		s.Doors[server.Name] = opened{Grant: tokens.GrantID, Token: tokens.Access.Reveal(), Expires: k.Now().Add(tokens.ExpiresIn)}
		return nil
	})
	if err != nil {
		return secret.Text{}, errors.Join(err, k.Grants.End(ctx, tokens.GrantID))
	}
	if before.Grant != "" {
		if err := k.Grants.End(ctx, before.Grant); err != nil && !errors.Is(err, grant.ErrNotFound) {
			return secret.Text{}, err
		}
	}
	return tokens.Access, nil
}

// connect speaks MCP with a server through the door, as the person. Whoever gets a session closes it.
func (k *Console) connect(ctx context.Context, r *http.Request, s *session, server Server, heard *mcp.ClientOptions) (*mcp.ClientSession, error) {
	return k.connectTo(ctx, k.Door, r, s, server, heard)
}

func (k *Console) connectTo(ctx context.Context, handler http.Handler, r *http.Request, s *session, server Server, heard *mcp.ClientOptions) (*mcp.ClientSession, error) {
	token, err := k.door(ctx, s, server)
	if err != nil {
		return nil, err
	}
	if heard == nil {
		heard = &mcp.ClientOptions{}
	}
	heard.Capabilities = &mcp.ClientCapabilities{}
	client := mcp.NewClient(&mcp.Implementation{Name: ClientID, Title: "Genkan console", Version: "1"}, heard)
	within := &within{handler: handler, token: token, host: k.PublicURL.Host, from: r.RemoteAddr}
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: server.Resource, HTTPClient: &http.Client{Transport: within}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, &serverError{server: server.Label(), err: err}
	}
	return session, nil
}

// serverError says that a server did not answer as it should.
type serverError struct {
	server string
	err    error
}

// Error is for the log.
func (e *serverError) Error() string { return "server " + e.server + ": " + e.err.Error() }

// Unwrap gives the cause.
func (e *serverError) Unwrap() error { return e.err }

// within is an HTTP transport that ends in a handler of this very process.
type within struct {
	handler http.Handler
	token   secret.Text
	host    string
	from    string // the address of the browser, for the audit
}

// RoundTrip implements http.RoundTripper. The body streams, so that progress comes while a tool still runs.
func (t *within) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(out.Context())
	in := out.Clone(ctx)
	in.Host, in.RemoteAddr, in.RequestURI = t.host, t.from, out.URL.RequestURI()
	in.Header.Set("Authorization", "Bearer "+t.token.Reveal())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	answer := &pipeAnswer{header: http.Header{}, begun: make(chan struct{}), body: writer}
	go func() {
		defer func() {
			answer.begin(http.StatusOK)
			if recovered := recover(); recovered != nil {
				_ = writer.CloseWithError(errors.New("the door broke off")) // as net/http does
				return
			}
			_ = writer.Close()
		}()
		t.handler.ServeHTTP(answer, in)
	}()
	select {
	case <-answer.begun:
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, Body: &pipeBody{PipeReader: reader, cancel: cancel}, ContentLength: -1, Request: out,
	}, nil
}

// pipeBody tells the handler when its reader is done.
type pipeBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends the request.
func (b *pipeBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// pipeAnswer is a response writer whose body goes into a pipe.
type pipeAnswer struct {
	header, sent http.Header
	body         *io.PipeWriter
	status       int
	once         sync.Once
	begun        chan struct{}
}

// Header implements http.ResponseWriter.
func (a *pipeAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *pipeAnswer) WriteHeader(status int) {
	if status >= 200 {
		a.begin(status)
	}
}

func (a *pipeAnswer) begin(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

// Write implements http.ResponseWriter.
func (a *pipeAnswer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.body.Write(bytes.Clone(p))
}

// Flush implements http.Flusher: nothing is held back.
func (a *pipeAnswer) Flush() { a.begin(http.StatusOK) }

// SetReadDeadline and SetWriteDeadline have nothing to bound: the context of the request does.
func (a *pipeAnswer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline see SetReadDeadline.
func (a *pipeAnswer) SetWriteDeadline(time.Time) error { return nil }
