package story

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// authorizationChecks are the checks of the authorization-server mode at each revision that the suite knows. Since
// 2025-11-25 it also looks for client ID metadata documents.
func authorizationChecks() map[string]int {
	return map[string]int{"2025-03-26": 2, "2025-06-18": 2, "2025-11-25": 3, "2026-07-28": 3}
}

// The suite's authorization-server mode, whole, at every revision. The suite prints an authorize address and waits to
// be called back; the person in the middle is ours.
func TestConformanceAuthorizationServer(t *testing.T) {
	d := openDoor(t)
	for revision, checks := range authorizationChecks() {
		t.Run(revision, func(t *testing.T) {
			port := freePort(t)
			callback := "http://127.0.0.1:" + port + "/callback"
			result := runSuite(t, callback, "authorization", "--url", d.URL, "--client-id", register(t, d, callback),
				"--resource", d.URL+"/weather/mcp", "--port", port, "--spec-version", revision)
			result.want(t, checks, "authorization-server-metadata-endpoint", "authorization-code-grant")
		})
	}
}

// suiteResult is what the suite found.
type suiteResult struct {
	passed, failed int
	scenarios      []string          // with a tick
	counts         map[string]string // of each scenario: "2 passed, 0 failed"
	output         string
}

// want asserts exact counts: some scenarios pass without having looked at anything.
func (r suiteResult) want(t *testing.T, passed int, scenarios ...string) {
	t.Helper()
	t.Logf("conformance: %d checks passed, %d failed; scenarios: %v", r.passed, r.failed, r.scenarios)
	if r.failed > 0 || r.passed != passed || !slices.Equal(r.scenarios, scenarios) {
		t.Errorf("wanted %d passed checks, none failed, scenarios %v:\n%s", passed, scenarios, r.output)
	}
}

// runSuite runs the official suite, and signs in as alice wherever it asks for a person.
func runSuite(t *testing.T, callback string, args ...string) suiteResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite := filepath.Join("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := exec.CommandContext(ctx, filepath.Join("node_modules", "node", "bin", "node"), append([]string{suite}, args...)...)
	cmd.Dir = "node"
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the conformance suite (run make prepare): %v", err)
	}
	go func() {
		err := cmd.Wait()
		_ = writer.CloseWithError(err)
	}()
	result := suiteResult{counts: map[string]string{}}
	var output strings.Builder
	address := regexp.MustCompile(`https?://\S+/authorize\?\S+`)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		line := lines.Text()
		output.WriteString(line + "\n")
		if found := address.FindString(line); found != "" {
			go comeBack(ctx, t, found, callback)
		}
		result.count(line)
	}
	result.output = output.String()
	return result
}

// count reads the suite's summary.
func (r *suiteResult) count(line string) {
	if m := regexp.MustCompile(`^Total: (\d+) passed, (\d+) failed`).FindStringSubmatch(line); m != nil {
		r.passed, _ = strconv.Atoi(m[1])
		r.failed, _ = strconv.Atoi(m[2])
	}
	if m := regexp.MustCompile(`^[✓✗] ([a-z0-9-]+): (\d+ passed, \d+ failed)`).FindStringSubmatch(line); m != nil {
		r.counts[m[1]] = m[2]
		if strings.HasPrefix(line, "✓") && !strings.HasPrefix(m[2], "0") {
			r.scenarios = append(r.scenarios, m[1])
		}
	}
}

// comeBack signs in and calls the suite back, as a browser would.
func comeBack(ctx context.Context, t *testing.T, authorize, callback string) {
	back, err := browser.New().SignIn(ctx, authorize, callback, "alice@contoso.example")
	if err != nil {
		t.Errorf("sign in for the suite: %v", err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, back.String(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// register makes a public client by dynamic registration.
func register(t *testing.T, d *door, callback string) string {
	t.Helper()
	body := fmt.Sprintf(`{"client_name":"conformance","redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, callback)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/register", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var client struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&client); err != nil || client.ID == "" {
		t.Fatalf("register: status %d, %v", resp.StatusCode, err)
	}
	return client.ID
}
