package entra

import (
	"crypto/sha256"
	"sync"
)

// seenAtMost bounds how many tokens are remembered: twice this many, of about two kilobytes each.
const seenAtMost = 4096

// seenTokens remembers whose signature was good, by the token's hash. It holds two generations: when the young one
// is full it becomes the old one, and what nobody asked for since is forgotten. Bad tokens are never remembered, so
// strangers can't fill it.
type seenTokens struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]*seenToken
}

type seenToken struct {
	claims *claims
	key    signingKey
	keyID  string
}

func newSeenTokens() *seenTokens {
	return &seenTokens{young: map[[sha256.Size]byte]*seenToken{}}
}

// find returns the token's hash, and what is known about it or nil.
func (s *seenTokens) find(token string) ([sha256.Size]byte, *seenToken) {
	hash := sha256.Sum256([]byte(token))
	s.mu.RLock()
	known, old := s.young[hash], s.old[hash]
	s.mu.RUnlock()
	if known == nil && old != nil {
		s.add(hash, old)
		known = old
	}
	return hash, known
}

func (s *seenTokens) add(hash [sha256.Size]byte, token *seenToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= seenAtMost {
		s.old, s.young = s.young, make(map[[sha256.Size]byte]*seenToken, seenAtMost)
	}
	s.young[hash] = token
}
