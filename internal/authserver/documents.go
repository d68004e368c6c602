package authserver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// Documents says which client ID metadata documents are believed
// (draft-ietf-oauth-client-id-metadata-document). By default all are that can be fetched safely.
type Documents struct {
	// Off: none is.
	Off bool
	// Allow are the domains whose documents are believed, each with all below it; empty: every domain.
	Allow []string
	// Deny are the domains whose documents are never believed.
	Deny []string
	// Roots are the certificate authorities to trust; nil: those of the system.
	Roots *x509.CertPool
	// Timeout bounds one fetch; 5 s.
	Timeout time.Duration

	// InsecureAllowLoopback lets documents be fetched from this very machine, which gives every stranger a hand
	// inside it. For tests only.
	InsecureAllowLoopback bool
	// InsecureLookup and InsecureDial replace the resolver, and the connection after the address was judged. For
	// tests only.
	InsecureLookup func(ctx context.Context, host string) ([]netip.Addr, error)
	InsecureDial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// The bounds of what is kept of documents.
const (
	maxDocuments  = 2000
	shortestKept  = time.Minute // a sign-in asks several times
	usuallyKept   = 10 * time.Minute
	longestKept   = 24 * time.Hour
	longestStale  = 24 * time.Hour // beyond its freshness, while its host does not answer
	fetchesAtOnce = 16
)

// documents fetches and keeps client ID metadata documents.
type documents struct {
	config     Documents
	appSchemes []string
	make       func(id string, m oauth.ClientMetadata) (*client, error)
	now        func() time.Time
	http       *http.Client
	flights    singleflight.Group
	places     chan struct{}

	mu   sync.Mutex
	kept map[string]keptDocument
}

type keptDocument struct {
	client *client
	until  time.Time
}

// errFetch is all that a stranger learns of a fetch that failed, so that nobody explores a network with it.
func errFetch(cause error) error {
	return oauth.Refuse(oauth.TemporarilyUnavailable, "the client's metadata document could not be fetched").Because(cause)
}

func (a *AuthServer) newDocuments() *documents {
	config := a.Documents
	if config.Timeout == 0 {
		config.Timeout = 5 * time.Second
	}
	return &documents{
		config: config, appSchemes: a.AppSchemes, now: a.Now, http: newFetcher(config),
		make: func(id string, m oauth.ClientMetadata) (*client, error) {
			c, err := a.fromMetadata(id, document, m)
			if err != nil {
				return nil, err
			}
			u, err := url.Parse(id)
			if err != nil {
				return nil, err
			}
			c.domain = u.Host
			return c, nil
		},
		places: make(chan struct{}, fetchesAtOnce), kept: map[string]keptDocument{},
	}
}

// client fetches the document at an address, or takes it from what is kept.
func (d *documents) client(ctx context.Context, address string) (*client, error) {
	if err := d.mayFetch(address); err != nil {
		return nil, err
	}
	kept, found := d.get(address)
	if found && d.now().Before(kept.until) {
		return kept.client, nil
	}
	answer := d.flights.DoChan(address, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.config.Timeout)
		defer cancel()
		return d.fetch(ctx, address)
	})
	select {
	case <-ctx.Done():
		return nil, errFetch(ctx.Err())
	case result := <-answer:
		if result.Err == nil {
			return result.Val.(*client), nil
		}
		refusal, _ := errors.AsType[*oauth.Error](result.Err)
		if refusal == nil || refusal.Code != oauth.TemporarilyUnavailable {
			d.forget(address) // it is there, and it is no good
			return nil, result.Err
		}
		// A client stays signed in while its own site is down (RFC 9111 §4.2.4).
		if found && d.now().Before(kept.until.Add(longestStale)) {
			return kept.client, nil
		}
		return nil, result.Err
	}
}

// mayFetch judges an address before anything is sent anywhere.
func (d *documents) mayFetch(address string) error {
	if d.config.Off {
		return oauth.Refuse(oauth.InvalidClient, "client ID metadata documents are not supported here; register instead")
	}
	if err := oauth.CheckClientIDURL(address); err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return oauth.Refuse(oauth.InvalidClient, "the client_id is malformed")
	}
	host := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err == nil && !d.config.InsecureAllowLoopback {
		return oauth.Refuse(oauth.InvalidClient, "the host of a client_id must be a domain")
	}
	if below(host, d.config.Deny) || (len(d.config.Allow) > 0 && !below(host, d.config.Allow)) {
		return oauth.Refuse(oauth.InvalidClient, "clients of this domain are not allowed here")
	}
	return nil
}

// below says whether a host is one of the domains, or below one.
func below(host string, domains []string) bool {
	for _, domain := range domains {
		domain = strings.ToLower(domain)
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

// fetch gets a document, judges it, and keeps it. Only a document that passed is kept (the draft's §4.4).
func (d *documents) fetch(ctx context.Context, address string) (*client, error) {
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		return nil, errFetch(ctx.Err())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // newFetcher's dialer is the guard
	if err != nil {
		return nil, errFetch(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := d.http.Do(request) //nolint:gosec // newFetcher's dialer is the guard
	if err != nil {
		return nil, errFetch(err)
	}
	defer response.Body.Close()
	body, err := readDocument(response)
	if err != nil {
		return nil, err
	}
	metadata, err := oauth.ParseClientDocument(address, body, d.appSchemes...)
	if err != nil {
		return nil, err
	}
	c, err := d.make(address, metadata)
	if err != nil {
		return nil, err
	}
	d.put(address, keptDocument{client: c, until: d.now().Add(freshFor(response.Header, d.now()))})
	return c, nil
}

func readDocument(response *http.Response) ([]byte, error) {
	switch status := response.StatusCode; {
	case status == http.StatusOK:
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return nil, errFetch(fmt.Errorf("status %d", status))
	default: // a redirect, too: the address is the identity (the draft's §4)
		return nil, oauth.Refuse(oauth.InvalidClient, "there is no client metadata document at the client_id").Because(fmt.Errorf("status %d", status))
	}
	if !isJSON(response.Header.Get("Content-Type")) {
		return nil, oauth.Refuse(oauth.InvalidClientMetadata, "the client's document is not served as JSON")
	}
	body, err := oauth.ReadBody(response.Body, oauth.MaxClientDocument)
	if refusal, ok := errors.AsType[*oauth.Error](err); ok && refusal.Cause != nil {
		return nil, errFetch(err)
	}
	return body, err
}

func (d *documents) get(address string) (keptDocument, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, found := d.kept[address]
	return kept, found
}

func (d *documents) put(address string, kept keptDocument) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.kept[address]; !known && len(d.kept) >= maxDocuments {
		d.evict()
	}
	d.kept[address] = kept
}

// evict drops the document that was due first.
func (d *documents) evict() {
	var oldest string
	for address, kept := range d.kept {
		if oldest == "" || kept.until.Before(d.kept[oldest].until) {
			oldest = address
		}
	}
	delete(d.kept, oldest)
}

func (d *documents) forget(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, address)
}
