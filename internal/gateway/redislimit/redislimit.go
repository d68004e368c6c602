// Package redislimit counts requests in Redis, so that limits hold for all replicas together.
package redislimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/genkan-mcp/genkan/internal/gateway"
)

// timeout bounds one question: a slow Redis must not slow every call.
const timeout = 250 * time.Millisecond

// Limiter counts in Redis or Valkey.
type Limiter struct{ limiter *redis_rate.Limiter }

var _ gateway.Limiter = (*Limiter)(nil)

// New makes a limiter. The client stays its owner's.
func New(client redis.UniversalClient) (*Limiter, error) {
	if client == nil {
		return nil, errors.New("redislimit: a client is needed")
	}
	return &Limiter{limiter: redis_rate.NewLimiter(client)}, nil
}

// Allow takes one from the allowance of a key.
func (l *Limiter) Allow(ctx context.Context, key string, rate gateway.Rate) (allowed bool, retry time.Duration, err error) {
	if rate.None() {
		return true, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := l.limiter.Allow(ctx, "genkan:"+key, redis_rate.Limit{Rate: rate.Count, Burst: rate.Count, Period: rate.Per})
	if err != nil {
		return false, 0, fmt.Errorf("count in redis: %w", err)
	}
	return result.Allowed > 0, max(result.RetryAfter, 0), nil
}
