package story

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// The same as `genkan dev`, written down: a configuration file, a tenant elsewhere, sessions that outlive the process.
func TestServeKeepsPeopleSignedInOverARestart(t *testing.T) {
	tenant := entratest.Start(t)
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	dir := t.TempDir()
	port := freePort(t)
	file := filepath.Join(dir, "genkan.yaml")
	text := strings.NewReplacer("PORT", port, "DATA", filepath.Join(dir, "data"), "TENANT", tenant.TenantID,
		"CLIENT", entratest.GenkanID, "AUTHORITY", tenant.URL, "UPSTREAM", weather.URL).Replace(`
public_url: http://localhost:PORT
listen: 127.0.0.1:PORT
data: DATA
entra:
  tenant: TENANT
  client_id: CLIENT
  authority: AUTHORITY
  credential: {secret: "${GENKAN_STORY_SECRET}"}
servers:
  weather:
    url: UPSTREAM/mcp
    rules:
      - {allow: ["*"], roles: [Weather.Read], when: '!has(args.city) || args.city != "Oslo"'}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() *process {
		cmd := exec.Command(binary, "serve", "--config", file)
		cmd.Env = append(os.Environ(), "GENKAN_STORY_SECRET="+entratest.GenkanSecret)
		return start(t, cmd)
	}
	first := serve()
	c := &goClient{server: "http://localhost:" + port + "/weather/mcp"}
	if err := c.connect(t.Context(), browser.New(), "bob@contoso.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(t.Context(), "get_forecast", map[string]any{"city": "Kyoto"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(t.Context(), "get_forecast", map[string]any{"city": "Oslo"}); err == nil {
		t.Error("the condition on the arguments does not hold")
	}
	first.stop(t)
	serve()
	c.source.token.Expiry = time.Unix(1, 0)
	if err := c.reconnect(t.Context()); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	if _, err := c.call(t.Context(), "get_forecast", map[string]any{"city": "Kyoto"}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if strings.Contains(first.output.String(), entratest.GenkanSecret) {
		t.Error("the log holds the client secret")
	}
}

// The dev tenant alone, over https: what its authority vouches for is believed once the authority is.
func TestTenantServesHTTPSThatItsAuthorityVouchesFor(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca")
	port := freePort(t)
	p := start(t, exec.Command(binary, "tenant", "--https", "--listen", "127.0.0.1:"+port, "--ca", ca))
	if !strings.Contains(p.output.String(), "SSL_CERT_FILE="+filepath.Join(ca, "ca.pem")) {
		t.Errorf("it does not say how to trust it:\n%s", p.output)
	}
	trusted := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(ca, "ca.pem"))
	if err != nil || !trusted.AppendCertsFromPEM(pem) {
		t.Fatalf("no authority: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Get("https://localhost:" + port + "/contoso.example/v2.0/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("discovery answers %d", resp.StatusCode)
	}
	if info, err := os.Stat(filepath.Join(ca, "ca-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v; want mode 0600", info.Mode(), err)
	}
}
