package redis

import "time"

// ShiftClock makes what the store believes of the server's clock wrong by d.
func ShiftClock(s *Store, d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.server = s.clock.server.Add(d)
}
