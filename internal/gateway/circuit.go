package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/upstream"
)

// The circuit of a server behind opens after so many failures in a row, for a while that doubles each time.
const (
	circuitFailures = 5
	circuitShortest = time.Second
	circuitLongest  = 30 * time.Second
)

// circuit keeps requests away from a server behind that does not answer: their callers hear it at once, and the
// server can recover. When the time is up, one request tries.
type circuit struct {
	mu       sync.Mutex // above the rest
	failures int
	pause    time.Duration
	until    time.Time // closed again, or to be tried
	trying   bool
}

// admit says whether a request may go, or for how long the circuit stays open.
func (c *circuit) admit(now time.Time) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < circuitFailures {
		return 0
	}
	left := c.until.Sub(now)
	if left > circuitLongest { // a clock was set back
		left = 0
	}
	if left > 0 {
		return left
	}
	if c.trying {
		return circuitShortest
	}
	c.trying = true
	return 0
}

// outcome is what became of a request that was admitted.
type outcome int

const (
	answered  outcome = iota
	failed            // it shows that the server is in trouble
	abandoned         // the client left: it shows nothing
)

// report says what became of it, and whether that opened or closed the circuit.
func (c *circuit) report(o outcome, now time.Time) (changed, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.failures >= circuitFailures
	switch o {
	case answered:
		c.failures, c.pause, c.trying = 0, 0, false
	case abandoned:
		c.trying = false
	case failed:
		c.failures++
		if c.failures >= circuitFailures && (c.trying || !was) {
			c.pause = min(max(2*c.pause, circuitShortest), circuitLongest)
			c.until = now.Add(c.pause)
		}
		c.trying = false
	}
	is := c.failures >= circuitFailures
	return was != is, is
}

// troubled says whether an answer shows that the server behind is in trouble.
func troubled(resp *upstream.Response, err error) outcome {
	if err == nil {
		if resp.Status == http.StatusBadGateway || resp.Status == http.StatusServiceUnavailable || resp.Status == http.StatusGatewayTimeout {
			return failed
		}
		return answered
	}
	if reason := reasonOf(err); reason == upstream.Unreachable || reason == upstream.Timeout {
		return failed
	} else if reason != "" {
		return answered
	}
	return abandoned
}
