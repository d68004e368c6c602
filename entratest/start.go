package entratest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Option changes what [Start] starts.
type Option func(*startConfig)

type startConfig struct {
	Config
	tls bool
}

// WithConfig starts the tenant that a Config describes. Its URL is overwritten.
func WithConfig(c Config) Option {
	return func(s *startConfig) { s.Config = c }
}

// WithTLS serves the tenant over https, as MSAL demands. Only [Tenant.Client] trusts its certificate.
func WithTLS() Option {
	return func(s *startConfig) { s.tls = true }
}

// Start serves a tenant on a loopback port for as long as the test runs.
func Start(t testing.TB, options ...Option) *Tenant {
	t.Helper()
	var c startConfig
	for _, option := range options {
		option(&c)
	}
	var tenant *Tenant
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	scheme := "http"
	if c.tls {
		scheme = "https"
	}
	c.URL = scheme + "://" + server.Listener.Addr().String()
	tenant, err := New(c.Config)
	if err != nil {
		t.Fatalf("start a tenant: %v", err)
	}
	if c.tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	tenant.trusting = server.Client()
	return tenant
}

// Client is an HTTP client that trusts the server which [Start] made. It keeps no cookies. For a tenant
// made by New it is the client of the Config.
func (t *Tenant) Client() *http.Client {
	if t.trusting != nil {
		return t.trusting
	}
	return t.client
}
