package story

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// What an administrator does at a terminal, beside a Genkan that runs.
func TestAnAdministratorSeesAndEndsSessionsAndClients(t *testing.T) {
	tenant := entratest.Start(t)
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	s := newServed(t, tenant.URL, weather.URL)
	s.write(t, `{allow: ["*"], roles: [Weather.Read]}`)
	s.start(t)
	alice, bob := &goClient{server: s.url + "/weather/mcp"}, &goClient{server: s.url + "/weather/mcp"}
	for who, c := range map[string]*goClient{"alice@contoso.example": alice, "bob@contoso.example": bob} {
		if err := c.connect(t.Context(), browser.New(), who); err != nil {
			t.Fatal(err)
		}
	}

	list := s.genkan(t, "", "sessions", "list")
	if strings.Count(list, "@contoso.example") != 2 {
		t.Fatalf("sessions:\n%s", list)
	}
	of := s.genkan(t, "", "sessions", "list", "--person", "bob@contoso.example")
	session := regexp.MustCompile(`(?m)^(\S+)\s+bob@contoso\.example`).FindStringSubmatch(of)
	if session == nil || strings.Contains(of, "alice") {
		t.Fatalf("bob's sessions:\n%s", of)
	}
	shown := s.genkan(t, "", "sessions", "show", session[1])
	for _, want := range []string{"bob@contoso.example", "Weather.Read", s.url + "/weather/mcp", "story on go-sdk"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the session does not show %s:\n%s", want, shown)
		}
	}
	s.genkan(t, "", "sessions", "end", session[1])
	bob.source.spoil() // so that it refreshes now
	if _, err := bob.list(t.Context()); err == nil {
		t.Error("bob's session was ended, and still refreshes")
	}
	if _, err := alice.list(t.Context()); err != nil {
		t.Errorf("alice's session was not ended, but: %v", err)
	}

	why := s.genkan(t, "", "policy", "why", "--as", "alice@contoso.example", "--tool", "get_forecast")
	if !strings.Contains(why, "allowed by") {
		t.Errorf("why: %s", why)
	}
	client := regexp.MustCompile(`gkd_\S+`).FindString(s.genkan(t, "", "clients", "list"))
	if client == "" {
		t.Fatal("no client is listed")
	}
	s.genkan(t, "", "clients", "remove", client)

	log := filepath.Join(filepath.Dir(s.file), "data", "audit.jsonl")
	if said := genkan(t, "audit", "verify", log); !strings.Contains(said, "none changed; the chain is whole") {
		t.Errorf("audit verify: %s", said)
	}
	changed := filepath.Join(t.TempDir(), "changed.jsonl")
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, []byte(strings.Replace(string(content), `"decision":"allowed"`, `"decision":"refused"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "audit", "verify", changed).CombinedOutput(); err == nil {
		t.Errorf("a changed log verifies: %s", out)
	}
}

func TestTokenExplainSaysWhichChecksATokenPasses(t *testing.T) {
	tenant := entratest.Start(t)
	s := newServed(t, tenant.URL, "http://127.0.0.1:1")
	s.write(t, `{allow: ["*"]}`)
	good, err := tenant.AccessToken("alice", entratest.GenkanID, entratest.GenkanID, "access_as_user")
	if err != nil {
		t.Fatal(err)
	}
	if said := s.genkan(t, good, "token", "explain"); strings.Contains(said, "refused") || strings.Count(said, "passed") < 8 {
		t.Errorf("a good token:\n%s", said)
	}
	other, err := tenant.AccessToken("alice", entratest.GenkanID, entratest.GraphID, "User.Read")
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.command(other, "token", "explain").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "audience") || strings.Contains(string(out), other[:40]) {
		t.Errorf("a token for Graph: %v\n%s", err, out)
	}
}

// command is a genkan with the configuration file of s.
func (s *served) command(stdin string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, append(args, "--config", s.file)...)
	cmd.Env = append(os.Environ(), "GENKAN_STORY_SECRET="+entratest.GenkanSecret)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// genkan runs a command with the configuration file, which must succeed.
func (s *served) genkan(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.command(stdin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("genkan %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// genkan runs a command that takes no configuration.
func genkan(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("genkan %v: %v\n%s", args, err, out)
	}
	return string(out)
}
