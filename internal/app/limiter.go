package app

import (
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/gateway/redislimit"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
)

// limiterOf counts for limits where the sessions are: in Redis for all replicas, else in this process (nil).
func limiterOf(s store.Store) (gateway.Limiter, error) {
	shared, ok := s.(*redis.Store)
	if !ok {
		return nil, nil
	}
	return redislimit.New(shared.Client())
}
