package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entratest"
)

// TestMain lets the test's own binary be the server, and the browser of the desktop.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		main()
	case len(os.Args) == 4 && os.Args[1] == "browse":
		fmt.Println("what a browser prints")
		if _, err := http.Get(os.Args[2] + url.QueryEscape(os.Args[3])); err != nil {
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// desktop is a machine with a browser, whose person walks through Entra's pages.
type desktop struct {
	tenant *entratest.Tenant
	visits atomic.Int32
	home   string
	stderr bytes.Buffer
}

func newDesktop(t *testing.T, who string) *desktop {
	t.Helper()
	d := &desktop{tenant: entratest.Start(t), home: t.TempDir()}
	browser := d.tenant.Browser(who)
	walker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d.visits.Add(1)
		if answer, err := browser.Visit(r.URL.Query().Get("address")); err == nil {
			if resp, err := http.PostForm(answer.RedirectURI, answer.Params); err == nil {
				_ = resp.Body.Close()
			}
		}
	}))
	t.Cleanup(walker.Close)
	script := fmt.Sprintf("#!/bin/sh\nexec %q browse %q \"$1\"\n", os.Args[0], walker.URL+"/?address=")
	if err := os.WriteFile(filepath.Join(d.home, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// client starts the server as an MCP client does.
func (d *desktop) client(t *testing.T) *mcp.ClientSession {
	t.Helper()
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(os.Environ(), "PATH="+d.home+":"+os.Getenv("PATH"), "HOME="+d.home, "XDG_CONFIG_HOME="+d.home, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere",
		"ALLOW_INSECURE_FILE_STORE=yes", "ENTRA_AUTHORITY="+d.tenant.URL, "ENTRA_TENANT="+entratest.TenantID, "ENTRA_CLIENT_ID="+entratest.GenkanToolsID)
	cmd.Stderr = &d.stderr
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func details(t *testing.T, s *mcp.ClientSession) (text string, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "get_user_details", Arguments: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	content, _ := result.Content[0].(*mcp.TextContent)
	return content.Text, result.IsError
}

// wantAlice wants the answer of Graph.
func wantAlice(t *testing.T, text string, failed bool) {
	t.Helper()
	var me struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(text), &me); err != nil || failed {
		t.Fatalf("got %q, failed %v", text, failed)
	}
	if diff := cmp.Diff(entratest.AliceID, me.ID); diff != "" {
		t.Error(diff)
	}
}

func TestTheFirstCallSignsInAndTheRestIsSilent(t *testing.T) {
	d := newDesktop(t, "alice")
	for range 2 { // two runs of the server
		s := d.client(t)
		for range 2 {
			text, failed := details(t, s)
			wantAlice(t, text, failed)
		}
		_ = s.Close()
	}
	if got := d.visits.Load(); got != 1 {
		t.Errorf("%d sign-ins, want 1", got)
	}
	if log := d.stderr.String(); !strings.Contains(log, "the sign-in is kept in") || strings.Contains(log, "eyJ") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestThrottlingIsWaitedFor(t *testing.T) {
	d := newDesktop(t, "alice")
	s := d.client(t)
	d.tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: time.Second})
	text, failed := details(t, s)
	wantAlice(t, text, failed)
	if got := len(d.tenant.Calls("/me")); got != 2 {
		t.Errorf("%d calls of Graph, want 2", got)
	}
}

func TestLongThrottlingIsTold(t *testing.T) {
	d := newDesktop(t, "alice")
	s := d.client(t)
	d.tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: time.Hour})
	text, failed := details(t, s)
	if want := "Error: too many requests to Microsoft Graph: try again in 3600 seconds"; !failed || text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestWhatEntraRefusesIsTold(t *testing.T) {
	d := newDesktop(t, "alice")
	s := d.client(t)
	d.tenant.FailNext(entratest.Fault{Path: "/token", Code: 65001})
	text, failed := details(t, s)
	if !failed || !strings.HasPrefix(text, "Error: ") || !strings.Contains(text, "AADSTS65001") {
		t.Errorf("got %q", text)
	}
	text, failed = details(t, s) // and the next call asks again
	wantAlice(t, text, failed)
}

func TestItIsShort(t *testing.T) {
	source, err := os.Open("main.go")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	text, err := io.ReadAll(source)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines >= 120 {
		t.Errorf("main.go has %d lines, want less than 120", lines)
	}
}
