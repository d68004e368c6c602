package entratest

import (
	"net/http"
	"strings"
)

// routes is the whole surface of the tenant. The first segment of a path decides between a tenant's
// name and the services that live on hosts of their own in the real world.
func (t *Tenant) routes() http.Handler {
	login := http.NewServeMux()
	for _, v := range []string{"/v2.0", ""} {
		login.Handle("GET /{tenant}"+v+"/.well-known/openid-configuration", t.api(t.discovery))
		login.Handle("GET /{tenant}/discovery"+v+"/keys", t.api(t.keySet))
		login.Handle("/{tenant}/oauth2"+v+"/authorize", t.page(t.authorize))
		login.Handle("POST /{tenant}/oauth2"+v+"/token", t.api(t.token))
		login.Handle("OPTIONS /{tenant}/oauth2"+v+"/token", http.HandlerFunc(preflight))
		login.Handle("POST /{tenant}/oauth2"+v+"/devicecode", t.api(t.deviceCode))
		login.Handle("/{tenant}/oauth2"+v+"/logout", t.page(t.logout))
		login.Handle("GET /{tenant}"+v+"/adminconsent", t.page(t.adminConsent))
	}
	login.Handle("GET /{tenant}/discovery/instance", t.api(t.instance))
	login.Handle("POST /{tenant}/login", t.page(t.choose))
	login.Handle("POST /{tenant}/consent", t.page(t.consent))
	login.Handle("POST /{tenant}/approve", t.page(t.approve))
	login.Handle("POST /{tenant}/device", t.page(t.deviceAnswer))
	login.Handle("GET /error", t.page(t.explain))

	services := map[string]http.Handler{
		"v1.0":        t.graphRoutes(),
		"oidc":        t.graph(t.userinfo),
		"devicelogin": methods{http.MethodGet: t.page(t.deviceLogin), http.MethodPost: t.page(t.deviceEnter)},
		"msi":         http.HandlerFunc(t.appService),
		"metadata":    http.HandlerFunc(t.imds),
		"indexes":     t.searchRoutes(),
		"keys":        t.vaultRoutes(),
		"admin":       t.adminRoutes(),
		"assets":      http.FileServerFS(assets),
	}
	return t.watched(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if service, ok := services[first]; ok {
			service.ServeHTTP(w, r)
			return
		}
		login.ServeHTTP(w, r)
	}))
}

// methods chooses a handler by method, where a path belongs to no mux.
type methods map[string]http.Handler

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := m[r.Method]; ok {
		h.ServeHTTP(w, r)
		return
	}
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
}

// preflight lets single-page applications call the token endpoint.
func preflight(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w, r)
	w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
}
