package grant

import (
	"context"
	"errors"
	"sync"

	"github.com/genkan-mcp/genkan/policy"
)

// flights lets one caller at a time work on a session. Whoever waited and saw the attempt fail shares the
// failure: when the identity provider hangs, eight callers wait for it once and not one after the other.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
}

type flight struct {
	landed chan struct{}
	err    error // set before landed is closed
}

// fly runs work alone for its key, or returns the failure of the attempt that it waited for.
func (f *flights) fly(ctx context.Context, key string, work func() error) error {
	for {
		mine, other := f.start(key)
		if mine != nil {
			return f.run(key, mine, work)
		}
		select {
		case <-ctx.Done():
			return unavailable("wait for the other request", ctx.Err())
		case <-other.landed:
		}
		// A refusal concerns that request alone, and a success left something new to look at.
		if _, refused := errors.AsType[*policy.Refusal](other.err); other.err != nil && !refused {
			return other.err
		}
	}
}

// run closes the flight even if work panics, so that nobody waits for ever.
func (f *flights) run(key string, mine *flight, work func() error) (err error) {
	mine.err = errors.New("the other request was cut off")
	defer func() {
		f.mu.Lock()
		delete(f.flying, key)
		f.mu.Unlock()
		close(mine.landed)
	}()
	mine.err = work()
	return mine.err
}

// start returns a flight of the caller's own, or the one that is under way.
func (f *flights) start(key string) (mine, other *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other := f.flying[key]; other != nil {
		return nil, other
	}
	if f.flying == nil {
		f.flying = map[string]*flight{}
	}
	mine = &flight{landed: make(chan struct{})}
	f.flying[key] = mine
	return mine, nil
}
