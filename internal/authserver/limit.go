package authserver

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// Rate is how often something may happen: Burst at once, and then one every Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// Limits keep one caller from starving the others. Zero rates have defaults.
type Limits struct {
	Register  Rate // by address
	Authorize Rate // by address
	Token     Rate // by address and client, so that neighbours behind one address don't punish each other
	// Unused is how many registrations that nobody has used yet one address may have.
	Unused int
}

type limits struct {
	register, authorize, token *limiter
	unused                     int
}

func newLimits(c Limits) limits {
	pick := func(r Rate, burst int, every time.Duration) *limiter {
		if r.Burst == 0 {
			r = Rate{burst, every}
		}
		return &limiter{rate: r, buckets: map[string]*rate.Limiter{}}
	}
	if c.Unused == 0 {
		c.Unused = 500
	}
	return limits{
		register:  pick(c.Register, 60, 2*time.Second),
		authorize: pick(c.Authorize, 120, 200*time.Millisecond),
		token:     pick(c.Token, 120, 200*time.Millisecond),
		unused:    c.Unused,
	}
}

// maxBuckets bounds the memory of a limiter.
const maxBuckets = 20_000

// limiter has a bucket a key.
type limiter struct {
	rate Rate

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// limitedError says how long to wait (RFC 6585 §4).
type limitedError struct {
	wait    time.Duration
	refusal *oauth.Error
}

func (e *limitedError) Error() string { return e.refusal.Error() }
func (e *limitedError) Unwrap() error { return e.refusal }

func tooMany(wait time.Duration, description string) error {
	return &limitedError{wait, &oauth.Error{
		Code: oauth.TemporarilyUnavailable, HTTPStatus: http.StatusTooManyRequests, Description: description,
	}}
}

// take lets a request through or refuses it.
func (l *limiter) take(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.buckets[key]
	if bucket == nil {
		if len(l.buckets) >= maxBuckets {
			l.forget(now)
		}
		bucket = rate.NewLimiter(rate.Every(l.rate.Every), l.rate.Burst)
		l.buckets[key] = bucket
	}
	if bucket.AllowN(now, 1) {
		return nil
	}
	return tooMany(max(l.rate.Every, time.Second), "too many requests; wait a moment")
}

// forget drops the buckets that are full, which is as good as having none, and others if that is not enough.
func (l *limiter) forget(now time.Time) {
	for key, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.rate.Burst) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < maxBuckets {
			return
		}
		delete(l.buckets, key)
	}
}

// addressKey is the address that a limit counts: one house or one line has a /64 of IPv6.
func addressKey(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
