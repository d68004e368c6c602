package console

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
)

const probeTime = 3 * time.Second

type overviewView struct {
	Health   []health
	Charts   []chart
	Numbers  []numberView
	Sessions int
	People   int
	Clients  int
}

type health struct {
	Probe
	Well bool
	Took string
}

type numberView struct{ Label, Value, Note string }

// overviewPage says whether the house is well, and what goes on in it.
func (k *Console) overviewPage(w http.ResponseWriter, r *http.Request, s *session) error {
	grants, err := k.listGrants(r.Context(), grant.Query{})
	if err != nil {
		return err
	}
	people, clients := map[string]bool{}, map[string]bool{}
	for _, g := range grants {
		people[g.Identity.Key()] = true
		clients[g.Client] = true
	}
	v := overviewView{Health: k.probe(r.Context()), Sessions: len(grants), People: len(people), Clients: len(clients)}
	if k.Admin.Metrics != nil {
		if err := k.sample(); err != nil {
			return err
		}
		v.Charts, v.Numbers = k.samples.charts(), k.samples.numbers()
	}
	return k.render(w, r, s, view{Name: "overview", Title: "Overview", Data: v})
}

// probe asks everything at once. Why something is not well stands in the log: a cause can name internal addresses.
func (k *Console) probe(ctx context.Context) []health {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	found := make([]health, len(k.Admin.Health))
	var asked sync.WaitGroup
	for i, p := range k.Admin.Health {
		asked.Go(func() {
			began := k.Now()
			err := p.Check(ctx)
			found[i] = health{Probe: p, Well: err == nil, Took: shortDuration(k.Now().Sub(began))}
			if err != nil {
				k.Logger.WarnContext(ctx, "a probe failed", "probe", p.Name, "error", err)
			}
		})
	}
	asked.Wait()
	return found
}

type allSessionsView struct {
	Sessions []sessionView
	Clients  []clientCount
	Query    grant.Query
	Person   string
	Servers  []Server
}

type clientCount struct {
	Client, Name string
	Sessions     int
}

// allSessionsPage shows the sessions of everybody.
func (k *Console) allSessionsPage(w http.ResponseWriter, r *http.Request, s *session) error {
	query := r.URL.Query()
	q := grant.Query{Owner: query.Get("person"), Client: query.Get("client"), Server: query.Get("server")}
	grants, err := k.listGrants(r.Context(), q)
	if err != nil {
		return err
	}
	v := allSessionsView{Sessions: k.sessionViews(grants, s), Query: q, Servers: k.Servers(), Person: q.Owner}
	at := map[string]int{}
	for _, g := range v.Sessions {
		i, known := at[g.Client]
		if !known {
			i = len(v.Clients)
			at[g.Client] = i
			v.Clients = append(v.Clients, clientCount{Client: g.Client, Name: g.ClientName})
		}
		v.Clients[i].Sessions++
	}
	return k.render(w, r, s, view{Name: "all-sessions", Title: "All sessions", Data: v})
}

// endAnySession ends a session, all of a person, or all of a client; it is written down who did that.
func (k *Console) endAnySession(w http.ResponseWriter, r *http.Request, s *session) error {
	ctx := r.Context()
	var err error
	switch session, person, client := r.PostFormValue("session"), r.PostFormValue("person"), r.PostFormValue("client"); {
	case session != "":
		var g grant.Grant
		g, err = k.Grants.Get(ctx, session)
		if errors.Is(err, grant.ErrNotFound) {
			return badRequest("There is no such session.", "Look at the list again: it may have ended.")
		}
		if err == nil {
			err = k.endGrant(ctx, s, g)
		}
	case person != "":
		var n int
		if n, err = k.Grants.EndOwner(ctx, person); err == nil {
			err = k.note(ctx, s, endedEvent(person, "", n))
		}
	case client != "":
		var n int
		if n, err = k.Grants.EndClient(ctx, client); err == nil {
			err = k.note(ctx, s, endedEvent("", client, n))
		}
	default:
		return badRequest("Nothing was named.", "Use the buttons of the list.")
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, Root+"admin/sessions", http.StatusSeeOther)
	return nil
}
