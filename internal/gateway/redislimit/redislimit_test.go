package redislimit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/gateway/redislimit"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

func limiter(t *testing.T, address string) *redislimit.Limiter {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	l, err := redislimit.New(client)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReplicasShareAnAllowance(t *testing.T) {
	server := storetest.StartRedis(t)
	one, two := limiter(t, server.Addr), limiter(t, server.Addr)
	rate := gateway.Rate{Count: 3, Per: time.Hour}
	var got []bool
	for _, ask := range []struct {
		l   *redislimit.Limiter
		key string
	}{{one, "a"}, {two, "a"}, {one, "a"}, {two, "a"}, {one, "b"}} {
		allowed, retry, err := ask.l.Allow(t.Context(), ask.key, rate)
		if err != nil {
			t.Fatal(err)
		}
		if !allowed && retry <= 0 {
			t.Error("refused without a time to wait")
		}
		got = append(got, allowed)
	}
	if diff := cmp.Diff([]bool{true, true, true, false, true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestARedisThatIsGoneIsAnErrorAndNoAnswer(t *testing.T) {
	server := storetest.StartRedis(t)
	l := limiter(t, server.Addr)
	server.Kill()
	began := time.Now()
	if allowed, _, err := l.Allow(t.Context(), "a", gateway.Rate{Count: 1, Per: time.Hour}); err == nil || allowed {
		t.Errorf("allowed %v, %v", allowed, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to find out", took)
	}
}
