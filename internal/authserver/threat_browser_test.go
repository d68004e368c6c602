package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
)

func TestThreat01_CallbackWorksOnlyInTheBrowserThatBegan(t *testing.T) {
	h := newHouse(t)
	c, attacker, victim := h.register(nil), h.browser(), h.browser()
	state := attacker.allow(attacker.open(c.authorizeURL()))
	victim.comeBack(state, "victim").wantPage(t, "the victim without a cookie", http.StatusForbidden, "started in another browser")
	victim.open(c.authorizeURL()) // now the victim has a cookie, but its own
	victim.comeBack(state, "victim").wantPage(t, "the victim with a cookie", http.StatusForbidden, "started in another browser")
	if n := openGrants(t, h); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	// And the attacker's link did not end the attacker's own sign-in, or anybody's.
	if back := attacker.comeBack(state, "mallory").location(t); !back.Query().Has("code") {
		t.Errorf("the browser that began came back at %s", back)
	}
}

func openGrants(t *testing.T, h *house) int {
	t.Helper()
	records, err := h.store.List(t.Context(), "grant", "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

func TestThreat02_ConsentOfOneClientIsNoConsentOfAnother(t *testing.T) {
	h := newHouse(t)
	_, b, _ := h.connect()
	other := h.register(map[string]any{"client_name": "Other"})
	if at := b.get(other.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("another client skipped the page: %s", at)
	}
}

func TestThreat02_ConsentIsPerRedirectAndServerAndScope(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(map[string]any{"redirect_uris": []string{callback, "https://app.example/cb"}}), h.browser()
	b.signIn(c.authorizeURL(), "alice")
	for name, authorize := range map[string]string{
		"another redirect": c.authorizeURL("redirect_uri", "https://app.example/cb"),
		"another server":   c.authorizeURL("resource", h.resource("profile")),
		"another scope":    c.authorizeURL("scope", "alerts"),
	} {
		if at := b.get(authorize).location(t); at.Path != "/consent" {
			t.Errorf("%s skipped the page: %s", name, at)
		}
	}
	if at := h.browser().get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("another browser skipped the page: %s", at)
	}
}

func TestThreat02_AClientThatAnybodyCanImitateOnThisComputerIsAlwaysAskedAbout(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) {
		c.Clients = []authserver.Client{{ID: "vscode", Name: "VS Code", RedirectURIs: []string{callback}}}
	})
	c, b := &oauthClient{house: h, id: "vscode"}, h.browser()
	b.signIn(c.authorizeURL(), "alice")
	if at := b.get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("the second sign-in skipped the page: %s", at)
	}
}

func TestThreat02_ARevokedConsentIsAskedAgain(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect()
	n, err := h.store.DeleteOwner(t.Context(), authserver.ConsentKind, tenant+"/alice-object")
	if err != nil || n != 1 {
		t.Fatalf("removed %d consents: %v", n, err)
	}
	if at := b.get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("a revoked consent skipped the page: %s", at)
	}
}

func TestThreat03_ConsentFormNeedsItsTokenItsBrowserAndItsOwnSite(t *testing.T) {
	h := newHouse(t)
	c, b, attacker := h.register(nil), h.browser(), h.browser()
	attacker.open(c.authorizeURL())
	page := b.open(c.authorizeURL())
	good := page.consentForm(t)
	good.Set("decision", "allow")
	with := func(name, value string) url.Values {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		replace(form, []string{name, value})
		return form
	}
	other := b.open(c.authorizeURL()).consentForm(t)
	b.submit("/consent", with("csrf", "")).wantPage(t, "no token", 400, "stopped here")
	b.submit("/consent", with("csrf", strings.Repeat("0", 52))).wantPage(t, "invented token", 400, "stopped here")
	b.submit("/consent", with("csrf", other.Get("csrf"))).wantPage(t, "token of another sign-in", 400, "stopped here")
	b.submit("/consent", with("decision", "maybe")).wantPage(t, "no decision", 400, "stopped here")
	b.submit("/consent", with("sign_in", "")).wantPage(t, "no sign-in", 400, "no longer valid")
	attacker.submit("/consent", good).wantPage(t, "another browser", 403, "another browser")
	for header, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
		r := b.request(http.MethodPost, "/consent", good.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header, value)
		b.do(b.client, r).wantPage(t, "form from another site", 400, "stopped here")
	}
	// None of it used the form up; it works once, and no second time.
	b.submit("/consent", good).onward(t)
	b.submit("/consent", good).wantPage(t, "replayed form", 400, "no longer valid")
}

func TestThreat03_OfTwoAnswersAtOnceOneCounts(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	form := b.open(c.authorizeURL()).consentForm(t)
	form.Set("decision", "allow")
	var through atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := b.submit("/consent", form); a.StatusCode == http.StatusOK {
				through.Add(1)
			}
		})
	}
	all.Wait()
	if through.Load() != 1 {
		t.Errorf("%d answers counted", through.Load())
	}
}

func TestThreat03_ATamperedConsentCookieIsAsGoodAsNone(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect()
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(u) {
		if cookie.Name == "genkan-consent" {
			i := len(cookie.Value) / 2
			changed := "A"
			if cookie.Value[i] == 'A' {
				changed = "B"
			}
			cookie.Value = cookie.Value[:i] + changed + cookie.Value[i+1:]
			b.client.Jar.SetCookies(u, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value, Path: "/"}})
		}
	}
	if at := b.get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("a tampered cookie skipped the page: %s", at)
	}
}

func TestThreat03_CookiesStaySmallHoweverManyConsentsThereAre(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	var last *oauthClient
	for range 50 {
		last = h.register(nil)
		b.signIn(last.authorizeURL(), "alice")
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, cookie := range b.client.Jar.Cookies(u) {
		total += len(cookie.Name) + len(cookie.Value) + 3
	}
	if total > 4000 {
		t.Errorf("the cookies have %d bytes", total)
	}
	if at := b.get(last.authorizeURL()).location(t); at.Host != "idp.example" {
		t.Errorf("the latest consent was forgotten: %s", at)
	}
}

func TestThreat03_NothingThatAStrangerNamesRunsOnAPage(t *testing.T) {
	h := newHouse(t)
	hostile := `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	c, b := h.register(map[string]any{"client_name": hostile, "redirect_uris": []string{callback, "https://app.example/%3Cscript%3E'onmouseover=alert(1)"}}), h.browser()
	pages := []answer{
		b.open(c.authorizeURL()),
		b.open(c.authorizeURL("redirect_uri", "https://app.example/%3Cscript%3E'onmouseover=alert(1)", "scope", "alerts", "state", hostile)),
		b.get("/authorize?client_id=" + url.QueryEscape(hostile)),
		b.get(c.authorizeURL("redirect_uri", "javascript:alert(1)")),
		b.get("/consent?sign_in=" + url.QueryEscape(hostile)),
		b.get("/callback?state=" + url.QueryEscape(hostile) + "&error=" + url.QueryEscape(hostile)),
	}
	form := pages[0].consentForm(t)
	form.Set("decision", "deny")
	pages = append(pages, b.submit("/consent", form))
	for i, page := range pages {
		for _, piece := range []string{"<script>alert", "<img src=x", `"javascript:`, `'onmouseover=alert(1)"`} {
			if strings.Contains(page.body, piece) {
				t.Errorf("page %d holds %s:\n%s", i, piece, page.body)
			}
		}
		if policy := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("page %d has the policy %q", i, policy)
		}
	}
}

func TestThreat04_StateWorksOnceAndSoonAndForItsStageOnly(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	state := b.allow(b.open(c.authorizeURL()))
	b.comeBack(state, "alice").location(t)
	b.comeBack(state, "alice").wantPage(t, "replayed state", 400, "no longer valid")
	// A handle of the consent page is no state, and a state is no handle.
	page := b.open(c.authorizeURL("prompt", "consent"))
	handle := page.consentForm(t).Get("sign_in")
	b.comeBack(handle, "alice").wantPage(t, "consent skipped", 400, "no longer valid")
	state = b.allow(page)
	b.get("/consent?sign_in="+state).wantPage(t, "state as handle", 400, "no longer valid")
	h.clock.Advance(21 * time.Minute)
	b.comeBack(state, "alice").wantPage(t, "stale state", 400, "no longer valid")
	if n := openGrants(t, h); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestThreat04_AFloodOfCallbacksCostsNothingAndHurtsNobody(t *testing.T) {
	h := newHouse(t)
	c, b, flood := h.register(nil), h.browser(), h.browser()
	state := b.allow(b.open(c.authorizeURL()))
	before := records(t, h)
	for i := range 200 {
		guess := strings.Repeat(string(rune('0'+i%10)), 52)
		flood.comeBack(guess, "mallory").wantPage(t, "guess", 400, "no longer valid")
	}
	if after := records(t, h); after != before {
		t.Errorf("the flood left %d records", after-before)
	}
	b.comeBack(state, "alice").location(t)
}

func records(t *testing.T, h *house) int {
	t.Helper()
	n := 0
	for _, kind := range []string{"signin", "client", "consent", "grant", "demand"} {
		found, err := h.store.List(t.Context(), kind, "", "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

func TestThreat04_AnAttackersBrowserSecretIsNotTakenOver(t *testing.T) {
	h := newHouse(t)
	c := h.register(nil)
	for name, planted := range map[string]string{
		"invented": "attacker-knows-this", "two": "genkan-signin=" + strings.Repeat("0", 52) + "; genkan-signin=" + strings.Repeat("1", 52),
	} {
		r := h.request(http.MethodGet, strings.TrimPrefix(c.authorizeURL(), h.URL), "")
		if name == "two" {
			r.Header.Set("Cookie", planted)
		} else {
			r.AddCookie(&http.Cookie{Name: "genkan-signin", Value: planted})
		}
		a := h.do(h.browser().client, r)
		for _, cookie := range a.Cookies() {
			if cookie.Name == "genkan-signin" && (strings.Contains(planted, cookie.Value) || len(cookie.Value) != 52) {
				t.Errorf("%s: the planted secret was taken over: %s", name, cookie.Value)
			}
		}
	}
}

func TestThreat04_CookiesOnHTTPSCanBeSetByNoOtherHost(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) {
		c.Issuer = "https://mcp.contoso.example"
		c.Servers = c.Servers[:1]
		c.Clients = []authserver.Client{{ID: "app", RedirectURIs: []string{callback}}}
	})
	c := &oauthClient{house: h, id: "app"}
	w := serve(h, http.MethodGet, strings.TrimPrefix(c.authorizeURL("resource", ""), h.URL))
	cookies := w.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("status %d, cookies %v", w.StatusCode, cookies)
	}
	if got := cookies[0]; got.Name != "__Host-genkan-signin" || !got.Secure || !got.HttpOnly || got.Path != "/" || got.Domain != "" || got.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %v", got)
	}
}
