package entra_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

// memoryCache is a Cache for one test, or for two runs of a program in it.
type memoryCache struct {
	mu      sync.Mutex
	content []byte
	failure error
}

func (c *memoryCache) Load(context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.content, c.failure
}

func (c *memoryCache) Save(_ context.Context, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content = content
	return c.failure
}

// newTerminal is a program on the desk of somebody; its browser is theirs.
func newTerminal(t *testing.T, tenant *entratest.Tenant, who string, change func(*entra.TerminalConfig)) *entra.Terminal {
	t.Helper()
	config := entra.TerminalConfig{
		Cloud: devCloud(t, tenant), Tenant: entratest.TenantID, ClientID: entratest.GenkanToolsID,
		Scopes: []string{entratest.GenkanURI + "/" + entratest.GenkanScope}, Cache: &memoryCache{}, OpenBrowser: browserOf(t, tenant, who),
	}
	if change != nil {
		change(&config)
	}
	terminal, err := entra.NewTerminal(config)
	if err != nil {
		t.Fatal(err)
	}
	return terminal
}

// browserOf walks through the pages and posts the outcome to the program, as a browser does for form_post.
func browserOf(t *testing.T, tenant *entratest.Tenant, who string) func(string) error {
	browser := tenant.Browser(who)
	return func(address string) error {
		if !strings.HasPrefix(address, tenant.URL+"/") {
			t.Errorf("the browser was sent to %s", address)
		}
		go func() {
			answer, err := browser.Visit(address)
			if err != nil {
				t.Errorf("visit: %v", err)
				return
			}
			request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, answer.RedirectURI, strings.NewReader(answer.Params.Encode()))
			if err != nil {
				t.Errorf("come back: %v", err)
				return
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if response, err := http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
			}
		}()
		return nil
	}
}

func noBrowser(string) error { return errors.New("no display") }

func TestATerminalAsksOnceAndThenNoMore(t *testing.T) {
	tenant := entratest.Start(t)
	kept := &memoryCache{}
	terminal := newTerminal(t, tenant, "alice", func(c *entra.TerminalConfig) { c.Cache = kept })
	first, err := terminal.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if claims := claimsOf(t, first); claims["oid"] != entratest.AliceID || claims["scp"] != entratest.GenkanScope {
		t.Errorf("want a token of alice, got %v", claims)
	}
	// Another run of the program, on a machine without a browser.
	second, err := newTerminal(t, tenant, "alice", func(c *entra.TerminalConfig) { c.Cache, c.OpenBrowser = kept, noBrowser }).Token(t.Context())
	if err != nil || second.Reveal() != first.Reveal() {
		t.Errorf("second run: want the kept token without a question, got %v", err)
	}
	if err := terminal.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = newTerminal(t, tenant, "alice", func(c *entra.TerminalConfig) { c.Cache, c.OpenBrowser = kept, noBrowser }).Token(t.Context())
	wantError(t, err, 0, entra.Misuse)
}

// The sample that everybody copies gives up when the silent attempt fails.
func TestWhenTheSilentAttemptFailsThePersonIsAsked(t *testing.T) {
	tenant := entratest.Start(t)
	kept := &memoryCache{}
	with := func(c *entra.TerminalConfig) { c.Cache = kept }
	if _, err := newTerminal(t, tenant, "alice", with).Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	tenant.SignOut("alice")
	dropAccessTokens(t, kept)
	token, err := newTerminal(t, tenant, "alice", with).Token(t.Context())
	if err != nil || grants(tenant, "refresh_token") != 1 || grants(tenant, "authorization_code") != 2 {
		t.Errorf("want a new sign-in after the refused refresh, got %v, %v", token, err)
	}
	// But while Entra is down, nobody is asked in vain.
	dropAccessTokens(t, kept)
	tenant.FailNext(entratest.Fault{Path: "/token", Status: 503})
	_, err = newTerminal(t, tenant, "alice", with).Token(t.Context())
	wantError(t, err, 90033, entra.Unavailable)
	if got := grants(tenant, "authorization_code"); got != 2 {
		t.Errorf("sign-ins: want 2, got %d", got)
	}
}

// dropAccessTokens is the passing of an hour.
func dropAccessTokens(t *testing.T, kept *memoryCache) {
	t.Helper()
	kept.content = []byte(strings.Replace(string(kept.content), `"AccessToken"`, `"Old"`, 1))
}

func TestWithoutABrowserACodeIsShown(t *testing.T) {
	tenant := entratest.Start(t)
	var shown entra.DeviceCode
	terminal := newTerminal(t, tenant, "", func(c *entra.TerminalConfig) {
		c.OpenBrowser = noBrowser
		c.ShowCode = func(code entra.DeviceCode) {
			shown = code
			if err := tenant.Browser("bob").EnterCode(code.Code); err != nil {
				t.Errorf("enter the code: %v", err)
			}
		}
	})
	token, err := terminal.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if claimsOf(t, token)["oid"] != entratest.BobID {
		t.Error("want a token of bob")
	}
	u, err := url.Parse(shown.Address)
	if err != nil || u.Host == "" || shown.Code == "" || !strings.Contains(shown.Message, shown.Code) || time.Until(shown.Expires) < time.Minute {
		t.Errorf("want code, address and message, got %+v", shown)
	}
}

func TestWhatGoesWrongWithACodeIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  entratest.Fault
		code   int
		reason entra.Reason
	}{
		{"declined", entratest.Fault{Path: "/token", Code: 70017}, 70017, entra.Denied},
		{"not in time", entratest.Fault{Path: "/token", Code: 70020}, 70020, entra.Ended},
		{"no code given out", entratest.Fault{Path: "/devicecode", Status: 503}, 90033, entra.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			tenant := entratest.Start(t)
			terminal := newTerminal(t, tenant, "", func(config *entra.TerminalConfig) {
				config.OpenBrowser, config.ShowCode = noBrowser, func(entra.DeviceCode) {}
			})
			tenant.FailNext(c.fault)
			_, err := terminal.Token(t.Context())
			wantError(t, err, c.code, c.reason)
		})
	}
}

func TestWhatTheBrowserBringsBackIsSorted(t *testing.T) {
	tenant := entratest.Start(t)
	answer := func(params url.Values) func(string) error {
		return func(address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return err
			}
			params.Set("state", u.Query().Get("state"))
			go func() {
				response, err := http.PostForm(u.Query().Get("redirect_uri"), params)
				if err == nil {
					_ = response.Body.Close()
				}
			}()
			return nil
		}
	}
	terminal := newTerminal(t, tenant, "", func(c *entra.TerminalConfig) {
		c.OpenBrowser = answer(url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: User declined to consent to access the app."}})
	})
	_, err := terminal.Token(t.Context())
	wantError(t, err, 65004, entra.Denied)
	terminal = newTerminal(t, tenant, "", func(c *entra.TerminalConfig) { c.OpenBrowser = answer(url.Values{"code": {"forged"}}) })
	_, err = terminal.Token(t.Context())
	wantError(t, err, 70000, entra.Ended)
}

func TestATerminalStopsWaitingWhenItsContextEnds(t *testing.T) {
	tenant := entratest.Start(t)
	terminal := newTerminal(t, tenant, "", func(c *entra.TerminalConfig) { c.OpenBrowser = func(string) error { return nil } })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := terminal.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want the deadline, got %v", err)
	}
}

func TestOfSeveralPeopleTheHintChooses(t *testing.T) {
	tenant := entratest.Start(t)
	kept := &memoryCache{}
	for _, who := range []string{"alice", "bob"} {
		terminal := newTerminal(t, tenant, who, func(c *entra.TerminalConfig) {
			c.Cache, c.LoginHint = kept, who+"@contoso.example"
		})
		if _, err := terminal.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for who, id := range map[string]string{"alice": entratest.AliceID, "bob": entratest.BobID} {
		terminal := newTerminal(t, tenant, "", func(c *entra.TerminalConfig) {
			c.Cache, c.LoginHint, c.OpenBrowser = kept, strings.ToUpper(who)+"@contoso.example", noBrowser
		})
		token, err := terminal.Token(t.Context())
		if err != nil || claimsOf(t, token)["oid"] != id {
			t.Errorf("%s: got another, %v", who, err)
		}
	}
	// Without a hint nobody guesses.
	_, err := newTerminal(t, tenant, "", func(c *entra.TerminalConfig) { c.Cache, c.OpenBrowser = kept, noBrowser }).Token(t.Context())
	wantError(t, err, 0, entra.Misuse)
}

func TestACacheThatFailsIsReported(t *testing.T) {
	tenant := entratest.Start(t)
	locked := errors.New("the key store is locked")
	terminal := newTerminal(t, tenant, "alice", func(c *entra.TerminalConfig) { c.Cache = &memoryCache{failure: locked} })
	if _, err := terminal.Token(t.Context()); !errors.Is(err, locked) {
		t.Errorf("want the key store's error, got %v", err)
	}
	if err := terminal.SignOut(t.Context()); !errors.Is(err, locked) {
		t.Errorf("sign out: want the key store's error, got %v", err)
	}
}

func TestNewTerminalReportsEveryMistake(t *testing.T) {
	_, err := entra.NewTerminal(entra.TerminalConfig{Tenant: "contoso", ClientID: "genkan", Scopes: []string{"User.Read"}})
	if err == nil {
		t.Fatal("want mistakes, got none")
	}
	for _, word := range []string{"tenant:", "client ID:", "scopes:"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("want a mistake about %s in %q", word, err)
		}
	}
}
