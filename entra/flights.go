package entra

import (
	"context"
	"sync"
	"time"
)

const acquireTimeout = 30 * time.Second // for one shared request

// flights lets callers with the same wish share one request. Unlike golang.org/x/sync/singleflight it ends the request
// when the last of them has gone away, so that no work is left behind that nobody waits for.
type flights[V any] struct {
	mu  sync.Mutex
	now map[string]*flight[V]
}

type flight[V any] struct {
	waiting int // guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when value and err are set
	value   V
	err     error
}

func newFlights[V any]() *flights[V] { return &flights[V]{now: map[string]*flight[V]{}} }

// share asks, or waits for who asks already. A caller who goes away gets the context's error and stops nobody else.
func (s *flights[V]) share(ctx context.Context, key string, ask func(context.Context) (V, error)) (V, error) {
	f := s.board(ctx, key, ask)
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		s.leave(key, f)
		var none V
		return none, ctx.Err()
	}
}

func (s *flights[V]) board(ctx context.Context, key string, ask func(context.Context) (V, error)) *flight[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.now[key]
	if !ok {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), acquireTimeout)
		f = &flight[V]{cancel: cancel, done: make(chan struct{})}
		s.now[key] = f
		go func() {
			defer cancel()
			s.fly(shared, key, f, ask)
		}()
	}
	f.waiting++
	return f
}

func (s *flights[V]) fly(ctx context.Context, key string, f *flight[V], ask func(context.Context) (V, error)) {
	f.value, f.err = ask(ctx)
	s.mu.Lock()
	s.land(key, f)
	s.mu.Unlock()
	close(f.done)
}

func (s *flights[V]) leave(key string, f *flight[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		s.land(key, f)
	}
}

// land ends a flight; whoever comes later begins another. The caller holds mu.
func (s *flights[V]) land(key string, f *flight[V]) {
	f.cancel()
	if s.now[key] == f {
		delete(s.now, key)
	}
}
