package story

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/app"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// known is the client of the configuration in these stories.
const known = "story-known"

// Each real client goes the whole way in each way of becoming known: by registration, by a client ID metadata document,
// and because an administrator wrote it down. Documents lie on this machine here, which only a test may allow: the
// house is in this process for that.
func TestRealClientsInEveryWayOfBecomingKnown(t *testing.T) {
	document := serveDocument(t)
	house := openInProcess(t, document)
	server := house + "/weather/mcp"
	ways := map[string]string{"registration": "", "document": document.address, "configuration": known}
	for way, id := range ways {
		open := map[string]func() client{
			"go-sdk":            func() client { return &goClient{server: server, id: id} },
			"typescript-sdk-v1": func() client { return startNode(t.Context(), t, "client.mjs", "sdk", server, callbackURL, id) },
			"typescript-sdk-v2": func() client { return startNode(t.Context(), t, "client.mjs", "client", server, callbackURL, id) },
			"openid-client":     func() client { return startNode(t.Context(), t, "openid.mjs", house, server, callbackURL, id) },
		}
		for name, open := range open {
			t.Run(way+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				c := open()
				if err := c.connect(ctx, browser.New(), "bob@contoso.example"); err != nil {
					t.Fatal(err)
				}
				wantTools(ctx, t, c, "get_forecast", "list_cities")
				if err := c.refresh(ctx); err != nil {
					t.Fatalf("refresh: %v", err)
				}
				if _, err := c.call(ctx, "get_forecast", map[string]any{"city": "Oslo"}); err != nil {
					t.Errorf("after the refresh: %v", err)
				}
			})
		}
	}
}

// The suite's authorization-server mode for the two ways that need no registration.
func TestConformanceAuthorizationServerForKnownClients(t *testing.T) {
	document := serveDocument(t)
	house := openInProcess(t, document)
	for way, id := range map[string]string{"document": document.address, "configuration": known} {
		for revision, checks := range authorizationChecks() {
			t.Run(way+"/"+revision, func(t *testing.T) {
				port := freePort(t)
				result := runSuite(t, "http://127.0.0.1:"+port+"/callback", "authorization", "--url", house, "--client-id", id,
					"--resource", house+"/weather/mcp", "--port", port, "--spec-version", revision)
				result.want(t, checks, "authorization-server-metadata-endpoint", "authorization-code-grant")
			})
		}
	}
}

// clientDocument is a client ID metadata document, served over https on this machine.
type clientDocument struct {
	address string
	roots   *x509.CertPool
}

func serveDocument(t *testing.T) clientDocument {
	t.Helper()
	var d clientDocument
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"client_id":%q,"client_name":"Story","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`, d.address)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.address = "https://example.com:" + u.Port() + "/story/client.json" // a name that the test server's certificate has
	d.roots = x509.NewCertPool()
	d.roots.AddCert(server.Certificate())
	return d
}

// openInProcess opens a house in this process and returns its address.
func openInProcess(t *testing.T, document clientDocument) string {
	t.Helper()
	tenant := entratest.Start(t)
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	public := "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	values := map[string]string{"PUBLIC": public, "DATA": t.TempDir(), "AUTHORITY": tenant.URL, "UPSTREAM": weather.URL,
		"TENANT": tenant.TenantID, "CLIENT": entratest.GenkanID, "SECRET": entratest.GenkanSecret, "KNOWN": known}
	cfg, err := config.Load("story", []byte(`
public_url: ${PUBLIC}
data: ${DATA}
entra: {tenant: "${TENANT}", client_id: "${CLIENT}", authority: "${AUTHORITY}", credential: {secret: "${SECRET}"}}
clients:
  - {id: "${KNOWN}", name: Known, redirect_uris: ["http://127.0.0.1/callback"]}
servers:
  weather:
    url: ${UPSTREAM}/mcp
    rules:
      - {allow: [list_cities, get_forecast], roles: [Weather.Read]}
      - {allow: [set_alert], roles: [Weather.Write]}
`), func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	house, err := app.New(t.Context(), cfg, app.Surroundings{Log: t.Output(), InsecureDocuments: authserver.Documents{
		Roots: document.roots, InsecureAllowLoopback: true,
		InsecureLookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	server.Config.Handler = house
	server.Start()
	return public
}
