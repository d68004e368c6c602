package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
)

// alice signs in, walks the three phases, calls a tool, talks, and signs out here and at Entra.
func TestAliceWalksThePhasesCallsAToolAndTalks(t *testing.T) {
	h := openHouse(t, options{})
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/tokens")
	if n := eval[int](c, `document.querySelectorAll('.phase.lit').length`); n != 1 {
		t.Errorf("%d phases are lit at the start", n)
	}
	c.click(`form[action="/console/tokens/open"] button`)
	c.see(".phase.lit:nth-child(2)")
	c.click("#service-search button")
	c.see(".phase.lit:nth-child(3)")

	c.open("/console/tools/weather/get_forecast")
	c.write(`[name="arg.city"]`, "Kyoto")
	c.click("#call [type=submit]")
	c.see("#result .verdict.good")
	if text := c.text("#result"); !strings.Contains(text, `"city": "Kyoto"`) {
		t.Errorf("the result: %s", text)
	}

	c.open("/console/chat")
	c.run(chromedp.Click(`//button[contains(., "Tell me about myself")]`))
	c.wait("name: Alice Arai")
	c.write("#text", "Set an alert for Oslo\r")
	c.wait("Which above?")
	c.write("#text", "18\r")
	c.wait("This may change something. Do it?")
	c.click(`[data-verdict="allow"]`)
	c.wait("above: 18")
	c.clean()

	c.click(".account summary")
	c.click(`button[name="everywhere"]`)
	c.wait("What you granted to other clients goes on")
	c.open("/console/")
	if text := c.text("main"); !strings.Contains(text, "Sign in with Microsoft Entra ID") {
		t.Errorf("after the sign-out: %s", text)
	}
}

func TestASlowToolShowsHowFarItIsAndCanBeCancelled(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/tools/lab/slow_report")
	c.click("#call [type=submit]")
	c.wait("counting clouds")
	if value := eval[float64](c, `document.querySelector('#running progress').value`); value == 0 {
		t.Error("the bar shows no progress")
	}
	c.click("#cancel")
	c.wait("You cancelled the call.")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(c.text("main"), "The call was cancelled."); {
		if time.Now().After(deadline) {
			t.Fatalf("the call goes on: %s", c.text("main"))
		}
		c.open("/console/tools/lab")
	}
	c.clean()
}

func TestAnEntryOfAListIsAddedByTheScript(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/tools/lab/book_trip")
	c.write(`[name="arg.name"]`, "Mio")
	c.run(chromedp.SetValue(chromedp.CSS(`[name="arg.class"]`), `"first"`))
	c.write(`[name="arg.stops.0.city"]`, "Kobe")
	c.click(".entries > button")
	c.write(`[name="arg.stops.1.city"]`, "Osaka")
	c.click("#call [type=submit]")
	c.see("#result .verdict.good")
	var sent map[string]any
	text := eval[string](c, `document.querySelector('#result pre').textContent`)
	if err := json.Unmarshal([]byte(text), &sent); err != nil || len(sent["stops"].([]any)) != 2 {
		t.Errorf("%s", text)
	}
	c.click(".entries > button")
	c.write(`[name="arg.stops.2.hour"]`, "7")
	c.click("#call [type=submit]")
	c.wait("city: is needed.")
	c.clean()
}

// Names and results of a hostile server stay text in a real browser, where they came by a script too.
func TestThreat03_NothingThatAServerSaysRuns(t *testing.T) {
	s := script(t, line{Words: []string{evil}, Calls: []wish{{"c1", "lab__evil", `{}`}, {"c2", evil, `{"x":"` + strings.ReplaceAll(evil, `"`, `\"`) + `"}`}}}, line{Words: []string{"done"}})
	h := openHouse(t, options{extras: []extra{lab()}, chat: s.chat()})
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/tools/lab/evil")
	c.click("#call [type=submit]")
	c.see("#result .verdict")
	c.open("/console/tools")
	c.open("/console/chat")
	c.write("#text", "be evil\r")
	c.wait("no such tool")
	c.wait("done")
	for _, path := range []string{"/console/chat", "/console/tools", "/console/tools/lab/evil"} {
		c.open(path)
		if title := eval[string](c, `document.title`); title == "owned" || strings.Contains(title, "owned") && !strings.Contains(title, "<script>") {
			t.Errorf("%s: a script ran", path)
		}
		if n := eval[int](c, `document.querySelectorAll('main img, main script').length`); n != 0 {
			t.Errorf("%s: %d elements of a stranger", path, n)
		}
	}
	c.clean()
}

// Even a script of ours can't make markup of text: the policy forbids it.
func TestThreat03_ThePolicyForbidsMarkupMadeByScripts(t *testing.T) {
	h := openHouse(t, options{})
	c := h.chrome()
	c.signIn("alice")
	got := eval[string](c, `(() => { try { document.querySelector('main').innerHTML = '<b>x</b>'; return 'made'; } catch (e) { return e.name; } })()`)
	if got != "TypeError" {
		t.Errorf("innerHTML: %s", got)
	}
}

// An MCP client is out within five seconds after its session was ended here.
func TestAnEndedSessionIsOutWithinFiveSeconds(t *testing.T) {
	h := openHouse(t, options{})
	alice := policy.Identity{Tenant: entratest.TenantID, Object: entratest.AliceID, Kind: policy.Person, Name: "Alice Arai", Roles: []string{"Weather.Read"}, Client: "desktop"}
	resource := h.URL + "/weather/mcp"
	tokens := must(h.Grants.Issue(t.Context(), grant.Opening{Client: "desktop", ClientName: "A desktop client", Server: "weather", Resource: resource, Scopes: []string{"mcp"}, Identity: alice, RedirectURI: "http://127.0.0.1:3000/callback"}))
	client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: resource, HTTPClient: &http.Client{Transport: bearer(tokens.Access.Reveal())}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/sessions")
	c.click(`button[aria-label="End the session of A desktop client at Weather"]`)
	c.wait("No client holds a session of yours.")
	ended := time.Now()
	if _, err := session.ListTools(t.Context(), nil); err == nil || time.Since(ended) > 5*time.Second {
		t.Errorf("the client still lists tools: %v", err)
	}
	c.clean()
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func TestSigningOutAtEntraSignsOutHereByTheFrontChannel(t *testing.T) {
	h := openHouse(t, options{})
	c := h.chrome()
	c.signIn("alice")
	c.run(chromedp.Navigate(h.Tenant.URL + "/" + h.Tenant.TenantID + "/oauth2/v2.0/logout"))
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		c.run(chromedp.Navigate(h.URL + "/console/"))
		if strings.Contains(c.text("main"), "Sign in with Microsoft Entra ID") {
			return
		}
	}
	t.Errorf("still signed in; hosts asked: %v, errors: %q, log: %s", c.hosts, c.troubles(), h.Log)
}

func TestBobAndAnAdministratorSeeWhatTheyShould(t *testing.T) {
	h := openHouse(t, options{})
	c := h.chrome()
	c.signIn("bob")
	c.open("/console/tools")
	if text := c.text("main"); strings.Contains(text, "Set an alert") || !strings.Contains(text, "Get a forecast") {
		t.Errorf("bob's tools: %s", text)
	}
	if eval[int](c, `document.querySelectorAll('a[href^="/console/admin"]').length`) != 0 {
		t.Error("bob is shown administration")
	}
	c.click(".account summary")
	c.run(chromedp.Click(`//a[contains(., "Use another account")]`), chromedp.Click(`//button[contains(., "frank@")]`))
	c.wait("Good to see you, Frank")
	c.open("/console/admin/sessions")
	c.wait("Clients")
	c.open("/console/tools")
	c.wait("1 tool is hidden from you")
	c.clean()
}

// Without a mouse: from the skip link to a call, by the keyboard alone.
func TestTheConsoleIsUsableByKeyboardAlone(t *testing.T) {
	h := openHouse(t, options{})
	c := h.chrome()
	c.signIn("alice")
	c.open("/console/tools/weather/get_forecast")
	c.run(chromedp.KeyEvent("\t"))
	if got := eval[string](c, `document.activeElement.className`); got != "skip" {
		t.Errorf("first is %q", got)
	}
	c.run(chromedp.KeyEvent("\r"))
	if got := eval[string](c, `document.activeElement.id`); got != "main" {
		t.Errorf("the skip link leads to %q", got)
	}
	c.run(chromedp.Focus(chromedp.CSS(`[name="arg.city"]`)), chromedp.KeyEvent("Oslo\r"))
	c.see("#result .verdict.good")
	outline := eval[string](c, `(() => { const a = document.querySelector('.side a'); a.focus({focusVisible: true}); return getComputedStyle(a).outlineStyle; })()`)
	if outline == "none" {
		t.Error("the focus can't be seen")
	}
}

func TestPagesWorkWithoutForeignHostsAndUnderAHundredKibibytes(t *testing.T) {
	h := openHouse(t, options{})
	v := h.visitor()
	first := v.get("/console/")
	size := len(first.Body)
	for _, path := range assetPaths(first.Body) {
		u := must(url.Parse(path))
		if u.Host != "" {
			t.Errorf("%s is elsewhere", path)
		}
		asset := v.get(path)
		size += len(asset.Body)
		if asset.Status != http.StatusOK || !strings.Contains(asset.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", path, asset.Status, asset.Header)
		}
	}
	if size > 100<<10 {
		t.Errorf("the first page has %d bytes with everything on it", size)
	}
}
