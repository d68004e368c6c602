package gateway

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genkan-mcp/genkan/policy"
)

// Rate is so many in so much time, of which a whole lot may come at once. The zero Rate limits nothing.
type Rate struct {
	Count int
	Per   time.Duration
}

// None says that there is no limit.
func (r Rate) None() bool { return r.Count <= 0 || r.Per <= 0 }

// Limits bound what goes on to a server. Zero means no limit.
type Limits struct {
	Identity   Rate // requests of one identity
	Tool       Rate // calls of one tool by one identity
	Server     Rate // requests of everybody
	Concurrent int  // requests of everybody that are under way; streams that only wait don't count
	Streams    int  // streams of one identity that only wait
}

// Limiter counts. It is safe for concurrent use; the one of package redislimit counts for all replicas.
type Limiter interface {
	// Allow takes one from the allowance of a key, or says after which time there will be one.
	Allow(ctx context.Context, key string, rate Rate) (allowed bool, retry time.Duration, err error)
}

var _ Limiter = (*MemoryLimiter)(nil)

// MemoryLimiter counts in this process, by the generic cell rate algorithm: one time stamp a key.
type MemoryLimiter struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [32]limitShard
}

type limitShard struct {
	mu     sync.Mutex // above the rest
	full   map[string]time.Time
	lately int // how many keys there were after the last sweep
}

// NewMemoryLimiter makes a limiter for one process.
func NewMemoryLimiter(now func() time.Time) *MemoryLimiter {
	l := &MemoryLimiter{now: now, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].full = map[string]time.Time{}
	}
	return l
}

// Allow takes one from the allowance of a key.
func (l *MemoryLimiter) Allow(_ context.Context, key string, rate Rate) (allowed bool, retry time.Duration, err error) {
	if rate.None() {
		return true, 0, nil
	}
	now := l.now()
	step := rate.Per / time.Duration(rate.Count)
	shard := &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.sweep(now)
	// full is when the allowance will be whole again.
	full := shard.full[key]
	if full.Before(now) || full.After(now.Add(rate.Per)) { // the latter: a clock was set back
		full = now
	}
	if wait := full.Add(step).Sub(now) - rate.Per; wait > 0 {
		return false, wait, nil
	}
	shard.full[key] = full.Add(step)
	return true, 0, nil
}

// sweep forgets keys whose allowance is whole, when their number has doubled.
func (s *limitShard) sweep(now time.Time) {
	if len(s.full) < 1024 || len(s.full) < 2*s.lately {
		return
	}
	for key, full := range s.full {
		if full.Before(now) {
			delete(s.full, key)
		}
	}
	s.lately = len(s.full)
}

// limit refuses what is too much. It gives back what must be called when the request is over.
func (x *exchange) limit() (done func(), err error) {
	limits := &x.server.Limits
	for _, l := range [...]struct {
		name string
		rate Rate
	}{{"identity", limits.Identity}, {"tool", limits.Tool}, {"server", limits.Server}} {
		if l.rate.None() || l.name == "tool" && x.event.Method != "tools/call" {
			continue
		}
		if allowed, retry := x.count(x.limitKey(l.name), l.rate); !allowed {
			return nil, x.tooMany(l.name, retry)
		}
	}
	return x.occupy()
}

// limitKey is what a limit counts by.
func (x *exchange) limitKey(limit string) string {
	key := limit + "\x00" + x.server.Name
	if limit != "server" {
		key += "\x00" + x.caller.Identity.Key()
	}
	if limit == "tool" {
		key += "\x00" + x.event.Target
	}
	return key
}

// count takes one from an allowance. When the shared count can't be had, this process counts alone, which is more
// than nothing and less than a standstill.
func (x *exchange) count(key string, rate Rate) (allowed bool, retry time.Duration) {
	allowed, retry, err := x.g.Limiter.Allow(x.ctx, key, rate)
	if err != nil {
		x.g.Logger.LogAttrs(x.ctx, slog.LevelWarn, "the shared limits can't be asked; this process counts alone", slog.Any("error", err))
		allowed, retry, _ = x.g.fallback.Allow(x.ctx, key, rate)
	}
	return allowed, retry
}

// occupy takes a place among what is under way.
func (x *exchange) occupy() (done func(), err error) {
	if x.idle && x.detached != nil {
		return func() {}, nil // its legacy stream has been counted
	}
	if x.idle {
		if !x.g.waiting.enter(x.server.Name+"\x00"+x.caller.Identity.Key(), x.server.Limits.Streams) {
			return nil, x.tooMany("streams", 5*time.Second)
		}
		return func() { x.g.waiting.leave(x.server.Name + "\x00" + x.caller.Identity.Key()) }, nil
	}
	if most := x.server.Limits.Concurrent; most > 0 && x.server.under.Add(1) > int64(most) {
		x.server.under.Add(-1)
		return nil, x.tooMany("concurrent", time.Second)
	} else if most > 0 {
		return func() { x.server.under.Add(-1) }, nil
	}
	return func() {}, nil
}

func (x *exchange) tooMany(limit string, retry time.Duration) error {
	x.g.Metrics.Limited(x.server.Name, limit)
	return &problem{status: http.StatusTooManyRequests, code: codeRefused, message: "too many requests: try again later", retry: max(retry, time.Second),
		refusal: &policy.Refusal{Check: policy.CheckLimit, Wanted: "requests within the " + limit + " limit", Got: "one more", Remedy: "wait, or ask the administrator for a higher limit"}}
}

// crowd counts how many of a key are inside.
type crowd struct {
	mu     sync.Mutex // above inside
	inside map[string]int
}

func (c *crowd) enter(key string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.inside[key] >= most {
		return false
	}
	if c.inside == nil {
		c.inside = map[string]int{}
	}
	c.inside[key]++
	return true
}

func (c *crowd) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside[key]--; c.inside[key] <= 0 {
		delete(c.inside, key)
	}
}

// underway counts requests.
type underway = atomic.Int64

// Keys says how many keys are remembered.
func (l *MemoryLimiter) Keys() int {
	n := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].full)
		l.shards[i].mu.Unlock()
	}
	return n
}
