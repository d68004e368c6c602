package entratest

import (
	"net/http"
	"slices"
	"strings"
)

// cookieName is not one of Entra's, so that nobody takes this tenant for it.
const cookieName = "entratest_session"

// sessionOf is the signed-in browser that sent a request; nil when it is not signed in. It is a copy.
func (t *Tenant) sessionOf(r *http.Request) *session {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	var found *session
	t.remember(func(s *state) {
		if kept := s.sessions[cookie.Value]; kept != nil {
			found = kept.clone()
		}
	})
	return found
}

// cookie names a session. It is Secure where the tenant is served over https; on loopback it need not be.
func (t *Tenant) cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is said below, as far as it can be
		Name: cookieName, Value: value, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(t.base(r), "https:"),
	}
}

// openSession adds an account to the browser's session, which begins here if there was none.
func (t *Tenant) openSession(w http.ResponseWriter, r *http.Request, a account) *session {
	next := t.sessionOf(r)
	if next == nil {
		next = &session{id: t.opaque(24)}
		http.SetCookie(w, t.cookie(r, next.id))
	}
	if old := next.account(a.person); old != nil {
		*old = a
	} else {
		next.accounts = append(next.accounts, a)
	}
	t.remember(func(s *state) {
		s.sessions[next.id] = next.clone()
	})
	return next
}

// ours says whether an address belongs to the tenant's domain.
func (d *Directory) ours(address string) bool {
	return strings.HasSuffix(strings.ToLower(address), "@"+strings.ToLower(d.Domain))
}

func (s *session) clone() *session {
	return &session{id: s.id, accounts: slices.Clone(s.accounts), clients: slices.Clone(s.clients)}
}
