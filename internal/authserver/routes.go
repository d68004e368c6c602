package authserver

import (
	"net/http"

	"github.com/genkan-mcp/genkan/internal/page"
)

// handler parses, calls one rule, and writes. What it returns is rendered by the route's audience.
type handler func(w http.ResponseWriter, r *http.Request) error

// audience says who reads an answer, which decides how a refusal looks and what a browser script may do.
type audience int

const (
	people   audience = iota // a page
	programs                 // JSON; scripts of any page may call it, without cookies
	servers                  // JSON; no script may call it
)

// route is one address of the house.
type route struct {
	method  string
	path    string
	reader  audience
	handler handler
}

// routes is the whole surface.
func (a *AuthServer) routes() []route {
	return []route{
		{http.MethodGet, metadataPath, programs, a.serveMetadata},
		{http.MethodGet, metadataPath + "/{path...}", programs, a.serveMetadata},
		{http.MethodGet, openIDPath, programs, a.serveMetadata},
		{http.MethodGet, openIDPath + "/{path...}", programs, a.serveMetadata},
		{http.MethodGet, "/jwks", programs, a.serveKeys},
		{http.MethodPost, "/register", programs, a.register},
		{http.MethodGet, "/authorize", people, a.authorize},
		{http.MethodGet, "/consent", people, a.showConsent},
		{http.MethodPost, "/consent", people, a.decideConsent},
		{http.MethodGet, "/callback", people, a.callback},
		{http.MethodPost, "/token", programs, a.token},
		{http.MethodPost, "/revoke", programs, a.revoke},
		{http.MethodPost, "/introspect", servers, a.introspect},
	}
}

// Handler serves every address of the authorization server, and nothing else.
func (a *AuthServer) Handler() http.Handler {
	mux := http.NewServeMux()
	preflights := map[string]bool{}
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+r.path, a.adapt(r))
		if r.reader == programs && !preflights[r.path] {
			preflights[r.path] = true
			mux.Handle(http.MethodOptions+" "+r.path, http.HandlerFunc(preflight))
		}
	}
	if a.own {
		mux.Handle(page.AssetsPath, a.pages.Assets())
	}
	return mux
}

// Paths are the patterns of net/http that Handler serves, for whoever wires the rooms of the house together.
func (a *AuthServer) Paths() []string {
	var paths []string
	for _, r := range a.routes() {
		if len(paths) == 0 || paths[len(paths)-1] != r.path {
			paths = append(paths, r.path)
		}
	}
	if a.own {
		paths = append(paths, page.AssetsPath)
	}
	return paths
}

// adapt is the one place where errors become answers.
func (a *AuthServer) adapt(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rt.reader == programs {
			allowScripts(w.Header())
		}
		err := rt.handler(w, r)
		switch {
		case err == nil:
		case rt.reader == people:
			a.failPage(w, r, err)
		default:
			a.failJSON(w, r, err)
		}
	})
}

// allowScripts lets pages of any origin read the answer. That gives them nothing which they could not fetch
// from a server of their own: no cookie is sent or read here (Fetch §3.2.5).
func allowScripts(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
}

func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	allowScripts(h)
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
