package entra

import "sync"

// recent remembers a bounded number of things: what was asked for lately stays, the rest is forgotten. It holds two
// generations; when the young one is full it becomes the old one, and the old one goes. It is safe for concurrent use.
type recent[K comparable, V any] struct {
	atMost int // in each generation

	mu         sync.RWMutex
	young, old map[K]V
}

func newRecent[K comparable, V any](atMost int) *recent[K, V] {
	return &recent[K, V]{atMost: atMost, young: map[K]V{}}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	value, ok := r.young[key]
	aged, known := r.old[key]
	r.mu.RUnlock()
	if ok || !known {
		return value, ok
	}
	r.put(key, aged)
	return aged, true
}

func (r *recent[K, V]) put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[key]; !ok && len(r.young) >= r.atMost {
		r.old, r.young = r.young, make(map[K]V, r.atMost)
	}
	r.young[key] = value
}

// forget drops everything that the test says yes to.
func (r *recent[K, V]) forget(test func(K) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, generation := range []map[K]V{r.young, r.old} {
		for key := range generation {
			if test(key) {
				delete(generation, key)
			}
		}
	}
}
