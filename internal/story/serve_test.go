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
	"syscall"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// The same as `genkan dev`, written down: a configuration file, a tenant elsewhere, sessions that outlive the process.
func TestServeKeepsPeopleSignedInOverARestart(t *testing.T) {
	tenant := entratest.Start(t)
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	s := newServed(t, tenant.URL, weather.URL)
	s.write(t, `{allow: ["*"], roles: [Weather.Read], when: '!has(args.city) || args.city != "Oslo"'}`)
	first := s.start(t)
	c := &goClient{server: s.url + "/weather/mcp"}
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
	s.start(t)
	c.source.spoil()
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

// A rule that is changed while people are inside counts from the next call on; a file with mistakes changes nothing.
func TestTheConfigurationIsReadAnewWhenItChanges(t *testing.T) {
	tenant := entratest.Start(t)
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	s := newServed(t, tenant.URL, weather.URL)
	s.write(t, `{allow: ["get_*"], roles: [Weather.Read]}`)
	p := s.start(t)
	c := &goClient{server: s.url + "/weather/mcp"}
	if err := c.connect(t.Context(), browser.New(), "bob@contoso.example"); err != nil {
		t.Fatal(err)
	}
	wantTools(t.Context(), t, c, "get_forecast")

	s.write(t, `{alow: ["*"], roles: [Weather.Read]}`)
	p.output.waitFor(t, "nothing changed")
	wantTools(t.Context(), t, c, "get_forecast")

	s.write(t, `{allow: ["get_*", "list_*"], roles: [Weather.Read]}`)
	p.output.waitFor(t, "was loaded anew")
	wantTools(t.Context(), t, c, "get_forecast", "list_cities")

	s.write(t, `{allow: ["list_*"], roles: [Weather.Read]}`)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.output.waitForTimes(t, "was loaded anew", 2)
	wantTools(t.Context(), t, c, "list_cities")
}

// served is a configuration file and what it is served with.
type served struct{ url, file, text string }

func newServed(t *testing.T, authority, upstream string) *served {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	return &served{
		url: "http://localhost:" + port, file: filepath.Join(dir, "genkan.yaml"),
		text: strings.NewReplacer("PORT", port, "DATA", filepath.Join(dir, "data"), "TENANT", entratest.TenantID,
			"CLIENT", entratest.GenkanID, "AUTHORITY", authority, "UPSTREAM", upstream).Replace(`
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
      - `),
	}
}

// write puts the file in place with one rule, all at once, as whoever edits a file in use should.
func (s *served) write(t *testing.T, rule string) {
	t.Helper()
	next := s.file + ".next"
	if err := os.WriteFile(next, []byte(s.text+rule+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, s.file); err != nil {
		t.Fatal(err)
	}
}

func (s *served) start(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--config", s.file)
	cmd.Env = append(os.Environ(), "GENKAN_STORY_SECRET="+entratest.GenkanSecret)
	return start(t, cmd)
}
