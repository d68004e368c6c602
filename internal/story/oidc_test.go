package story

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// The door in front of a provider that is not Entra: oidc-provider of npm.
func TestPeopleSignInWithAnotherProvider(t *testing.T) {
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	port, providerPort := freePort(t), freePort(t)
	url := "http://localhost:" + port
	provider := exec.Command("node", "provider.mjs", providerPort, "genkan", "a-secret-of-the-story-with-some-length", url+"/callback")
	provider.Dir = filepath.Join("..", "idp", "oidc", "node")
	open, err := provider.StdinPipe() // the provider ends when it is closed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = open.Close()
		_ = provider.Wait()
	})
	said := &transcript{ready: make(chan struct{})}
	provider.Stdout = said
	if err := provider.Start(); err != nil {
		t.Fatal(err)
	}
	said.waitFor(t, "ready")

	file := filepath.Join(t.TempDir(), "genkan.yaml")
	text := strings.NewReplacer("URL", url, "PORT", port, "DATA", filepath.Join(t.TempDir(), "data"), "ISSUER", "http://localhost:"+providerPort,
		"UPSTREAM", weather.URL).Replace(`
public_url: URL
listen: 127.0.0.1:PORT
data: DATA
oidc: {issuer: "ISSUER", client_id: genkan, secret: a-secret-of-the-story-with-some-length, roles: realm_access.roles}
servers:
  weather:
    url: UPSTREAM/mcp
    rules:
      - {allow: [get_forecast, list_cities], roles: [Weather.Read]}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(binary, "serve", "--config", file))
	c := &goClient{server: url + "/weather/mcp"}
	if err := c.connect(t.Context(), browser.New(), "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	wantTools(t.Context(), t, c, "get_forecast", "list_cities")
	if err := c.refresh(t.Context()); err != nil {
		t.Error(err)
	}
}
