package app

import (
	"io"
	"net/http"
	"strings"

	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/page"
)

// house leads each request to its room. The gateway's paths are compared byte for byte, before anything could clean
// or rewrite them.
type house struct {
	app     *App
	gateway http.Handler
	paths   map[string]bool // the gateway's
	auth    http.Handler
	known   map[string]bool // the paths that the authorization server serves
	pages   *page.Pages
	console http.Handler // nil where it is off
}

func (w *wiring) newHouse() http.Handler {
	h := &house{app: w.app, gateway: w.gateway, paths: map[string]bool{}, auth: w.auth.Handler(), known: map[string]bool{}, pages: w.pages}
	if w.console != nil {
		h.console = w.console
	}
	for _, path := range w.gateway.Paths() {
		h.paths[path] = true
	}
	for _, path := range w.auth.Paths() {
		h.known[strings.TrimSuffix(path, "/{path...}")] = true
	}
	return h
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case h.paths[path]:
		h.gateway.ServeHTTP(w, r)
	case path == "/healthz":
		h.health(w, r, nil)
	case path == "/readyz":
		h.health(w, r, h.app.ready(r.Context()))
	case h.console != nil && (path == "/" || path+"/" == console.Root):
		http.Redirect(w, r, console.Root, http.StatusFound)
	case h.console != nil && strings.HasPrefix(path, console.Root):
		h.console.ServeHTTP(w, r)
	case strings.HasPrefix(path, page.AssetsPath):
		h.pages.Assets().ServeHTTP(w, r)
	case h.known[path], strings.HasPrefix(path, "/.well-known/oauth-authorization-server/"), strings.HasPrefix(path, "/.well-known/openid-configuration/"):
		h.auth.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/.well-known/"), strings.Contains(r.Header.Get("Accept"), "json"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"not_found","error_description":"nothing is here: compare the address with the one you were given"}`+"\n")
	default:
		h.notFound(w)
	}
}

func (h *house) notFound(w http.ResponseWriter) {
	err := h.pages.Problem(w, page.Problem{
		Status: http.StatusNotFound, Title: "Nothing is here",
		Text:   "This is the front door for MCP servers. Programs come in here, mostly.",
		Remedy: "Give your MCP client the address of a server, as you were told it.",
	})
	if err != nil {
		h.app.logger.Error("show a page", "error", err)
	}
}

// health answers probes. What is wrong stands in the log; a stranger learns only that something is.
func (h *house) health(w http.ResponseWriter, r *http.Request, problem error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if problem != nil {
		h.app.logger.WarnContext(r.Context(), "not ready", "error", problem)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready: see the log\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
