package oidc_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/idp/oidc"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	clientID     = "genkan"
	clientSecret = "a-secret-of-the-test-with-some-length"
	redirectURI  = "http://localhost:18080/callback"
	verifier     = "a-verifier-of-at-least-forty-three-characters-0123"
)

// thirdParty is oidc-provider of npm, running.
type thirdParty struct {
	t      *testing.T
	Issuer string
	in     io.Writer
	out    *bufio.Scanner
}

func startThirdParty(t *testing.T) *thirdParty {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node", "node_modules")); err != nil {
		t.Fatalf("the npm packages of internal/idp/oidc/node are missing (run make prepare): %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	cmd := exec.Command("node", "provider.mjs", port, clientID, clientSecret, redirectURI)
	cmd.Dir = "node"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	p := &thirdParty{t: t, Issuer: "http://localhost:" + port, in: in, out: bufio.NewScanner(out)}
	p.hear("ready")
	return p
}

func (p *thirdParty) hear(what string) {
	p.t.Helper()
	for p.out.Scan() {
		if p.out.Text() == what {
			return
		}
	}
	p.t.Fatalf("the provider ended before it said %q", what)
}

// do changes the provider's day.
func (p *thirdParty) do(command string) {
	p.t.Helper()
	_, _ = io.WriteString(p.in, command+"\n")
	word, _, _ := strings.Cut(command, " ")
	p.hear("done " + word)
}

func (p *thirdParty) provider(change func(*oidc.Config)) *oidc.Provider {
	p.t.Helper()
	c := oidc.Config{Issuer: p.Issuer, ClientID: clientID, Secret: secret.NewText(clientSecret), Roles: "realm_access.roles"}
	if change != nil {
		change(&c)
	}
	made, err := oidc.New(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

// visit follows redirects as a browser would, to the redirect URI.
func (p *thirdParty) visit(address string) url.Values {
	p.t.Helper()
	jar, _ := cookiejar.New(nil)
	var back *url.URL
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Get(address)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if back == nil {
		p.t.Fatalf("the provider's page %s answers %d and leads nowhere", resp.Request.URL.Path, resp.StatusCode)
	}
	return back.Query()
}

func (p *thirdParty) signIn(provider *oidc.Provider, who string) idp.SignIn {
	p.t.Helper()
	address, err := provider.AuthorizeURL(p.t.Context(), idp.Request{State: "s", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI, LoginHint: who, MaxAge: -1})
	if err != nil {
		p.t.Fatal(err)
	}
	q := p.visit(address)
	if q.Get("state") != "s" || q.Get("code") == "" {
		p.t.Fatalf("came back with %v", q)
	}
	in, err := provider.Redeem(p.t.Context(), idp.Callback{Code: q.Get("code"), Nonce: "n", Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		p.t.Fatal(err)
	}
	return in
}

func TestAPersonSignsInAndIsAskedAboutAgain(t *testing.T) {
	p := startThirdParty(t)
	provider := p.provider(nil)
	in := p.signIn(provider, "bob")
	want := policy.Identity{Tenant: p.Issuer, Object: "bob", Kind: policy.Person, Client: clientID,
		Roles: []string{"Weather.Read"}, Name: "bob", Username: "bob@example.com"}
	if diff := cmp.Diff(want, in.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}

	p.do("roles bob Weather.Read,Weather.Write")
	again, err := provider.Refresh(t.Context(), in.Upstream)
	if err != nil {
		t.Fatal(err)
	}
	want.Roles = []string{"Weather.Read", "Weather.Write"}
	if diff := cmp.Diff(want, again.Identity); diff != "" {
		t.Errorf("roles are not read anew (-want +got):\n%s", diff)
	}

	p.do("down")
	_, err = provider.Refresh(t.Context(), again.Upstream)
	wantProblem(t, err, idp.Unavailable)
	p.do("up")
	p.do("forget")
	_, err = provider.Refresh(t.Context(), again.Upstream)
	wantProblem(t, err, idp.Ended)
}

func TestACodeOfAnotherSignInIsRefused(t *testing.T) {
	p := startThirdParty(t)
	provider := p.provider(nil)
	for name, change := range map[string]func(*idp.Callback){
		"another nonce":     func(c *idp.Callback) { c.Nonce = "other" },
		"another verifier":  func(c *idp.Callback) { c.Verifier = strings.Repeat("x", 43) },
		"another redirect":  func(c *idp.Callback) { c.RedirectURI = "http://localhost:18080/other" },
		"an invented code":  func(c *idp.Callback) { c.Code = "invented" },
		"no code whatever":  func(c *idp.Callback) { c.Code = "" },
		"a nonce left out":  func(c *idp.Callback) { c.Nonce = "" },
		"a verifier absent": func(c *idp.Callback) { c.Verifier = "" },
	} {
		t.Run(name, func(t *testing.T) {
			address, err := provider.AuthorizeURL(t.Context(), idp.Request{State: "s", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI, MaxAge: -1})
			if err != nil {
				t.Fatal(err)
			}
			c := idp.Callback{Code: p.visit(address).Get("code"), Nonce: "n", Verifier: verifier, RedirectURI: redirectURI}
			change(&c)
			if _, err := provider.Redeem(t.Context(), c); err == nil {
				t.Error("it was accepted")
			} else if strings.Contains(err.Error(), clientSecret) {
				t.Error("the error holds the secret")
			}
		})
	}
}

func TestAWrongSecretIsOursToMendAndEndsNothing(t *testing.T) {
	p := startThirdParty(t)
	in := p.signIn(p.provider(nil), "alice")
	wrong := p.provider(func(c *oidc.Config) { c.Secret = secret.NewText("another-secret") })
	_, err := wrong.Refresh(t.Context(), in.Upstream)
	wantProblem(t, err, idp.Misuse)
}

func TestAProviderThatIsDownIsAskedAgainLater(t *testing.T) {
	provider, err := oidc.New(oidc.Config{Issuer: "http://127.0.0.1:1", ClientID: clientID, Secret: secret.NewText(clientSecret)})
	if err != nil {
		t.Fatalf("a provider that is down keeps Genkan from starting: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = provider.AuthorizeURL(ctx, idp.Request{})
	wantProblem(t, err, idp.Unavailable)
}

func wantProblem(t *testing.T, err error, want idp.Problem) {
	t.Helper()
	var problem *idp.Error
	if !errors.As(err, &problem) || problem.Problem != want {
		t.Errorf("got %v, want the problem %q", err, want)
	}
}
