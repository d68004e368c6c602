package bridge_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

func (m *machine) status(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := bridge.Status(t.Context(), bridge.StatusOptions{Place: bridge.Place{Dir: m.dir, InsecureFile: true}, Out: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (m *machine) signOut(t *testing.T, server string) string {
	t.Helper()
	var out bytes.Buffer
	if err := bridge.SignOut(t.Context(), bridge.SignOutOptions{Server: server, Place: bridge.Place{Dir: m.dir, InsecureFile: true}, Out: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestStatusSaysWhereSomebodyIsSignedInAndShowsNoToken(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	if diff := cmp.Diff("You are signed in nowhere.\n", m.status(t)); diff != "" {
		t.Error(diff)
	}
	m.session(t, p.URL+"/mcp", nil)
	got := m.status(t)
	for _, word := range []string{p.URL + "/mcp", "client-1", "good for 1h0m0s, renews itself", "mcp offline_access", "Tokens are kept in"} {
		if !strings.Contains(got, word) {
			t.Errorf("%q is not in:\n%s", word, got)
		}
	}
	for _, secret := range p.allSecrets() {
		if strings.Contains(got, secret) {
			t.Errorf("%s is in:\n%s", secret, got)
		}
	}
}

func TestSignOutTellsTheServerAndForgets(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	_ = s.Close()
	if diff := cmp.Diff("You are not signed in there.\n", m.signOut(t, "https://other.example/mcp")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("Signed out of "+p.URL+"/mcp\n", m.signOut(t, "")); diff != "" {
		t.Error(diff)
	}
	if len(p.revoked) != 1 || p.refresh[p.revoked[0]].client == "" {
		t.Errorf("the server was told about %d tokens", len(p.revoked))
	}
	if diff := cmp.Diff("You are signed in nowhere.\n", m.status(t)); diff != "" {
		t.Error(diff)
	}
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	p.want(t, 2, 2, 0)
}

func TestSignOutForgetsEvenIfNobodyCanBeTold(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	_ = s.Close()
	p.set(func() { p.down = 500 })
	if got := m.signOut(t, p.URL+"/mcp"); !strings.Contains(got, "could not be told") {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff("You are signed in nowhere.\n", m.status(t)); diff != "" {
		t.Error(diff)
	}
}
