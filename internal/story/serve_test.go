package story

import (
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
