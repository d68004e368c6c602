package grant_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
	"github.com/genkan-mcp/genkan/policy"
)

// The drill kills killsEach processes on each of the two stores, drillers at a time.
const (
	killsEach    = 250
	drillers     = 2
	drillClients = 4
)

func TestThreat34_CrashDrillOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	drill(t, drillPlan{SQLite: filepath.Join(dir, "genkan.db"), Key: filepath.Join(dir, "key")})
}

func TestThreat34_CrashDrillOnRedis(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t)
	drill(t, drillPlan{Redis: server.Addr, Key: filepath.Join(t.TempDir(), "key")})
}

// drilled is what came out, as the clients saw it.
type drilled struct {
	mu        sync.Mutex
	sessions  []drillClient // each client's last word of each session
	kills     int
	rotations int
	doubts    int             // redemptions that were cut off in the middle
	codes     map[string]int  // how often each code gave tokens
	ended     map[string]bool // codes whose session ended on purpose: shown again after a cut
}

// drill kills processes in the middle of rotations and redemptions, and checks afterwards that every session
// works or was ended on purpose, and that no code and no refresh token worked twice.
func drill(t *testing.T, plan drillPlan) {
	result := &drilled{codes: map[string]int{}, ended: map[string]bool{}}
	var all sync.WaitGroup
	for range drillers {
		all.Go(func() {
			clients := make([]drillClient, drillClients)
			for range killsEach / drillers {
				if clients = result.killOne(t, plan, clients); t.Failed() {
					return
				}
			}
			result.mu.Lock()
			defer result.mu.Unlock()
			result.sessions = append(result.sessions, clients...)
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	result.judge(t, plan)
}

// killOne runs one process, kills it at a random moment, and returns what its clients know afterwards.
func (d *drilled) killOne(t *testing.T, plan drillPlan, clients []drillClient) []drillClient {
	plan.Clients = clients
	text, err := json.Marshal(plan)
	if err != nil {
		t.Errorf("Marshal: %v", err)
		return nil
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), drillVariable+"="+string(text))
	var trouble bytes.Buffer
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	if err != nil {
		t.Errorf("StdoutPipe: %v", err)
		return nil
	}
	if err := child.Start(); err != nil {
		t.Errorf("Start: %v", err)
		return nil
	}
	// The kill comes a moment after some step of one client, when the others are in the middle of theirs.
	steps := rand.IntN(16)
	for lines := bufio.NewScanner(out); lines.Scan(); steps-- {
		if steps == 0 {
			kill := time.AfterFunc(time.Duration(rand.Int64N(int64(2*time.Millisecond))), func() { _ = child.Process.Kill() })
			defer kill.Stop()
		}
		if lines.Text() != "ready" {
			d.note(t, clients, lines.Text())
		}
	}
	_ = child.Wait()
	if trouble.Len() > 0 {
		t.Errorf("a process failed by itself: %s", &trouble)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kills++
	return clients
}

// note takes over what a client has learnt.
func (d *drilled) note(t *testing.T, clients []drillClient, line string) {
	words := strings.Fields(line)
	c := &clients[words[0][0]-'0']
	d.mu.Lock()
	defer d.mu.Unlock()
	switch words[1] {
	case "opened":
		if c.Refresh != "" {
			d.sessions = append(d.sessions, *c)
		}
		*c = drillClient{Code: words[2]}
	case "redeeming":
		if c.Doubt {
			d.doubts++
		}
		c.Doubt = true
	case "refused":
		d.ended[c.Code] = true
		*c = drillClient{}
	case "redeemed":
		d.codes[c.Code]++
		*c = drillClient{Refresh: words[2], Access: words[3]}
	case "rotated":
		d.rotations++
		*c = drillClient{Refresh: words[2], Access: words[3], Rotation: c.Rotation + 1}
	default:
		t.Errorf("a process said %q", line)
	}
}

// judge looks at every session as its client would.
func (d *drilled) judge(t *testing.T, plan drillPlan) {
	s, g, err := plan.open(t.Context())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close()
	for code, times := range d.codes {
		if times != 1 || d.ended[code] {
			t.Errorf("a code gave tokens %d times, and was refused: %v", times, d.ended[code])
		}
	}
	for code := range d.ended {
		session, err := g.Get(t.Context(), strings.Split(code, "_")[1])
		if err != nil || session.Reason != grant.ReasonReplay {
			t.Errorf("a session whose code was in doubt: %q, %v; want it ended by the replay", session.Reason, err)
		}
	}
	for _, c := range d.sessions {
		if c.Refresh != "" {
			judgeSession(t, g, c)
		}
	}
	t.Logf("%d kills: %d sessions, %d rotations, %d redemptions cut off, of which %d had been done",
		d.kills, len(d.codes), d.rotations, d.doubts, len(d.ended))
	if d.kills < killsEach/drillers*drillers || d.rotations < d.kills || len(d.codes) == 0 {
		t.Error("the drill did not do enough to prove anything")
	}
}

// judgeSession checks that a session works, and that each of its refresh tokens had one successor: the number of
// rotations that the store has seen is the one that the client has seen, or one more whose answer was lost.
func judgeSession(t *testing.T, g *grant.Grants, c drillClient) {
	t.Helper()
	session, err := g.Check(t.Context(), c.Access, resource)
	if err != nil {
		t.Errorf("an access token does not work: %v", err)
		return
	}
	kept, err := g.Upstream(t.Context(), session.ID)
	if err != nil {
		t.Errorf("the upstream tokens do not open: %v", err)
	}
	if done := strings.Count(string(kept), "+"); done != c.Rotation && done != c.Rotation+1 {
		t.Errorf("the store saw %d rotations, the client %d: a refresh token worked twice", done, c.Rotation)
	}
	asked := false
	next, err := g.Rotate(t.Context(), grant.Rotation{Refresh: c.Refresh, Client: client}, func(ctx context.Context, u []byte) (policy.Identity, []byte, error) {
		asked = true
		return welcome(ctx, u)
	})
	if ended, ok := errors.AsType[*grant.EndedError](err); ok {
		t.Errorf("a good refresh token ended its session: %s", ended.Reason)
		return
	}
	if err != nil {
		t.Errorf("a refresh token does not work: %v", err)
		return
	}
	if lost := strings.Count(string(kept), "+") == c.Rotation+1; lost == asked {
		t.Errorf("the rotation whose answer was lost (%v) was done again (%v)", lost, asked)
	}
	if _, err := g.Check(t.Context(), next.Access.Reveal(), resource); err != nil {
		t.Errorf("the successor does not work: %v", err)
	}
}
