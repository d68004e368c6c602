package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A change must reach the server within writeWindow of being sent, which is about as long as its caller waits;
// what comes later is left undone.
const (
	writeWindow = 2 * patience
	clockLife   = time.Minute
)

// serverClock knows how far the server's clock is from ours. The difference is measured again once a minute,
// and whenever the server calls a change late that was not: either clock may be wrong, and may jump.
type serverClock struct {
	mu       sync.Mutex
	measured time.Time // with its monotonic part
	server   time.Time // what the server's clock said at that moment
}

// set measures the difference.
func (c *serverClock) set(ctx context.Context, db redis.UniversalClient) error {
	before := time.Now()
	server, err := db.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("read the server's clock: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured, c.server = before, server
	return nil
}

// refresh measures again if it is time.
func (c *serverClock) refresh(ctx context.Context, db redis.UniversalClient) error {
	c.mu.Lock()
	known := !c.measured.IsZero() && time.Since(c.measured) < clockLife // monotonic
	c.mu.Unlock()
	if known {
		return nil
	}
	return c.set(ctx, db)
}

// forget has the next call measure again.
func (c *serverClock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured = time.Time{}
}

// deadline is, in the server's milliseconds, when a change that is sent now is too late.
func (c *serverClock) deadline() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.Add(time.Since(c.measured) + writeWindow).UnixMilli()
}
