package story

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entratest"
)

// A local server that somebody else wrote, the go-sdk's own example, lets its tool be used only by whom Entra and the rules
// allow. Who sits at the machine signs in in the browser.
func TestALocalServerIsGuardedByItsPersonsSignIn(t *testing.T) {
	dir := t.TempDir()
	server := filepath.Join(dir, "hello")
	if out, err := exec.Command("go", "build", "-o", server, "github.com/modelcontextprotocol/go-sdk/examples/server/hello").CombinedOutput(); err != nil {
		t.Fatalf("build the go-sdk's example: %v\n%s", err, out)
	}
	rules := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rules, []byte("- {name: readers, allow: [greet], roles: [Weather.Read]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for who, mayGreet := range map[string]bool{"alice": true, "carol": false} {
		t.Run(who, func(t *testing.T) {
			tenant := entratest.Start(t)
			d := deskWith(t, nil, func(_ context.Context, address string) error {
				answer, err := tenant.Browser(who).Visit(address)
				if err != nil {
					return fmt.Errorf("sign in: %w", err)
				}
				resp, err := http.PostForm(answer.RedirectURI, answer.Params)
				if err != nil {
					return fmt.Errorf("come back: %w", err)
				}
				return resp.Body.Close()
			})
			args := append([]string{"local", "--tenant", tenant.TenantID, "--client-id", entratest.GenkanToolsID, "--authority", tenant.URL,
				"--scope", entratest.GenkanURI + "/" + entratest.GenkanScope, "--rules", rules}, d.args...)
			cmd := exec.Command(binary, append(append(args, "--"), server)...)
			cmd.Env, cmd.Stderr = d.env, &d.log

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			session, err := mcp.NewClient(&mcp.Implementation{Name: "story", Version: "1"}, nil).Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, &d.log)
			}
			defer func() { _ = session.Close() }()
			answer, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "greet", Arguments: map[string]any{"name": "Kyoto"}})
			greeted := err == nil && !answer.IsError
			if greeted != mayGreet {
				t.Errorf("greet: %v, %v; want allowed=%v\n%s", answer, err, mayGreet, &d.log)
			}
			listed, err := session.ListTools(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if (len(listed.Tools) == 1) != mayGreet {
				t.Errorf("%d tools are listed", len(listed.Tools))
			}
			if d.pages.Load() != 1 {
				t.Errorf("%d sign-in pages were opened, want 1", d.pages.Load())
			}
			if strings.Contains(d.log.String(), "eyJ") {
				t.Error("the log holds a token")
			}
		})
	}
}
