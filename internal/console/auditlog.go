package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
)

// line is an event as the log has it.
type line struct {
	Seq uint64 `json:"seq"`
	audit.Event
}

// filter narrows what is shown of the log.
type filter struct {
	Text     string
	Kind     string
	Decision string
	Server   string
	Since    time.Duration
}

func readFilter(query url.Values) filter {
	f := filter{Text: strings.TrimSpace(query.Get("q")), Kind: query.Get("kind"), Decision: query.Get("decision"), Server: query.Get("server"), Since: 24 * time.Hour}
	if since, err := time.ParseDuration(query.Get("since")); err == nil && since > 0 {
		f.Since = since
	}
	return f
}

func (f filter) fits(l *line, now time.Time) bool {
	if l.Time.Before(now.Add(-f.Since)) || f.Kind != "" && string(l.Kind) != f.Kind || f.Decision != "" && string(l.Decision) != f.Decision ||
		f.Server != "" && l.Server != f.Server {
		return false
	}
	if f.Text == "" {
		return true
	}
	for _, in := range []string{l.Name, l.Object, l.Client, l.Target, l.Method, l.Detail, l.Address, l.SessionID, l.RequestID, l.Rule} {
		if strings.Contains(strings.ToLower(in), strings.ToLower(f.Text)) {
			return true
		}
	}
	return false
}

// lines reads the log once, to its end, and keeps the last that fit.
func (k *Console) lines(ctx context.Context, fits func(*line) bool, most int) (kept []line, all int, err error) {
	log, err := k.Admin.Audit(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("open the audit log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	in := bufio.NewReaderSize(log, 64<<10)
	for ctx.Err() == nil {
		raw, readErr := in.ReadBytes('\n')
		if errors.Is(readErr, io.EOF) {
			break // what stands after the last line feed is being written
		}
		if readErr != nil {
			return nil, 0, fmt.Errorf("read the audit log: %w", readErr)
		}
		var l line
		if json.Unmarshal(bytes.TrimSpace(raw), &l) != nil || !fits(&l) {
			continue
		}
		all++
		if kept = append(kept, l); len(kept) > 2*most {
			kept = slices.Clone(kept[len(kept)-most:])
		}
	}
	kept = kept[max(len(kept)-most, 0):]
	slices.Reverse(kept)
	return kept, all, ctx.Err()
}

type auditView struct {
	Filter   filter
	Lines    []line
	All      int
	Servers  []Server
	Kinds    []audit.Kind
	Sinces   []since
	Verified *verification
	Query    string
}

type since struct {
	Label, Value string
	Chosen       bool
}

// verification is what came of walking the chain.
type verification struct {
	Intact bool
	Lines  int
	Whole  bool
	Head   string
	Broken string
}

// auditPage shows who did what. Verifying walks the whole chain, so it is done on request.
func (k *Console) auditPage(w http.ResponseWriter, r *http.Request, s *session) error {
	if k.Admin.Audit == nil {
		return k.nowhere(w, r)
	}
	v := auditView{Filter: readFilter(r.URL.Query()), Servers: k.Servers(), Kinds: []audit.Kind{audit.SignIn, audit.Consent, audit.Token, audit.Call, audit.Refusal, audit.Reload, audit.Unusual}}
	v.Sinces = sinces(v.Filter.Since)
	now := k.Now()
	var err error
	v.Lines, v.All, err = k.lines(r.Context(), func(l *line) bool { return v.Filter.fits(l, now) }, 200)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("verify") {
		if v.Verified, err = k.verify(r.Context()); err != nil {
			return err
		}
	}
	return k.render(w, r, s, view{Name: "audit", Title: "Audit", Data: v})
}

func sinces(chosen time.Duration) []since {
	var all []since
	for _, d := range []struct {
		label string
		value time.Duration
	}{{"the last hour", time.Hour}, {"the last day", 24 * time.Hour}, {"the last week", 7 * 24 * time.Hour}, {"the last 90 days", 90 * 24 * time.Hour}} {
		all = append(all, since{Label: d.label, Value: d.value.String(), Chosen: d.value == chosen})
	}
	return all
}

func (k *Console) verify(ctx context.Context) (*verification, error) {
	log, err := k.Admin.Audit(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	report, err := audit.Verify(log)
	err = errors.Join(err, log.Close())
	v := &verification{Intact: err == nil, Lines: report.Lines, Whole: report.Whole(), Head: report.Last.Hash}
	if broken, ok := errors.AsType[*audit.BrokenError](err); ok {
		v.Broken = fmt.Sprintf("Line %d: %s", broken.Line, broken.Why)
		return v, nil
	}
	return v, err
}

type refusalsView struct {
	Filter  filter
	Refused []refused
	All     int
	Servers []Server
	Sinces  []since
}

// refused is one refusal, gathered from all that are alike.
type refused struct {
	line
	Times   int
	Known   bool // who it was is known by a session that lives
	Nearest string
	Lacks   []policy.Step
}

// refusalsPage shows what was refused and the rule that would allow it if the fewest things were otherwise.
func (k *Console) refusalsPage(w http.ResponseWriter, r *http.Request, s *session) error {
	if k.Admin.Audit == nil {
		return k.nowhere(w, r)
	}
	v := refusalsView{Filter: readFilter(r.URL.Query()), Servers: k.Servers()}
	v.Sinces = sinces(v.Filter.Since)
	v.Filter.Kind = string(audit.Refusal)
	now := k.Now()
	lines, all, err := k.lines(r.Context(), func(l *line) bool { return l.Refusal != nil && v.Filter.fits(l, now) }, 2000)
	if err != nil {
		return err
	}
	v.All = all
	identities, err := k.identities(r.Context())
	if err != nil {
		return err
	}
	v.Refused = k.gather(lines, identities)
	return k.render(w, r, s, view{Name: "refusals", Title: "Refusals", Data: v})
}

// gather counts refusals that are alike, the newest first.
func (k *Console) gather(lines []line, identities map[string]policy.Identity) []refused {
	const most = 100
	var gathered []refused
	at := map[string]int{}
	for _, l := range lines {
		key := strings.Join([]string{l.Tenant, l.Object, l.Client, l.Server, l.Method, l.Target, string(l.Refusal.Check)}, "\x00")
		if i, known := at[key]; known {
			gathered[i].Times++
			continue
		}
		if len(gathered) == most {
			continue
		}
		at[key] = len(gathered)
		gathered = append(gathered, k.nearest(refused{line: l, Times: 1}, identities))
	}
	return gathered
}

func (k *Console) nearest(r refused, identities map[string]policy.Identity) refused {
	server, ok := k.server(r.Server)
	id, known := identities[r.Tenant+"/"+r.Object]
	if !ok || !known || r.Refusal.Check != policy.CheckRule || r.Method != "tools/call" {
		return r
	}
	r.Known = true
	id.Client = r.Client
	hidden := explainHidden(server, id, r.Target)
	r.Nearest, r.Lacks = hidden.Nearest, hidden.Lacks
	return r
}

// identities are the people that have a session, as they were last read at Entra: the log has no roles.
func (k *Console) identities(ctx context.Context) (map[string]policy.Identity, error) {
	grants, err := k.listGrants(ctx, grant.Query{})
	if err != nil {
		return nil, err
	}
	found := map[string]policy.Identity{}
	used := map[string]time.Time{}
	for _, g := range grants {
		if key := g.Identity.Key(); !g.LastUsed.Before(used[key]) {
			found[key], used[key] = g.Identity, g.LastUsed
		}
	}
	return found, nil
}

// endedEvent is what is written down when an administrator ends many sessions.
func endedEvent(person, client string, n int) audit.Event {
	e := audit.Event{Kind: audit.Token, Decision: audit.Allowed, Method: "end sessions", OnBehalfOf: person, Detail: plural(n, "session was", "sessions were") + " ended in the console"}
	if client != "" {
		e.Detail += ": all of client " + printable(client)
	}
	return e
}
