package entratest_test

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

// run runs a program in the folder msalnode.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = "msalnode"
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestMSALForNodeCompletesEveryGrant(t *testing.T) {
	if _, err := os.Stat("msalnode/node_modules/@azure/msal-node"); err != nil {
		run(t, nil, "npm", "ci", "--no-audit", "--no-fund")
	}
	ca, err := entratest.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate(time.Now(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	tenant, err := entratest.New(entratest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(tenant)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	out := run(t, []string{
		"NODE_EXTRA_CA_CERTS=" + trusted, "BASE=" + server.URL, "TENANT=" + entratest.TenantID,
		"CLIENT=" + entratest.GenkanID, "SECRET=" + entratest.GenkanSecret, "TOOLS=" + entratest.GenkanToolsID,
	}, "node", "main.mjs")
	if n := strings.Count(out, "ok "); n != 5 {
		t.Errorf("%d grants of 5 were completed:\n%s", n, out)
	}
}
