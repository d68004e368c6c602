package gateway

import (
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/upstream"
)

// recent keeps credentials that were made a moment ago, in two generations, so that it never holds more than what
// was used within two lives.
type recent struct {
	life time.Duration

	mu         sync.Mutex // above the rest
	young, old map[string]kept
	turned     time.Time
}

type kept struct {
	credential upstream.Credential
	until      time.Time
}

func newRecent(life time.Duration) *recent {
	return &recent{life: life, young: map[string]kept{}, old: map[string]kept{}}
}

// find gives a credential that may be shown again.
func (c *recent) find(key string, now time.Time) (upstream.Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.young[key]
	if !ok {
		k, ok = c.old[key]
	}
	// A clock that was set back leaves "until" too far away.
	left := k.until.Sub(now)
	return k.credential, ok && left > 0 && left <= c.life
}

// keep remembers a credential; ends is the end of its own life, zero when it has none.
func (c *recent) keep(key string, credential upstream.Credential, now, ends time.Time) {
	until := now.Add(c.life)
	if !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.turned); age < 0 || age > c.life {
		c.old, c.young, c.turned = c.young, map[string]kept{}, now
	}
	c.young[key] = kept{credential: credential, until: until}
}

// drop forgets a credential that was not accepted.
func (c *recent) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, key)
	delete(c.old, key)
}
