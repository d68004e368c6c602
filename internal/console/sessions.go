package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
)

type sessionsView struct {
	Sessions []sessionView
	Others   int // that this console did not open
}

// sessionsPage shows which clients the person let in.
func (k *Console) sessionsPage(w http.ResponseWriter, r *http.Request, s *session) error {
	mine, err := k.sessionsOf(r.Context(), s)
	if err != nil {
		return err
	}
	v := sessionsView{Sessions: mine}
	for _, m := range mine {
		if !m.Mine {
			v.Others++
		}
	}
	return k.render(w, r, s, view{Name: "sessions", Title: "My sessions", Data: v})
}

// endSession ends one session, if it is the person's own. Somebody else's is as good as none.
func (k *Console) endSession(w http.ResponseWriter, r *http.Request, s *session) error {
	id := r.PostFormValue("session")
	g, err := k.Grants.Get(r.Context(), id)
	if errors.Is(err, grant.ErrNotFound) || err == nil && g.Identity.Key() != s.Identity.Key() {
		return badRequest("There is no such session of yours.", "Look at the list again: it may have ended.")
	}
	if err != nil {
		return err
	}
	if err := k.endGrant(r.Context(), s, g); err != nil {
		return err
	}
	http.Redirect(w, r, Root+"sessions", http.StatusSeeOther)
	return nil
}

func (k *Console) endGrant(ctx context.Context, s *session, g grant.Grant) error {
	if err := k.Grants.End(ctx, g.ID); err != nil && !errors.Is(err, grant.ErrNotFound) {
		return err
	}
	return k.note(ctx, s, audit.Event{
		Kind: audit.Token, Decision: audit.Allowed, OnBehalfOf: g.Identity.Key(), Server: g.Server, Method: "end session", SessionID: g.ID,
		Detail: "a session was ended in the console",
	})
}

// endSessions ends all of the person's sessions, the console's own for servers too; the person stays signed in here.
func (k *Console) endSessions(w http.ResponseWriter, r *http.Request, s *session) error {
	n, err := k.Grants.EndOwner(r.Context(), s.Identity.Key())
	if err != nil {
		return err
	}
	err = k.note(r.Context(), s, audit.Event{
		Kind: audit.Token, Decision: audit.Allowed, OnBehalfOf: s.Identity.Key(), Method: "end sessions", Detail: plural(n, "session was", "sessions were") + " ended in the console",
	})
	if err != nil {
		return err
	}
	http.Redirect(w, r, Root+"sessions", http.StatusSeeOther)
	return nil
}

// note writes down what somebody did here.
func (k *Console) note(ctx context.Context, s *session, e audit.Event) error {
	if k.Record == nil {
		return nil
	}
	subject, detail := e.OnBehalfOf, e.Detail
	e.Who(s.person())
	e.OnBehalfOf, e.Detail, e.Time = "", detail, k.Now()
	if subject != s.Identity.Key() {
		e.OnBehalfOf = subject
	}
	return k.Record(ctx, e)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Host
}
