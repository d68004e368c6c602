package story

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/story/browser"
	"github.com/genkan-mcp/genkan/internal/story/desktop"
)

// desk is a person's own machine: a home folder, and a browser that the person uses.
type desk struct {
	home  string
	env   []string
	args  []string // of genkan connect
	pages atomic.Int32
	log   transcript
}

// newDesk gives somebody a machine. Its key store is that of the session, if there is one.
func newDesk(t *testing.T, person string, session *desktop.Session) *desk {
	t.Helper()
	b := browser.New()
	return deskWith(t, session, func(ctx context.Context, address string) error {
		back, err := b.SignIn(ctx, address, "http://127.0.0.1:", person)
		if err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
		resp, err := http.Get(back.String())
		if err != nil {
			return fmt.Errorf("come back: %w", err)
		}
		return resp.Body.Close()
	})
}

// deskWith is a machine whose browser does what walk does.
func deskWith(t *testing.T, session *desktop.Session, walk func(ctx context.Context, address string) error) *desk {
	t.Helper()
	d := &desk{home: t.TempDir()}
	d.log.ready = make(chan struct{})
	var one sync.Mutex
	walker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		d.pages.Add(1)
		if err := walk(r.Context(), r.URL.Query().Get("address")); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(walker.Close)
	adapter := filepath.Join(d.home, "adapter")
	if out, err := exec.Command("go", "build", "-o", adapter, "../bridge/testdata/adapter").CombinedOutput(); err != nil {
		t.Fatalf("build the browser: %v\n%s", err, out)
	}
	script := filepath.Join(d.home, "browser")
	text := fmt.Sprintf("#!/bin/sh\nexec %q browse %q \"$1\"\n", adapter, walker.URL+"/?address=")
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "HOME="+d.home, "XDG_CONFIG_HOME="+filepath.Join(d.home, "config"), "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere")
	d.args = []string{"--insecure-file-store"}
	if session != nil {
		d.env, d.args = append(d.env, session.Env...), nil
	}
	d.env = append(d.env, "BROWSER="+script)
	return d
}

// command is what an MCP client starts.
func (d *desk) command(server string) *exec.Cmd {
	cmd := exec.Command(binary, append([]string{"connect", server}, d.args...)...)
	cmd.Env, cmd.Stderr = d.env, &d.log
	return cmd
}

// use is a whole run of a client on the official Go SDK: connect, list, call.
func (d *desk) use(ctx context.Context, cmd *exec.Cmd) (tools []string, text string, end func() error, err error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "story over stdio", Version: "1"}, nil)
	s, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		return nil, "", nil, err
	}
	list, err := s.ListTools(ctx, nil)
	if err != nil {
		return nil, "", s.Close, err
	}
	for _, tool := range list.Tools {
		tools = append(tools, tool.Name)
	}
	slices.Sort(tools)
	answer, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "get_forecast", Arguments: map[string]any{"city": "Kyoto", "days": 2}})
	if err != nil {
		return nil, "", s.Close, err
	}
	content, _ := answer.Content[0].(*mcp.TextContent)
	return tools, content.Text, s.Close, nil
}

func (d *desk) wantUsed(t *testing.T, tools []string, text string, err error) {
	t.Helper()
	if err != nil || !strings.Contains(text, "Kyoto") {
		t.Fatalf("the call said %q, %v\n%s", text, err, &d.log)
	}
	if diff := cmp.Diff([]string{"get_forecast", "list_cities", "set_alert"}, tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}

func (d *desk) wantPages(t *testing.T, want int32) {
	t.Helper()
	if got := d.pages.Load(); got != want {
		t.Errorf("%d sign-in pages were opened, want %d\n%s", got, want, &d.log)
	}
	if strings.Contains(d.log.String(), "gka_") || strings.Contains(d.log.String(), "gkr_") {
		t.Errorf("a token is in the log:\n%s", &d.log)
	}
}

func TestStdioClientsGoThroughTheBridge(t *testing.T) {
	d := openDoor(t)
	server := d.URL + "/weather/mcp"
	t.Run("go-sdk, killed in the middle", func(t *testing.T) {
		alice := newDesk(t, "alice@contoso.example", nil)
		cmd := alice.command(server)
		tools, text, _, err := alice.use(t.Context(), cmd)
		alice.wantUsed(t, tools, text, err)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		tools, text, end, err := alice.use(t.Context(), alice.command(server))
		alice.wantUsed(t, tools, text, err)
		_ = end()
		alice.wantPages(t, 1)
	})
	for _, line := range []string{"sdk", "client"} {
		t.Run("TypeScript, "+line, func(t *testing.T) {
			alice := newDesk(t, "alice@contoso.example", nil)
			for range 2 { // the second run is silent
				started := alice.command(server)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				node := exec.CommandContext(ctx, "node", append([]string{"stdio.mjs", line}, started.Args...)...)
				node.Dir, node.Env, node.Stderr = "node", alice.env, &alice.log
				out, err := node.Output()
				cancel()
				var answer struct {
					Tools []string
					Text  string
				}
				if err == nil {
					err = json.Unmarshal(out, &answer)
				}
				alice.wantUsed(t, answer.Tools, answer.Text, err)
			}
			alice.wantPages(t, 1)
		})
	}
}

func TestFiveBridgesOpenOneSignInPage(t *testing.T) {
	d := openDoor(t)
	alice := newDesk(t, "alice@contoso.example", nil)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			tools, text, end, err := alice.use(t.Context(), alice.command(d.URL+"/weather/mcp"))
			if err != nil || !strings.Contains(text, "Kyoto") || len(tools) != 3 {
				t.Errorf("a bridge said %q, %v", text, err)
			}
			if end != nil {
				_ = end()
			}
		})
	}
	all.Wait()
	alice.wantPages(t, 1)
}

// In a session with a Secret Service, tokens are found there and nowhere on the disk.
func TestTokensOfTheBridgeLieInTheKeyStore(t *testing.T) {
	d := openDoor(t)
	session := desktop.Start(t)
	alice := newDesk(t, "alice@contoso.example", session)
	for range 2 {
		tools, text, end, err := alice.use(t.Context(), alice.command(d.URL+"/weather/mcp"))
		alice.wantUsed(t, tools, text, err)
		_ = end()
	}
	alice.wantPages(t, 1)
	status := exec.Command(binary, "connect", "--status")
	status.Env = alice.env
	out, err := status.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("in the key store of your system")) || !bytes.Contains(out, []byte("renews itself")) {
		t.Errorf("status: %v\n%s", err, out)
	}
	for _, root := range []string{alice.home, session.Home} {
		wantNoTokenBelow(t, root)
	}
	signOut := exec.Command(binary, "connect", "--sign-out")
	signOut.Env = alice.env
	if out, err := signOut.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Signed out of")) {
		t.Errorf("sign out: %v\n%s", err, out)
	}
}

// Without a key store the kernel's keyring holds the key; without that, the bridge says so and signs nobody in.
func TestWithoutAKeyStoreTheBridgeSaysWhatItDoes(t *testing.T) {
	d := openDoor(t)
	alice := newDesk(t, "alice@contoso.example", nil)
	alice.args = nil
	_, text, end, err := alice.use(t.Context(), alice.command(d.URL+"/weather/mcp"))
	if err != nil {
		if !strings.Contains(err.Error(), "no safe place for tokens") || !strings.Contains(err.Error(), "--insecure-file-store") {
			t.Errorf("it does not say what to do: %v", err)
		}
		alice.wantPages(t, 0)
		return
	}
	_ = end()
	status := exec.Command(binary, "connect", "--status")
	status.Env = alice.env
	out, statusErr := status.CombinedOutput()
	if statusErr != nil || !bytes.Contains(out, []byte("with their key in the kernel's keyring")) || !strings.Contains(text, "Kyoto") {
		t.Errorf("status: %v\n%s", statusErr, out)
	}
	wantNoTokenBelow(t, alice.home)
}

// wantNoTokenBelow looks into every file.
func wantNoTokenBelow(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Base(path) == "adapter" {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("gka_")) || bytes.Contains(content, []byte("gkr_")) {
			t.Errorf("%s holds a token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
