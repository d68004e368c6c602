package grant_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/sqlite"
	"github.com/genkan-mcp/genkan/policy"
)

// drillVariable makes this test binary a process of the crash drill; its value is a drillPlan.
const drillVariable = "GENKAN_CRASH_DRILL"

// TestMain turns the binary into the drill's child when it is asked to.
func TestMain(m *testing.M) {
	if plan := os.Getenv(drillVariable); plan != "" {
		if err := runDrillChild([]byte(plan), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// drillPlan is what a child is told: where the store is, and what each client holds.
type drillPlan struct {
	SQLite  string        `json:"sqlite,omitempty"`
	Redis   string        `json:"redis,omitempty"`
	Key     string        `json:"key"`
	Clients []drillClient `json:"clients"`
}

// drillClient is what a client program would remember. Doubt says that it sent its code and heard nothing.
type drillClient struct {
	Code     string `json:"code,omitempty"`
	Doubt    bool   `json:"doubt,omitempty"`
	Refresh  string `json:"refresh,omitempty"`
	Access   string `json:"access,omitempty"`
	Rotation int    `json:"rotation,omitempty"`
}

// drillRotations is after how many refreshes a client begins a new session.
const drillRotations = 6

func (p drillPlan) open(ctx context.Context) (store.Store, *grant.Grants, error) {
	var s store.Store
	var err error
	if p.SQLite != "" {
		s, err = sqlite.Open(ctx, p.SQLite)
	} else {
		s, err = redis.Open(ctx, redis.Config{Addrs: []string{p.Redis}})
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := secret.OpenKeyFile(p.Key, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	keys, err := grant.OpenKeys(ctx, grant.KeysConfig{Store: s, Wrapper: file})
	if err != nil {
		return nil, nil, err
	}
	g, err := grant.New(grant.Config{Store: s, Ring: keys.Ring()})
	return s, g, err
}

// runDrillChild works on all clients at once until it is killed, and says each step to out: one line, one write,
// so that a kill leaves no half of it.
func runDrillChild(text []byte, out io.Writer) error {
	var plan drillPlan
	if err := json.Unmarshal(text, &plan); err != nil {
		return err
	}
	ctx := context.Background()
	_, g, err := plan.open(ctx)
	if err != nil {
		return err
	}
	var writing sync.Mutex
	say := func(format string, args ...any) {
		writing.Lock()
		defer writing.Unlock()
		_, _ = fmt.Fprintf(out, format+"\n", args...)
	}
	say("ready")
	var all sync.WaitGroup
	failed := make(chan error, len(plan.Clients))
	for i, c := range plan.Clients {
		all.Go(func() {
			for {
				if err := c.step(ctx, g, i, say); err != nil {
					failed <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		})
	}
	return <-failed
}

// step is the next thing that the client does.
func (c *drillClient) step(ctx context.Context, g *grant.Grants, i int, say func(string, ...any)) (err error) {
	switch {
	case c.Code != "":
		say("%d redeeming", i)
		tokens, err := g.Redeem(ctx, redemption(c.Code))
		if _, refused := errors.AsType[*policy.Refusal](err); refused && c.Doubt {
			say("%d refused", i)
			*c = drillClient{}
			return nil
		}
		if err != nil {
			return err
		}
		*c = drillClient{Refresh: tokens.Refresh.Reveal(), Access: tokens.Access.Reveal()}
		say("%d redeemed %s %s", i, c.Refresh, c.Access)
	case c.Refresh != "" && c.Rotation < drillRotations:
		tokens, err := g.Rotate(ctx, grant.Rotation{Refresh: c.Refresh, Client: client}, welcome)
		if err != nil {
			return err
		}
		*c = drillClient{Refresh: tokens.Refresh.Reveal(), Access: tokens.Access.Reveal(), Rotation: c.Rotation + 1}
		say("%d rotated %s %s", i, c.Refresh, c.Access)
	default:
		code, err := g.Open(ctx, opening())
		if err != nil {
			return err
		}
		*c = drillClient{Code: code}
		say("%d opened %s", i, c.Code)
	}
	return nil
}
