package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/gateway"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func allowed(t *testing.T, l gateway.Limiter, key string, rate gateway.Rate) bool {
	t.Helper()
	ok, retry, err := l.Allow(t.Context(), key, rate)
	if err != nil {
		t.Fatal(err)
	}
	if !ok && retry <= 0 {
		t.Errorf("refused without a time to wait")
	}
	return ok
}

func TestAnAllowanceIsSpentAndComesBack(t *testing.T) {
	c := newClock()
	l := gateway.NewMemoryLimiter(c.Now)
	rate := gateway.Rate{Count: 3, Per: time.Minute}
	var got []bool
	for range 4 {
		got = append(got, allowed(t, l, "a", rate))
	}
	got = append(got, allowed(t, l, "b", rate))
	c.advance(20 * time.Second)
	got = append(got, allowed(t, l, "a", rate), allowed(t, l, "a", rate))
	if diff := cmp.Diff([]bool{true, true, true, false, true, true, false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThreat36_AClockThatJumpsBackLocksNobodyOut(t *testing.T) {
	c := newClock()
	l := gateway.NewMemoryLimiter(c.Now)
	rate := gateway.Rate{Count: 1, Per: time.Minute}
	allowed(t, l, "a", rate)
	c.advance(-time.Hour)
	if !allowed(t, l, "a", rate) {
		t.Error("refused until the clock is where it was")
	}
}

func TestALimiterForgetsKeysThatAreWhole(t *testing.T) {
	c := newClock()
	l := gateway.NewMemoryLimiter(c.Now)
	for i := range 200_000 {
		if i%1000 == 0 {
			c.advance(time.Second)
		}
		allowed(t, l, fmt.Sprint(i), gateway.Rate{Count: 1, Per: time.Second})
	}
	if n := l.Keys(); n > 100_000 {
		t.Errorf("%d keys are kept", n)
	}
}

func TestTooManyCallsAreRefusedWithATimeToWait(t *testing.T) {
	c := newClock()
	d := openDoor(t, settings{
		behind: &recorder{},
		config: func(g *gateway.Config) { g.Now = c.Now },
		server: func(s *gateway.Server) {
			s.Limits = gateway.Limits{Tool: gateway.Rate{Count: 2, Per: time.Minute}, Identity: gateway.Rate{Count: 5, Per: time.Minute}}
		},
	})
	alice, bob := d.token(alice()), d.token(bob())
	var got []int
	for range 3 {
		got = append(got, d.post(alice, call("get_forecast", "{}")).status)
	}
	got = append(got, d.post(alice, call("list_cities", "{}")).status, d.post(bob, call("get_forecast", "{}")).status)
	if diff := cmp.Diff([]int{200, 200, 429, 200, 200}, got); diff != "" {
		t.Error(diff)
	}
	a := d.post(alice, call("get_forecast", "{}"))
	if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "too many requests") || !strings.Contains(a.body, `"id":1`) {
		t.Errorf("%v %s", a.header, a.body)
	}
	c.advance(time.Minute)
	if a := d.post(alice, call("get_forecast", "{}")); a.status != http.StatusOK {
		t.Errorf("after a minute: %d", a.status)
	}
}

func TestOnlySoManyCallsAreUnderWayAtOnce(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		<-leave
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}}
	d := openDoor(t, settings{behind: rec, server: func(s *gateway.Server) { s.Limits.Concurrent = 1 }})
	token := d.token(alice())
	first := make(chan int)
	go func() { first <- d.post(token, call("get_forecast", "{}")).status }()
	<-inside
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusTooManyRequests {
		t.Errorf("the second: %d", a.status)
	}
	leave <- struct{}{}
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first: %d", status)
	}
	go func() { first <- d.post(token, call("get_forecast", "{}")).status }()
	<-inside
	leave <- struct{}{}
	if status := <-first; status != http.StatusOK {
		t.Errorf("the third, after the first: %d", status)
	}
}

// brokenLimiter is a shared limiter that can't be asked.
type brokenLimiter struct{}

func (brokenLimiter) Allow(context.Context, string, gateway.Rate) (bool, time.Duration, error) {
	return false, 0, errors.New("redis is down")
}

func TestWithoutTheSharedCountEachProcessCountsAlone(t *testing.T) {
	d := openDoor(t, settings{
		behind: &recorder{}, config: func(g *gateway.Config) { g.Limiter = brokenLimiter{} },
		server: func(s *gateway.Server) { s.Limits.Identity = gateway.Rate{Count: 1, Per: time.Hour} },
	})
	token := d.token(alice())
	got := []int{d.post(token, call("get_forecast", "{}")).status, d.post(token, call("get_forecast", "{}")).status}
	if diff := cmp.Diff([]int{200, 429}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheCircuitOpensAfterFailuresAndClosesAfterASuccess(t *testing.T) {
	c := newClock()
	status := http.StatusServiceUnavailable
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}}
	d := openDoor(t, settings{behind: rec, config: func(g *gateway.Config) { g.Now = c.Now }})
	token := d.token(alice())
	reached := func() int { requests, _ := rec.seen(); return len(requests) }
	for range 8 {
		d.post(token, call("get_forecast", "{}"))
	}
	if diff := cmp.Diff(5, reached()); diff != "" {
		t.Errorf("requests that reached a server in trouble: %s", diff)
	}
	a := d.post(token, call("get_forecast", "{}"))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, "left alone") || !strings.Contains(a.body, `"id":1`) {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	c.advance(time.Second)
	d.post(token, call("get_forecast", "{}"))
	d.post(token, call("get_forecast", "{}"))
	if diff := cmp.Diff(6, reached()); diff != "" {
		t.Errorf("after a pause one request tries: %s", diff)
	}
	status = http.StatusOK
	c.advance(2 * time.Second)
	for range 3 {
		if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusOK {
			t.Errorf("after it recovered: %d", a.status)
		}
	}
}

func TestABurstOfRefusalsIsAnEventOfItsOwn(t *testing.T) {
	d := openDoor(t, settings{behind: &recorder{}})
	token := d.token(bob())
	for range 30 {
		d.post(token, call("set_alert", "{}"))
	}
	for range 60 {
		d.post("gka_guess", call("get_forecast", "{}"))
	}
	var unusual []string
	refusals := map[string]int{}
	for _, e := range d.events() {
		switch e.Kind {
		case audit.Unusual:
			unusual = append(unusual, e.Object+"|"+e.Detail)
		case audit.Refusal:
			refusals[string(e.Refusal.Check)]++
		default:
		}
	}
	want := []string{
		bob().Object + "|20 refusals within 1m0s (refusals)",
		"|20 refusals within 1m0s (tokens); more of this address within the same time are not written down",
	}
	if diff := cmp.Diff(want, unusual); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"rule": 30, "token": 20}, refusals); diff != "" {
		t.Errorf("refusals written down: %s", diff)
	}
}
