package entra

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	renewBefore    = 5 * time.Minute  // before a token ends it is renewed, while it still works
	leastLife      = 30 * time.Second // a token that ends sooner is not given out
	refusedFor     = 20 * time.Second // how long a "no" is remembered
	unreachableFor = time.Second      // how long an outage is remembered, unless Entra says otherwise
	patienceAtMost = time.Minute      // what Entra may ask for
	tokensAtMost   = 4096             // per generation
)

// tokenCache keeps tokens for other services. One request a key goes to Entra, however many wait; a token is renewed
// ahead of its end by one caller, while the others go on with it; a "no" is remembered briefly, so that a caller in a
// loop does not have Entra throttle everybody.
type tokenCache struct {
	now    func() time.Time
	flight *flights[Token]

	kept *recent[string, *cachedToken]
	mu   sync.Mutex // guards what the entries hold
}

type cachedToken struct {
	token    Token
	renewAt  time.Time
	renewing bool

	failure   error // while set there is no token
	failedFor string
	until     time.Time
}

// tokenRequest is one wish: the key under which the answer is kept, the fingerprint of what is shown to Entra (a
// "no" counts for that alone), and how to ask.
type tokenRequest struct {
	key         string
	fingerprint string
	anew        bool // past what is kept
	ask         func(context.Context) (Token, error)
}

func newTokenCache(now func() time.Time) *tokenCache {
	return &tokenCache{now: now, flight: newFlights[Token](), kept: newRecent[string, *cachedToken](tokensAtMost)}
}

func (c *tokenCache) get(ctx context.Context, r tokenRequest) (Token, error) {
	token, err, known := c.look(r)
	if known {
		return token, err
	}
	fresh, err := c.acquire(ctx, r)
	if err != nil && !token.IsZero() && reasonOf(err) == Unavailable {
		return token, nil // it still works; somebody else tries again soon
	}
	return fresh, err
}

// look says whether the answer is known. A token that comes back with false still works and is due for renewal, which
// falls to this caller.
func (c *tokenCache) look(r tokenRequest) (token Token, err error, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	entry, ok := c.kept.get(r.key)
	switch {
	case !ok:
		return Token{}, nil, false
	case entry.failure != nil:
		return Token{}, entry.failure, entry.failedFor == r.fingerprint && now.Before(entry.until)
	case !now.Add(leastLife).Before(entry.token.expires):
		return Token{}, nil, false
	case entry.renewing || now.Before(entry.renewAt):
		return entry.token, nil, true
	}
	entry.renewing = true
	return entry.token, nil, false
}

// acquire asks Entra, together with everybody who has the same wish. A caller who goes away stops nobody else.
func (c *tokenCache) acquire(ctx context.Context, r tokenRequest) (Token, error) {
	began := c.now()
	token, err := c.flight.share(ctx, r.key+"\x00"+r.fingerprint, func(ctx context.Context) (Token, error) {
		if token, ok := c.arrivedSince(began, r.key); ok && !r.anew {
			return token, nil
		}
		token, err := r.ask(ctx)
		c.keep(r, token, err)
		return token, err
	})
	return token, explainFailure("get token", err)
}

// arrivedSince finds the token that another flight brought between this caller's look and its flight.
func (c *tokenCache) arrivedSince(began time.Time, key string) (Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.kept.get(key)
	if !ok || entry.failure != nil || entry.renewing || began.After(entry.renewAt) {
		return Token{}, false
	}
	return entry.token, true
}

func (c *tokenCache) keep(r tokenRequest, token Token, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	entry, ok := c.kept.get(r.key)
	switch reason := reasonOf(err); {
	case err == nil:
		life := token.expires.Sub(now)
		c.kept.put(r.key, &cachedToken{token: token, renewAt: token.expires.Add(-min(renewBefore, life/2))})
	case errors.Is(err, context.Canceled):
		if ok { // everybody has gone away: that says nothing about Entra
			entry.renewing = false
		}
	case reason == Unavailable && ok && entry.failure == nil:
		entry.renewing, entry.renewAt = false, now.Add(min(patience(err)+leastLife, patienceAtMost))
	case reason == Unavailable:
		c.kept.put(r.key, &cachedToken{failure: err, failedFor: r.fingerprint, until: now.Add(patience(err))})
	default:
		// A definite "no" also ends what was there: it must not outlive a withdrawn consent or a disabled account.
		c.kept.put(r.key, &cachedToken{failure: err, failedFor: r.fingerprint, until: now.Add(refusedFor)})
	}
}

// patience is how long Entra wants to be left alone.
func patience(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return min(e.RetryAfter, patienceAtMost)
	}
	return unreachableFor
}

func reasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// forget drops everything whose key starts so.
func (c *tokenCache) forget(prefix string) {
	c.kept.forget(func(key string) bool { return strings.HasPrefix(key, prefix) })
}
