package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
)

// Admin works on the store of a Genkan, beside it: what it changes is in effect everywhere within five seconds.
type Admin struct {
	cfg    *config.Config
	state  *state
	grants *grant.Grants
	out    io.Writer
	now    func() time.Time
}

// AdminOptions say which Genkan, and where to write.
type AdminOptions struct {
	Config string
	Env    config.Lookup
	Out    io.Writer
}

// OpenAdmin opens the store that a configuration names. Close it.
func OpenAdmin(ctx context.Context, o AdminOptions) (*Admin, error) {
	cfg, err := config.LoadFile(o.Config, o.Env)
	if err != nil {
		return nil, err
	}
	state, err := openState(ctx, cfg, time.Now)
	if err != nil {
		return nil, err
	}
	grants, err := grant.New(grant.Config{Store: state.store, Ring: state.keys.Ring(), Now: time.Now})
	if err != nil {
		return nil, errors.Join(err, state.store.Close())
	}
	return &Admin{cfg: cfg, state: state, grants: grants, out: o.Out, now: time.Now}, nil
}

// Close closes the store.
func (a *Admin) Close() error { return a.state.store.Close() }

// atOnce is how many records are read at once.
const atOnce = 200

// Sessions lists the sessions that live; person narrows it to an address, an object ID or "tenant/object".
func (a *Admin) Sessions(ctx context.Context, person string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SESSION\tPERSON\tCLIENT\tSERVER\tLAST USED\tENDS")
	err := a.eachSession(ctx, person, func(g grant.Grant) error {
		_, err := fmt.Fprintln(w, strings.Join([]string{g.ID, plain(nameOf(g.Identity)), plain(g.ClientName), g.Server, stamp(g.LastUsed), stamp(g.Expires)}, "\t"))
		return err
	})
	return errors.Join(err, w.Flush())
}

func (a *Admin) eachSession(ctx context.Context, person string, visit func(grant.Grant) error) error {
	query := grant.Query{Limit: atOnce}
	for {
		found, err := a.grants.List(ctx, query)
		if err != nil {
			return fmt.Errorf("list sessions: %w", err)
		}
		for _, g := range found.Grants {
			if !g.Ended.IsZero() || !a.now().Before(g.Expires) || !isPerson(g.Identity, person) {
				continue
			}
			if err := visit(g); err != nil {
				return err
			}
		}
		if query.After = found.Next; query.After == "" {
			return nil
		}
	}
}

// isPerson says whether an administrator means this identity. An address is for finding people only.
func isPerson(id policy.Identity, said string) bool {
	return said == "" || said == id.Object || said == id.Key() || strings.EqualFold(said, id.Username)
}

// Session shows one session.
func (a *Admin) Session(ctx context.Context, id string) error {
	g, err := a.grants.Get(ctx, id)
	if err != nil {
		return sessionProblem(id, err)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Session", g.ID}, {"Person", plain(nameOf(g.Identity))}, {"Identity", g.Identity.Key()},
		{"Roles", plain(strings.Join(g.Identity.Roles, ", "))}, {"Groups", config.Count(len(g.Identity.Groups), "group")},
		{"Client", plain(g.ClientName) + "  " + plain(g.Client)}, {"Called back at", plain(g.RedirectURI)},
		{"Server", g.Server + "  " + g.Resource}, {"Scopes", strings.Join(g.Scopes, " ")},
		{"Began", stamp(g.Created)}, {"Last used", stamp(g.LastUsed)}, {"Ends", stamp(g.Expires)},
		{"Ended", ended(g)},
	} {
		if line[1] != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
		}
	}
	return w.Flush()
}

// EndSession ends one session.
func (a *Admin) EndSession(ctx context.Context, id string) error {
	if err := a.grants.End(ctx, id); err != nil {
		return sessionProblem(id, err)
	}
	_, err := fmt.Fprintf(a.out, "session %s ended; its tokens are refused everywhere within 5 seconds\n", id)
	return err
}

// EndSessionsOf ends all sessions of a person.
func (a *Admin) EndSessionsOf(ctx context.Context, person string) error {
	var ids []string
	err := a.eachSession(ctx, person, func(g grant.Grant) error { ids = append(ids, g.ID); return nil })
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.grants.End(ctx, id); err != nil && !errors.Is(err, grant.ErrNotFound) {
			return fmt.Errorf("end session %s: %w", id, err)
		}
	}
	_, err = fmt.Fprintf(a.out, "%s of %s ended\n", config.Count(len(ids), "session"), person)
	return err
}

// Clients lists the clients that registered themselves.
func (a *Admin) Clients(ctx context.Context) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CLIENT\tNAME\tREDIRECTS\tREGISTERED\tLAST USED")
	for after, more := "", true; more; more = after != "" {
		found, next, err := authserver.Registrations(ctx, a.state.store, after, atOnce)
		if err != nil {
			return err
		}
		for _, c := range found {
			_, _ = fmt.Fprintln(w, strings.Join([]string{c.ID, plain(c.Name), plain(strings.Join(c.RedirectURIs, " ")), stamp(c.Issued), stamp(c.Used)}, "\t"))
		}
		after = next
	}
	return w.Flush()
}

// RemoveClient forgets a client that registered itself, and ends its sessions.
func (a *Admin) RemoveClient(ctx context.Context, id string) error {
	if err := authserver.Unregister(ctx, a.state.store, id); errors.Is(err, authserver.ErrNotFound) {
		return fmt.Errorf("no client %q registered itself: genkan clients list shows those that did", id)
	} else if err != nil {
		return err
	}
	count, err := a.grants.EndClient(ctx, id)
	if err != nil {
		return fmt.Errorf("end the client's sessions: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "client %s removed, %s ended\n", id, config.Count(count, "session"))
	return err
}

// RotateKeys puts a new data key on the ring, waits until every replica has it, and seals everything anew under it.
func (a *Admin) RotateKeys(ctx context.Context) error {
	from, err := a.state.keys.Rotate(ctx)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	_, _ = fmt.Fprintf(a.out, "a new key seals from %s on; waiting until every replica has it\n", stamp(from))
	timer := time.NewTimer(time.Until(from))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return fmt.Errorf("rotate keys: the new key is in place, but what is stored was not sealed anew; run it again: %w", ctx.Err())
	}
	changed, err := a.state.keys.Reseal(ctx, resealers()...)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "%s sealed anew; old keys stay for what is under way\n", config.Count(changed, "record"))
	return err
}

// resealers move what lies sealed in the store beside the sessions. Sign-ins live for minutes, and end under their key.
func resealers() []grant.Resealer {
	return []grant.Resealer{grant.WholeValue(signingKind)}
}

func sessionProblem(id string, err error) error {
	if errors.Is(err, grant.ErrNotFound) {
		return fmt.Errorf("there is no session %q: genkan sessions list shows those that there are", id)
	}
	return fmt.Errorf("session %s: %w", id, err)
}

func ended(g grant.Grant) string {
	if g.Ended.IsZero() {
		return ""
	}
	return stamp(g.Ended) + ", " + string(g.Reason)
}

func nameOf(id policy.Identity) string {
	if id.Username != "" {
		return id.Username
	}
	if id.Name != "" {
		return id.Name
	}
	return id.Object
}

// plain makes a stranger's text fit for a terminal: nothing in it can move the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}
