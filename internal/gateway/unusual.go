package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/policy"
)

// So many refusals within so much time are worth an event of their own.
const (
	unusualCount  = 20
	unusualWindow = time.Minute
	// unusualKeys bounds what is counted at once: an attacker with many addresses must not fill the memory.
	unusualKeys = 10_000
)

// tally counts refusals by who causes them, window by window.
type tally struct {
	mu     sync.Mutex // above the rest
	counts map[string]int
	began  time.Time
}

// add counts one and says how many there were in this window.
func (t *tally) add(key string, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if age := now.Sub(t.began); age < 0 || age >= unusualWindow || t.counts == nil {
		t.counts, t.began = map[string]int{}, now
	}
	if _, ok := t.counts[key]; !ok && len(t.counts) >= unusualKeys {
		key = "" // all the others together
	}
	t.counts[key]++
	return t.counts[key]
}

// suspect says what a refusal counts towards: the identity for what it may not do, the address for tokens that are
// not good. Refusals that honest clients cause by the dozen count towards nothing.
func (x *exchange) suspect() (kind, key string) {
	switch x.event.Refusal.Check {
	case policy.CheckRule, policy.CheckSession, policy.CheckMessage:
		if x.event.Object != "" {
			return "refusals", "refusals\x00" + x.caller.Identity.Key() + "\x00" + x.event.Client
		}
		return "requests", "requests\x00" + x.event.Address
	case policy.CheckExpiry, policy.CheckScope, policy.CheckLimit:
		return "", ""
	default:
		return "tokens", "tokens\x00" + x.event.Address
	}
}

// watchRefusal looks whether a refusal is one of too many. It says whether the refusal shall still be written down
// by itself: a flood of bad tokens must not fill the disk.
func (x *exchange) watchRefusal() (record bool) {
	kind, key := x.suspect()
	if kind == "" {
		return true
	}
	n := x.g.tally.add(key, x.began)
	if n == unusualCount {
		x.g.Metrics.Unusual(kind)
		e := x.event
		e.Kind, e.Refusal = audit.Unusual, nil
		e.Detail = fmt.Sprintf("%d refusals within %v (%s)", n, unusualWindow, kind)
		if kind != "refusals" {
			e.Detail += "; more of this address within the same time are not written down"
		}
		if err := x.g.Audit.Record(context.WithoutCancel(x.ctx), e); err != nil {
			x.g.Logger.LogAttrs(x.ctx, slog.LevelError, "an event was not written down", slog.Any("error", err))
		}
		x.g.Logger.LogAttrs(x.ctx, slog.LevelWarn, "unusual activity", slog.String("kind", kind),
			slog.String("address", e.Address), slog.String("oid", e.Object), slog.String("client", e.Client))
	}
	return n <= unusualCount || kind == "refusals"
}
