package app

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// rooms are everything that a configuration decides about and that can be replaced while the house is open. Requests
// that are inside when the rooms are replaced are finished there; then the rooms are given up.
type rooms struct {
	gateway   *gateway.Gateway
	handler   http.Handler
	upstreams []upstream.Upstream

	// background is what runs beside the requests, until stop.
	background sync.WaitGroup
	stop       context.CancelFunc

	mu     sync.Mutex // guards the rest
	inside int
	left   bool // replaced; nobody new comes in
	closed error
	empty  chan struct{} // closed once the rooms are given up
}

// enter says whether a request may come in.
func (r *rooms) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return false
	}
	r.inside++
	return true
}

func (r *rooms) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
	r.giveUp()
}

// replace lets nobody new in, and sends those away who only wait.
func (r *rooms) replace() {
	r.stop()
	r.gateway.Drain()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
	r.giveUp()
}

// giveUp closes the upstreams once everybody is out. The lock must be held.
func (r *rooms) giveUp() {
	if !r.left || r.inside > 0 {
		return
	}
	var errs []error
	for _, up := range r.upstreams {
		errs = append(errs, up.Close())
	}
	r.closed = errors.Join(errs...)
	close(r.empty)
}

// wait waits until everybody is out, or until ctx ends.
func (r *rooms) wait(ctx context.Context) error {
	select {
	case <-r.empty:
		r.background.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.closed
	case <-ctx.Done():
		return ctx.Err()
	}
}
