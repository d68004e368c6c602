package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
)

// homeView is the first page of somebody who is signed in.
type homeView struct {
	Greeting string
	Roles    []string
	Groups   int
	Servers  []Server
	Sessions []sessionView
	More     int
	Ends     time.Time
	Chat     string
}

// home greets those who are signed in, and tells the others what this is.
func (k *Console) home(w http.ResponseWriter, r *http.Request) error {
	_, err := k.find(r.Context(), k.cookies.get(r, k.cookies.session))
	if errors.Is(err, errNoSession) {
		return k.render(w, r, nil, view{Name: "welcome", Title: "Console"})
	}
	if err != nil {
		return err
	}
	return k.signedIn(k.homeOf)(w, r)
}

func (k *Console) homeOf(w http.ResponseWriter, r *http.Request, s *session) error {
	mine, err := k.sessionsOf(r.Context(), s)
	if err != nil {
		return err
	}
	v := homeView{
		Greeting: firstWord(s.Identity.Name), Roles: s.Identity.Roles, Groups: len(s.Identity.Groups), Servers: k.Servers(),
		Ends: s.Began.Add(absoluteLife), Chat: k.model.name(),
	}
	const most = 4
	v.Sessions = mine[:min(len(mine), most)]
	v.More = len(mine) - len(v.Sessions)
	return k.render(w, r, s, view{Name: "home", Title: "Home", Data: v})
}

func firstWord(name string) string {
	for i, r := range name {
		if r == ' ' {
			return name[:i]
		}
	}
	return name
}

// sessionView is a session of the house on a page.
type sessionView struct {
	grant.Grant
	Label string // of the server
	Mine  bool   // the console's own, in this browser
	Host  string // where the client is called back
}

func (k *Console) sessionsOf(ctx context.Context, s *session) ([]sessionView, error) {
	grants, err := k.listGrants(ctx, grant.Query{Owner: s.Identity.Key()})
	if err != nil {
		return nil, err
	}
	return k.sessionViews(grants, s), nil
}

// listGrants reads all pages of a list, up to a number that a page can show.
func (k *Console) listGrants(ctx context.Context, q grant.Query) ([]grant.Grant, error) {
	const most = 2000
	var all []grant.Grant
	for {
		page, err := k.Grants.List(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Grants...)
		if page.Next == "" || len(all) >= most {
			return all, nil
		}
		q.After = page.Next
	}
}

// sessionViews are sorted: the ones used last come first.
func (k *Console) sessionViews(grants []grant.Grant, s *session) []sessionView {
	var views []sessionView
	for _, g := range grants {
		v := sessionView{Grant: g, Label: g.Server, Host: hostOf(g.RedirectURI)}
		if server, ok := k.server(g.Server); ok {
			v.Label = server.Label()
		}
		for _, door := range s.Doors {
			v.Mine = v.Mine || door.Grant == g.ID
		}
		views = append(views, v)
	}
	slices.SortStableFunc(views, func(a, b sessionView) int { return b.LastUsed.Compare(a.LastUsed) })
	return views
}
