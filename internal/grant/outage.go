package grant

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

const (
	// maxDowntime is how long a process may have been gone, at most, for its last answers to count as lost.
	maxDowntime = 2 * time.Minute
	// noticed is how long before the first failure that we saw an answer may have been lost already.
	noticed = 10 * time.Second
)

// outage remembers when sessions could last not be read: from one failure of the store to the next success, or
// before this process began. Whoever spent a refresh token then may never have got the successors, and comes
// with the spent one when all is well again. So the grace stands still during an outage: it would otherwise
// take a crash for a theft, and end the session.
type outage struct {
	mu       sync.Mutex
	from, to time.Time
	lasts    bool
}

func newOutage(started time.Time) *outage {
	return &outage{from: started.Add(-maxDowntime), to: started}
}

// saw takes note of what a call to the store brought.
func (o *outage) saw(ctx context.Context, now time.Time, err error) {
	failed := err != nil && ctx.Err() == nil &&
		!errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case failed && !o.lasts:
		if now.Sub(o.to) > noticed { // else it goes on
			o.from = now
		}
		o.lasts = true
	case err == nil && o.lasts:
		o.lasts, o.to = false, now
	}
}

// countsFrom is when the grace of a token that was spent at a time begins.
func (o *outage) countsFrom(spent time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if spent.After(o.from.Add(-noticed)) && spent.Before(o.to) {
		return o.to
	}
	return spent
}
