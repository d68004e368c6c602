package grant

import (
	"sync"
	"time"
)

// cache holds the records that Check read, for a few seconds. It has two generations: when the young one
// is older than the life, it becomes the old one and the old one is forgotten. So it never holds more than
// what was asked for within two lives, and forgetting costs nothing.
type cache struct {
	life time.Duration

	mu         sync.Mutex
	young, old map[string]cached
	since      time.Time // when the young generation began
}

type cached struct {
	rec  *record
	read time.Time
}

func newCache(life time.Duration) *cache {
	return &cache{life: life, young: map[string]cached{}, old: map[string]cached{}}
}

// get returns a record that was read less than a life ago.
func (c *cache) get(id string, now time.Time) (*record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hit, ok := c.young[id]
	if !ok {
		hit, ok = c.old[id]
	}
	// A clock that was set back makes the age negative: then it is unknown, and the record is read again.
	if age := now.Sub(hit.read); !ok || age < 0 || age >= c.life {
		return nil, false
	}
	return hit.rec, true
}

// put keeps a record, which nobody changes afterwards.
func (c *cache) put(rec *record, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := read.Sub(c.since); age < 0 || age >= c.life {
		c.old, c.young, c.since = c.young, map[string]cached{}, read
	}
	c.young[rec.id] = cached{rec: rec, read: read}
}

// drop forgets a record that was changed.
func (c *cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, id)
	delete(c.old, id)
}
