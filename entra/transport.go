package entra

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	discoveryPath  = "/v2.0/.well-known/openid-configuration"
	discoveryLife  = time.Hour
	responseLimit  = 4 << 20 // bytes of an answer that are read at most
	requestTimeout = 30 * time.Second
)

// transport stands between this package (and MSAL, and azcore) and the network. It sends requests for a
// loopback dev cloud over plain http though its callers say https, remembers discovery documents (MSAL would
// fetch one for each sign-in), has scopes bear the names that were asked for, and bounds what is read.
type transport struct {
	cloud Cloud
	next  http.RoundTripper
	now   func() time.Time

	mu        sync.Mutex
	discovery map[string]document
}

type document struct {
	body    []byte
	fetched time.Time
}

// newHTTPClient wraps a caller's client, or makes one. It follows no redirects: a redirect would carry an
// application's credential to whoever is named.
func newHTTPClient(cloud Cloud, base *http.Client, now func() time.Time) *http.Client {
	wrapped := http.Client{Timeout: requestTimeout}
	if base != nil {
		wrapped = *base
	}
	next := wrapped.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	wrapped.Transport = &transport{cloud: cloud, next: next, now: now, discovery: map[string]document{}}
	wrapped.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &wrapped
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, discoveryPath) {
		return t.discover(r)
	}
	return t.send(r)
}

func (t *transport) send(r *http.Request) (*http.Response, error) {
	if host := t.cloud.plainHost(); host != "" && r.URL.Scheme == "https" && strings.EqualFold(r.URL.Host, host) {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &bounded{ReadCloser: response.Body, left: responseLimit}
	if err := nameScopes(r, response); err != nil {
		_ = response.Body.Close() // the answer is useless
		return nil, err
	}
	return response, nil
}

// discover answers from memory while the document is fresh, and also afterwards if Entra can't be reached.
func (t *transport) discover(r *http.Request) (*http.Response, error) {
	key := r.URL.Host + r.URL.Path
	t.mu.Lock()
	known, ok := t.discovery[key]
	t.mu.Unlock()
	if ok && t.now().Sub(known.fetched) < discoveryLife {
		return found(r, known.body), nil
	}
	response, err := t.send(r)
	if err != nil || response.StatusCode != http.StatusOK {
		if ok && (err != nil || response.StatusCode >= 500) {
			if err == nil {
				_ = response.Body.Close()
			}
			return found(r, known.body), nil
		}
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := t.readDiscovery(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read discovery document: %w", err)
	}
	t.mu.Lock()
	t.discovery[key] = document{body: body, fetched: t.now()}
	t.mu.Unlock()
	return found(r, body), nil
}

// readDiscovery names the endpoints of a plain http cloud as https, because MSAL compares their scheme with
// the authority's.
func (t *transport) readDiscovery(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	if t.cloud.plainHost() == "" {
		return body, nil
	}
	for name, value := range fields {
		if text, ok := value.(string); ok {
			fields[name] = t.cloud.secure(text)
		}
	}
	return json.Marshal(fields)
}

func found(r *http.Request, body []byte) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// bounded is a body that ends in an error, not in memory, when it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is too long")
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
