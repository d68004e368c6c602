package console

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
)

// handlers of the three kinds of page: for anybody, for somebody, for administrators.
type (
	open     func(w http.ResponseWriter, r *http.Request) error
	personal func(w http.ResponseWriter, r *http.Request, s *session) error
)

// routes is the whole surface of the console.
func (k *Console) routes() http.Handler {
	mux := http.NewServeMux()
	anybody := map[string]open{
		"GET " + Root + "{$}":           k.home,
		"GET " + Root + "sign-in":       k.startSignIn,
		"GET " + CallbackPath:           k.callback,
		"GET " + FrontChannelPath:       k.signedOutElsewhere,
		"GET " + Root + "signed-out":    k.signedOut,
		"GET " + Root + "assets/{name}": k.asset,
		Root:                            k.nowhere,
	}
	people := map[string]personal{
		"POST sign-out":                k.signOut,
		"GET tokens":                   k.tokensPage,
		"POST tokens/exchange":         k.exchangeToken,
		"POST tokens/refresh":          k.refreshTokens,
		"POST tokens/open":             k.openDoor,
		"GET tokens/satisfy/{service}": k.satisfy,
		"GET tools":                    k.toolsPage,
		"GET tools/{server}":           k.serverPage,
		"GET tools/{server}/{tool}":    k.toolPage,
		"POST tools/{server}/{tool}":   k.callTool,
		"POST tools/forget":            k.forgetHistory,
		"GET chat":                     k.chatPage,
		"POST chat":                    k.chatSay,
		"POST chat/decide":             k.chatDecide,
		"POST chat/clear":              k.chatClear,
		"GET sessions":                 k.sessionsPage,
		"POST sessions/end":            k.endSession,
		"POST sessions/end-all":        k.endSessions,
		"GET install":                  k.installPage,
	}
	administrators := map[string]personal{
		"GET admin":               k.overviewPage,
		"GET admin/sessions":      k.allSessionsPage,
		"POST admin/sessions/end": k.endAnySession,
		"GET admin/audit":         k.auditPage,
		"GET admin/refusals":      k.refusalsPage,
		"GET admin/policy":        k.policyPage,
		"POST admin/policy":       k.policyTry,
	}
	for pattern, h := range anybody {
		mux.Handle(pattern, k.adapt(h))
	}
	for pattern, h := range people {
		mux.Handle(under(pattern), k.adapt(k.signedIn(h)))
	}
	for pattern, h := range administrators {
		mux.Handle(under(pattern), k.adapt(k.signedIn(k.administrating(h))))
	}
	return mux
}

// under puts the method's path under Root.
func under(pattern string) string {
	for i := range pattern {
		if pattern[i] == ' ' {
			return pattern[:i+1] + Root + pattern[i+1:]
		}
	}
	return pattern
}

// adapt turns a handler into net/http's, and every error into a page or, for a script, into JSON.
func (k *Console) adapt(h open) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			k.answer(w, r, err)
		}
	})
}

// signedIn lets in people whose session lives, and changes of theirs that come from our own pages.
func (k *Console) signedIn(h personal) open {
	return func(w http.ResponseWriter, r *http.Request) error {
		cookie := k.cookies.get(r, k.cookies.session)
		s, err := k.find(r.Context(), cookie)
		if err != nil {
			return err
		}
		if r.Method == http.MethodPost {
			if err := k.ownForm(w, r, s); err != nil {
				return err
			}
		}
		if err := k.touch(r.Context(), s); err != nil {
			return err
		}
		if err := k.fresh(r.Context(), s); err != nil {
			return err
		}
		return h(w, r.WithContext(withSession(r.Context(), s)), s)
	}
}

// ownForm refuses forms that are not ours: two ways to tell, and both must agree.
func (k *Console) ownForm(w http.ResponseWriter, r *http.Request, s *session) error {
	refused := &notice{Status: http.StatusForbidden, Title: "That did not come from this page", Text: "Nothing was changed.", Remedy: "Open the page again and repeat what you did."}
	if k.origins.Check(r) != nil {
		return refused
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return badRequest("The form is too large or malformed.", "Send less.")
	}
	shown := r.Header.Get("X-Genkan-Form")
	if shown == "" {
		shown = r.PostFormValue("form")
	}
	if subtle.ConstantTimeCompare([]byte(shown), []byte(s.csrf)) != 1 {
		return refused
	}
	return nil
}

// administrating lets in those who have the role, and shows the others that nothing is here.
func (k *Console) administrating(h personal) personal {
	return func(w http.ResponseWriter, r *http.Request, s *session) error {
		if !k.administers(s) {
			return k.nowhere(w, r)
		}
		return h(w, r, s)
	}
}

func (k *Console) administers(s *session) bool {
	return s != nil && k.AdminRole != "" && s.Identity.HasRole(k.AdminRole)
}

func (k *Console) nowhere(http.ResponseWriter, *http.Request) error {
	return &notice{Status: http.StatusNotFound, Title: "Nothing is here", Text: "This page does not exist, or it is not for you.", Remedy: "Use the navigation."}
}

// signInPath leads to the sign-in and back to the page that was asked for.
func signInPath(r *http.Request) string {
	if r.Method != http.MethodGet {
		return Root + "sign-in"
	}
	return Root + "sign-in?return=" + url.QueryEscape(r.URL.RequestURI())
}

type contextKey int

const sessionKey contextKey = iota

// withSession lets the error page know who looks at it.
func withSession(ctx context.Context, s *session) context.Context {
	return context.WithValue(ctx, sessionKey, s)
}
