package entra

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFreshFor  = time.Hour        // then they are fetched again, ahead of any need
	keysRetry     = time.Minute      // between attempts while Entra is down
	unknownEvery  = time.Minute      // strangers can make us fetch this often, and no more
	coldRetry     = 2 * time.Second  // between attempts while there are no keys at all
	keysTimeout   = 10 * time.Second // for one attempt
	keysAtMost    = 200
	leastRSABytes = 256
)

// signingKey is a public key of Entra and the issuer whose tokens it may sign.
type signingKey struct {
	public *rsa.PublicKey
	issuer string // may hold {tenantid}; empty: any
}

func (k signingKey) same(other signingKey) bool {
	return k.issuer == other.issuer && k.public.Equal(other.public)
}

// keyRing is one fetched set of keys. It never changes.
type keyRing struct {
	byID    map[string][]signingKey
	fetched time.Time
}

// keySet is the keys that Entra signs with. It fetches them when needed and ahead of need, keeps the old ones
// while Entra is down, and lets strangers' key IDs cause one fetch a minute at most.
type keySet struct {
	discovery string
	client    *http.Client
	now       func() time.Time
	sameHost  func(*url.URL) bool

	ring       atomic.Pointer[keyRing]
	refreshing atomic.Bool

	mu          sync.Mutex
	attempted   time.Time // the last fetch of any kind
	lastUnknown time.Time // the last fetch caused by an unknown key ID
	failure     error     // of the last fetch
	fetching    *keyFetch // the one under way, or nil
}

// keyFetch is a fetch under way.
type keyFetch struct {
	done chan struct{} // closed when err is set
	err  error
}

func newKeySet(cloud Cloud, tenant string, client *http.Client, now func() time.Time) *keySet {
	return &keySet{
		discovery: cloud.secureAuthority() + "/" + tenant + discoveryPath,
		client:    client, now: now,
		sameHost: func(u *url.URL) bool { return strings.HasPrefix(u.String(), cloud.secureAuthority()+"/") },
	}
}

// errUnknownKey means that Entra publishes no key of that ID.
var errUnknownKey = errors.New("no such key")

// find returns the keys of that ID: usually one. It fetches if it must.
func (s *keySet) find(ctx context.Context, id string) ([]signingKey, error) {
	ring := s.ring.Load()
	if ring == nil {
		return s.findCold(ctx, id)
	}
	if s.now().Sub(ring.fetched) > keysFreshFor && s.refreshing.CompareAndSwap(false, true) {
		// Only this caller waits; the others go on with what there is.
		s.refreshAhead(ctx)
		s.refreshing.Store(false)
		ring = s.ring.Load()
	}
	if keys, ok := ring.byID[id]; ok {
		return keys, nil
	}
	return s.findUnknown(ctx, id)
}

// findCold is for a start while there are no keys yet.
func (s *keySet) findCold(ctx context.Context, id string) ([]signingKey, error) {
	s.mu.Lock()
	if s.failure != nil && s.now().Sub(s.attempted) < coldRetry {
		err := s.failure
		s.mu.Unlock()
		return nil, err
	}
	s.mu.Unlock()
	if err := s.fetchOnce(ctx); err != nil {
		return nil, err
	}
	return s.lookup(id)
}

func (s *keySet) refreshAhead(ctx context.Context) {
	s.mu.Lock()
	due := s.now().Sub(s.attempted) >= keysRetry
	s.mu.Unlock()
	if due {
		_ = s.fetchOnce(ctx) // the old keys stay, and the failure is remembered
	}
}

// findUnknown fetches for an ID that is not there: a new key, or a stranger's invention.
func (s *keySet) findUnknown(ctx context.Context, id string) ([]signingKey, error) {
	s.mu.Lock()
	due := s.lastUnknown.IsZero() || s.now().Sub(s.lastUnknown) >= unknownEvery
	if due {
		s.lastUnknown = s.now()
	}
	failure, underWay := s.failure, s.fetching
	s.mu.Unlock()
	switch {
	case due:
		failure = s.fetchOnce(ctx)
	case underWay != nil:
		failure = underWay.wait(ctx)
	}
	if keys, err := s.lookup(id); err == nil {
		return keys, nil
	}
	if failure != nil {
		return nil, failure // it may be a new key: nobody knows
	}
	return nil, errUnknownKey
}

func (s *keySet) lookup(id string) ([]signingKey, error) {
	if keys, ok := s.ring.Load().byID[id]; ok {
		return keys, nil
	}
	return nil, errUnknownKey
}

// fetchOnce fetches the keys; callers at the same time share one fetch. A caller who goes away does not stop it, as it
// ends by itself soon: else a stranger could hang up on each fetch, and new keys would never come in.
func (s *keySet) fetchOnce(ctx context.Context) error {
	s.mu.Lock()
	underWay := s.fetching
	if underWay == nil {
		underWay = &keyFetch{done: make(chan struct{})}
		s.fetching = underWay
		go s.run(context.WithoutCancel(ctx), underWay)
	}
	s.mu.Unlock()
	return underWay.wait(ctx)
}

func (s *keySet) run(ctx context.Context, underWay *keyFetch) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempted, s.failure, s.fetching = s.now(), err, nil
	if err == nil {
		s.ring.Store(&keyRing{byID: keys, fetched: s.now()})
	}
	underWay.err = err
	close(underWay.done)
}

func (f *keyFetch) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return unreachable("fetch signing keys", ctx.Err())
	}
}

func (s *keySet) fetch(ctx context.Context) (map[string][]signingKey, error) {
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := s.get(ctx, s.discovery, &metadata); err != nil {
		return nil, err
	}
	address, err := url.Parse(metadata.Keys)
	if err != nil || !s.sameHost(address) {
		return nil, s.garbled(errors.New("the discovery document names no key set on its own host"))
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.get(ctx, address.String(), &set); err != nil {
		return nil, err
	}
	keys := map[string][]signingKey{}
	for i, raw := range set.Keys {
		if i == keysAtMost {
			break
		}
		if id, key, ok := readKey(raw); ok {
			keys[id] = append(keys[id], key)
		}
	}
	if len(keys) == 0 {
		return nil, s.garbled(errors.New("the key set has no RSA key"))
	}
	return keys, nil
}

// readKey passes over keys that are no RSA keys for signatures, as RFC 7517 §5 asks.
func readKey(raw json.RawMessage) (string, signingKey, bool) {
	var key jose.JSONWebKey
	if key.UnmarshalJSON(raw) != nil {
		return "", signingKey{}, false
	}
	var extra struct {
		Issuer string `json:"issuer"`
	}
	if json.Unmarshal(raw, &extra) != nil {
		return "", signingKey{}, false
	}
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok || public.Size() < leastRSABytes || key.KeyID == "" || (key.Use != "" && key.Use != "sig") {
		return "", signingKey{}, false
	}
	return key.KeyID, signingKey{public: public, issuer: extra.Issuer}, true
}

func (s *keySet) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return s.garbled(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return unreachable("fetch signing keys", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return &Error{
			Op: "fetch signing keys", Reason: Unavailable, Status: response.StatusCode, RetryAfter: retryAfter(response.Header),
			Remedy: "Entra did not give its signing keys: check tenant and cloud, or try again later.",
		}
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return s.garbled(fmt.Errorf("read %s: the answer is not the JSON that was expected", request.URL.Path))
	}
	return nil
}

func (s *keySet) garbled(cause error) error {
	return &Error{Op: "fetch signing keys", Reason: Unavailable, Cause: cause, Remedy: "Entra's answer makes no sense; check the cloud's address."}
}
