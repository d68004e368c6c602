package story

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// serverMode is what the suite's server mode finds in the go-sdk's own conformance server, directly and through
// Genkan. One process of it can't serve both revisions whole: sessions belong to one, their absence to the other.
type serverMode struct {
	revision       string
	stateless      string // the flag of the conformance server
	required       int    // scenarios that the revision requires; each must pass whole
	passed, failed int    // checks of all scenarios that ran
	unscored       map[string]string
}

func serverModes() []serverMode {
	return []serverMode{
		{
			revision: "2025-11-25", stateless: "false", required: 30, passed: 82, failed: 0,
			unscored: map[string]string{
				"server-session-lifecycle": "3 passed, 0 failed", "json-schema-2020-12": "8 passed, 0 failed", "server-sse-polling": "1 passed, 0 failed",
			},
		},
		{
			// The go-sdk has no tasks. What it answers to them, Genkan must answer too.
			revision: "2026-07-28", stateless: "true", required: 37, passed: 165, failed: 30,
			unscored: map[string]string{
				"tasks-lifecycle": "1 passed, 8 failed", "tasks-capability-negotiation": "1 passed, 4 failed", "tasks-wire-fields": "1 passed, 3 failed",
				"tasks-request-state-removal": "1 passed, 1 failed", "tasks-mrtr-input": "1 passed, 3 failed", "tasks-request-headers": "2 passed, 3 failed",
				"tasks-dispatch-and-envelope": "3 passed, 6 failed", "tasks-status-notifications": "0 passed, 0 failed",
				"tasks-required-task-error": "1 passed, 1 failed", "tasks-mrtr-composition": "1 passed, 1 failed",
				"json-schema-2020-12": "8 passed, 0 failed", "http-header-validation": "14 passed, 0 failed", "http-custom-header-server-validation": "10 passed, 0 failed",
			},
		},
	}
}

// The suite's server mode finds the same with Genkan in front of a server as without: scenario by scenario, check by
// check.
func TestConformanceServerIsTheSameThroughGenkan(t *testing.T) {
	everything := filepath.Join(t.TempDir(), "everything-server")
	build := exec.Command("go", "build", "-o", everything, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the go-sdk's conformance server: %v\n%s", err, out)
	}
	tenant := entratest.Start(t)
	for _, mode := range serverModes() {
		t.Run(mode.revision, func(t *testing.T) {
			upstream := startEverything(t, everything, mode)
			direct := runSuite(t, "", "server", "--url", upstream+"/mcp", "--requirements", mode.revision)
			direct.wantMode(t, mode)
			through := runSuite(t, "", "server", "--url", behindGenkan(t, tenant, upstream), "--requirements", mode.revision)
			through.wantMode(t, mode)
			if diff := cmp.Diff(direct.counts, through.counts); diff != "" {
				t.Errorf("directly (-) and through Genkan (+):\n%s\n%s", diff, through.output)
			}
		})
	}
}

// wantMode asserts exact counts, of every scenario.
func (r suiteResult) wantMode(t *testing.T, mode serverMode) {
	t.Helper()
	t.Logf("conformance server %s: %d scenarios, %d checks passed, %d failed", mode.revision, len(r.counts), r.passed, r.failed)
	if r.passed != mode.passed || r.failed != mode.failed {
		t.Errorf("wanted %d checks passed and %d failed, got %d and %d", mode.passed, mode.failed, r.passed, r.failed)
	}
	required := 0
	for name, count := range r.counts {
		if want, ok := mode.unscored[name]; ok {
			if count != want {
				t.Errorf("%s: wanted %s, got %s", name, want, count)
			}
			continue
		}
		required++
		if strings.HasPrefix(count, "0 passed") || !strings.HasSuffix(count, ", 0 failed") {
			t.Errorf("%s: wanted all to pass, got %s", name, count)
		}
	}
	if required != mode.required || len(r.counts) != mode.required+len(mode.unscored) {
		t.Errorf("wanted %d required scenarios and %d others, got %d of %d", mode.required, len(mode.unscored), required, len(r.counts))
	}
	if t.Failed() {
		t.Logf("the suite said:\n%s", r.output)
	}
}

// startEverything runs the go-sdk's conformance server.
func startEverything(t *testing.T, program string, mode serverMode) (address string) {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(program, "-http", "127.0.0.1:"+port, "-stateless="+mode.stateless)
	output := &transcript{ready: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	output.waitFor(t, "listening")
	address = "http://127.0.0.1:" + port
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get(address) //nolint:noctx // it is asked only whether anybody is there
		if err == nil {
			_ = resp.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("the conformance server does not answer: %v\n%s", err, output)
		}
	}
}

// behindGenkan puts Genkan in front of an upstream, and in front of Genkan a shim that adds the token of somebody
// who signed in: the suite can't send one. It returns the address for the suite. The shim is Genkan's public address,
// so that Host and Origin go through as the suite sends them.
func behindGenkan(t *testing.T, tenant *entratest.Tenant, upstream string) string {
	t.Helper()
	s := newServed(t, tenant.URL, upstream)
	var token atomic.Pointer[string] // set before the suite starts
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			if shown := token.Load(); shown != nil {
				r.Out.Header.Set("Authorization", "Bearer "+*shown)
			}
		},
		ErrorLog: log.New(io.Discard, "", 0), // the suite leaves streams open when it ends
	}
	shim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without it, Go's proxy cuts off answers that begin before it has seen the end of the request.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(shim.Close)
	public := strings.Replace(shim.URL, "127.0.0.1", "localhost", 1)
	s.text = strings.Replace(s.text, "public_url: "+s.url, "public_url: "+public, 1)
	s.write(t, `{allow: ["*"], prompts: ["*"], resources: ["*"], methods: ["*"], people: ["*"]}`)
	s.start(t)
	c := &goClient{server: public + "/weather/mcp"}
	if err := c.connect(t.Context(), browser.New(), "alice@contoso.example"); err != nil {
		t.Fatal(err)
	}
	fresh, err := c.source.Token()
	if err != nil {
		t.Fatal(err)
	}
	token.Store(&fresh.AccessToken)
	return public + "/weather/mcp"
}
