package oauth_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

func TestRegistrationTakesTheRedirectsThatClientsUse(t *testing.T) {
	for raw, want := range map[string]oauth.Redirect{
		"https://claude.ai/api/mcp/auth_callback": {Kind: oauth.WebRedirect, Host: "claude.ai"},
		"https://vscode.dev/redirect?x=1":         {Kind: oauth.WebRedirect, Host: "vscode.dev"},
		"https://Example.COM:443/cb":              {Kind: oauth.WebRedirect, Host: "example.com"},
		"https://example.com:8443/cb":             {Kind: oauth.WebRedirect, Host: "example.com:8443"},
		"https://[2001:db8::1]/cb":                {Kind: oauth.WebRedirect, Host: "[2001:db8::1]"},
		"http://127.0.0.1:33418":                  {Kind: oauth.LoopbackRedirect, Host: "127.0.0.1"},
		"http://localhost/callback":               {Kind: oauth.LoopbackRedirect, Host: "localhost"},
		"http://[::1]:9/cb":                       {Kind: oauth.LoopbackRedirect, Host: "[::1]"},
		"com.example.app:/oauth":                  {Kind: oauth.AppRedirect, Host: "com.example.app"},
		"cursor://anysphere.cursor-mcp/oauth/cb":  {Kind: oauth.AppRedirect, Host: "cursor"},
	} {
		want.URI = raw
		got, err := oauth.ParseRedirect(raw, "cursor")
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", raw, diff)
		}
	}
}

func TestThreat16_HostileRedirectsAreNotRegistered(t *testing.T) {
	for _, raw := range []string{
		"", "https://", "https:///cb", "https:cb", "https:/cb", "//example.com/cb", "/cb", "cb",
		"javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x",
		"file:///etc/passwd", "blob:https://example.com/1", "about:blank", "view-source:https://example.com",
		"HTTPS://example.com/cb", "Http://localhost/cb", "http://example.com/cb", "http://localhost.evil.example/cb",
		"http://127.0.0.1.evil.example/cb", "http://127.0.0.1@evil.example/cb", "http://127.1/cb", "http://2130706433/cb",
		"http://0.0.0.0/cb", "http://LOCALHOST/cb", "http://localhost:0/cb", "http://localhost:99999/cb", "http://localhost:/cb",
		"https://example.com/cb#frag", "https://example.com/cb#", "https://user@example.com/cb", "https://user:pw@example.com/cb",
		"https://*.example.com/cb", "https://example.com/*", "https://example.com\\@evil.example/cb", "https://example.com/\x00",
		"https://exa mple.com/cb", "https://example..com/cb", "https://ex%41mple.com/cb", "https://example.com:/cb", "https://example.com:80a/cb",
		"https://\u0435xample.com/cb", "com.example.app:cb", "com.example.app", "cursor:oauth", "windsurf://x/cb", "ws://localhost/",
		"https://example.com/" + strings.Repeat("a", 3000),
	} {
		if got, err := oauth.ParseRedirect(raw, "cursor"); err == nil {
			t.Errorf("%q was taken as %+v", raw, got)
		}
	}
}

func TestThreat18_RedirectsMatchExactlyButForTheLoopbackPort(t *testing.T) {
	cases := []struct {
		registered, requested string
		want                  bool
	}{
		{"https://app.example/cb", "https://app.example/cb", true},
		{"https://app.example/cb", "https://app.example/cb/", false},
		{"https://app.example/cb", "https://app.example/cb?x=1", false},
		{"https://app.example/cb", "https://app.example/c%62", false},
		{"https://app.example/cb", "https://APP.example/cb", false},
		{"https://app.example/cb", "https://app.example/CB", false},
		{"https://app.example/cb", "https://app.example:443/cb", false},
		{"https://app.example/cb", "https://app.example:8443/cb", false},
		{"https://app.example/cb", "https://app.example.evil.example/cb", false},
		{"https://app.example/cb", "https://evil.example/https://app.example/cb", false},
		{"https://app.example/cb", "https://app.example@evil.example/cb", false},
		{"https://app.example/cb", "https://app.example\\@evil.example/cb", false},
		{"https://app.example/cb", "https://app.example/../cb", false},
		{"https://app.example/cb", "https://app.example/cb#x", false},
		{"https://app.example/cb", "http://app.example/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb", true},
		{"http://127.0.0.1:4000/cb", "http://127.0.0.1:51234/cb", true},
		{"http://127.0.0.1:4000/cb", "http://127.0.0.1/cb", true},
		{"http://[::1]:4000/cb?a=1", "http://[::1]:1/cb?a=1", true},
		{"http://localhost:4000", "http://localhost:1", true},
		{"http://localhost:4000", "http://localhost:1/", false},
		{"http://localhost:4000/cb", "http://127.0.0.1:4000/cb", false},
		{"http://localhost:4000/cb", "https://localhost:4000/cb", false},
		{"http://localhost:4000/cb", "http://localhost:4000/other", false},
		{"http://localhost:4000/cb", "http://localhost:4000/cb?x=1", false},
		{"http://localhost:4000/cb", "http://localhost:4000@evil.example/cb", false},
		{"http://localhost:4000/cb", "http://localhost:4000.evil.example/cb", false},
		{"http://localhost:4000/cb", "http://localhost:004000/cb", false},
		{"http://localhost:4000/cb", "http://localhost:+4000/cb", false},
		{"http://localhost:4000/cb", "http://localhost:/cb", false},
		{"http://localhost:4000/cb", "http://localhost:70000/cb", false},
		{"http://localhost:4000/cb", "http://Localhost:4000/cb", false},
		{"http://localhost:4000/cb", "http://evil.localhost:4000/cb", false},
		{"com.example.app:/cb", "com.example.app:/cb", true},
		{"com.example.app:/cb", "com.example.app:/cb2", false},
	}
	for _, c := range cases {
		redirect, err := oauth.ParseRedirect(c.registered)
		if err != nil {
			t.Fatalf("%s: %v", c.registered, err)
		}
		if got := redirect.Allows(c.requested); got != c.want {
			t.Errorf("registered %s, requested %s: got %t", c.registered, c.requested, got)
		}
	}
}

// Whatever is allowed leads to the registered host by the reading of a URL parser, too.
func FuzzRedirectNeverLeavesItsHost(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://app.example/cb", "https://app.example/cb"},
		{"http://127.0.0.1:4000/cb", "http://127.0.0.1:1/cb"},
		{"http://[::1]/cb?x", "http://[::1]:80/cb?x"},
		{"http://localhost/cb", "http://localhost:80@evil.example/cb"},
		{"com.example.app:/cb", "com.example.app:/cb"},
		{"https://app.example/cb", "https://app.example\\@evil.example/cb"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, requested string) {
		redirect, err := oauth.ParseRedirect(registered, "cursor")
		if err != nil || !redirect.Allows(requested) {
			return
		}
		want, err := url.Parse(registered)
		if err != nil {
			t.Fatalf("registered %q does not parse: %v", registered, err)
		}
		got, err := url.Parse(requested)
		if err != nil {
			t.Fatalf("allowed %q does not parse: %v", requested, err)
		}
		if want.Scheme != got.Scheme || want.Hostname() != got.Hostname() || want.EscapedPath() != got.EscapedPath() || want.RawQuery != got.RawQuery || got.User != nil || got.Fragment != "" {
			t.Errorf("registered %q allowed %q", registered, requested)
		}
		if redirect.Kind != oauth.LoopbackRedirect && registered != requested {
			t.Errorf("registered %q allowed %q", registered, requested)
		}
	})
}
