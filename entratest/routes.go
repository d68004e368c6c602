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
	}
	login.Handle("GET /{tenant}/discovery/instance", t.api(t.instance))
	login.Handle("POST /{tenant}/login", t.page(t.choose))
	login.Handle("POST /{tenant}/consent", t.page(t.consent))
	login.Handle("POST /{tenant}/approve", t.page(t.approve))

	graph := http.NewServeMux()
	graph.Handle("GET /v1.0/me", t.graph(t.me))

	services := map[string]http.Handler{
		"v1.0":   graph,
		"assets": http.FileServerFS(assets),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if service, ok := services[first]; ok {
			service.ServeHTTP(w, r)
			return
		}
		login.ServeHTTP(w, r)
	})
}
