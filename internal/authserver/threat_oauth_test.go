package authserver_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
)

func TestThreat08_PKCEIsDemandedAndOnlyS256(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	for name, authorize := range map[string]string{
		"missing":        c.authorizeURL("code_challenge", "", "code_challenge_method", ""),
		"method only":    c.authorizeURL("code_challenge", ""),
		"no method":      c.authorizeURL("code_challenge_method", ""),
		"plain":          c.authorizeURL("code_challenge", verifier, "code_challenge_method", "plain"),
		"unknown method": c.authorizeURL("code_challenge_method", "S512"),
		"short":          c.authorizeURL("code_challenge", "short"),
	} {
		h.wantClientError(b.get(authorize).location(t), name, oauth.InvalidRequest)
	}
}

func TestThreat15_ABadRequestIsRefusedAndBurnsNothing(t *testing.T) {
	h := newHouse(t)
	c, other := h.register(nil), h.register(nil)
	code := h.browser().signIn(c.authorizeURL(), "alice")
	for name, bad := range map[string]struct {
		pairs  []string
		status int
		code   oauth.Code
	}{
		"no verifier":       {[]string{"code_verifier", ""}, 400, oauth.InvalidRequest},
		"short verifier":    {[]string{"code_verifier", "short"}, 400, oauth.InvalidRequest},
		"wrong verifier":    {[]string{"code_verifier", strings.Repeat("w", 50)}, 400, oauth.InvalidGrant},
		"challenge":         {[]string{"code_verifier", oauth.Challenge256(verifier)}, 400, oauth.InvalidGrant},
		"another redirect":  {[]string{"redirect_uri", "http://127.0.0.1:1/callback"}, 400, oauth.InvalidGrant},
		"another resource":  {[]string{"resource", h.resource("profile")}, 400, oauth.InvalidTarget},
		"unknown resource":  {[]string{"resource", "https://elsewhere.example/mcp"}, 400, oauth.InvalidTarget},
		"another client":    {[]string{"client_id", other.id}, 400, oauth.InvalidGrant},
		"unknown client":    {[]string{"client_id", "gkd_unknown"}, 401, oauth.InvalidClient},
		"no client":         {[]string{"client_id", ""}, 401, oauth.InvalidClient},
		"secret of public":  {[]string{"client_secret", "x"}, 401, oauth.InvalidClient},
		"no code":           {[]string{"code", ""}, 400, oauth.InvalidRequest},
		"unknown grant":     {[]string{"grant_type", "password"}, 400, oauth.UnsupportedGrantType},
		"no grant":          {[]string{"grant_type", ""}, 400, oauth.InvalidRequest},
		"half the code":     {[]string{"code", code[:len(code)-1]}, 400, oauth.InvalidGrant},
		"code in upper":     {[]string{"code", strings.ToUpper(code)}, 400, oauth.InvalidGrant},
		"NUL in the code":   {[]string{"code", code + "\x00"}, 400, oauth.InvalidRequest},
		"broken assertion":  {[]string{"client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, 401, oauth.InvalidClient},
		"unknown assertion": {[]string{"client_assertion", "x"}, 400, oauth.InvalidRequest},
	} {
		c.redeem(code, bad.pairs...).wantError(t, name, bad.status, bad.code)
	}
	c.redeem(code).tokens(t)
}

func TestThreat09_CodeReplayRevokesWhatItGave(t *testing.T) {
	h := newHouse(t)
	c := h.register(nil)
	code := h.browser().signIn(c.authorizeURL(), "alice")
	got := c.redeem(code).tokens(t)
	c.redeem(code).wantError(t, "replay", 400, oauth.InvalidGrant)
	if h.works(got.access, "weather") {
		t.Error("the access token still works")
	}
	c.refresh(got.refresh).wantError(t, "refresh after replay", 400, oauth.InvalidGrant)
}

func TestThreat09_AnExpiredCodeIsRefused(t *testing.T) {
	h := newHouse(t)
	c := h.register(nil)
	code := h.browser().signIn(c.authorizeURL(), "alice")
	h.clock.Advance(61 * time.Second)
	c.redeem(code).wantError(t, "expired", 400, oauth.InvalidGrant)
}

func TestThreat09_OfTwoRedemptionsAtOnceOneWins(t *testing.T) {
	h := newHouse(t)
	c := h.register(nil)
	code := h.browser().signIn(c.authorizeURL(), "alice")
	var won atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if c.redeem(code).StatusCode == http.StatusOK {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d redemptions won", won.Load())
	}
}

func TestThreat10_ReuseOutsideTheGraceEndsTheFamily(t *testing.T) {
	h := newHouse(t)
	c, _, first := h.connect()
	second := c.refresh(first.refresh).tokens(t)
	if again := c.refresh(first.refresh).tokens(t); again != second {
		t.Error("inside the grace another successor came")
	}
	h.clock.Advance(11 * time.Second)
	c.refresh(first.refresh).wantError(t, "reuse", 400, oauth.InvalidGrant)
	if h.works(second.access, "weather") || h.works(first.access, "weather") {
		t.Error("an access token of the family still works")
	}
	c.refresh(second.refresh).wantError(t, "the successor", 400, oauth.InvalidGrant)
	last := h.events.list[len(h.events.list)-2]
	if !strings.Contains(last.Detail, "spent refresh token") {
		t.Errorf("the audit does not say what happened: %+v", last)
	}
}

func TestThreat10_EightRefreshesAtOnceGiveOneSuccessor(t *testing.T) {
	h := newHouse(t)
	c, _, first := h.connect()
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			a := c.refresh(first.refresh)
			mu.Lock()
			defer mu.Unlock()
			seen[a.body]++
		})
	}
	all.Wait()
	if len(seen) != 1 || h.provider.refreshed != 1 {
		t.Errorf("%d different answers, the identity provider was asked %d times: %v", len(seen), h.provider.refreshed, seen)
	}
}

func TestThreat10_ARefreshWidensNothingAndBelongsToItsClient(t *testing.T) {
	h := newHouse(t)
	c, _, first := h.connect()
	other := h.register(nil)
	other.refresh(first.refresh).wantError(t, "another client", 400, oauth.InvalidGrant)
	c.refresh(first.refresh, "scope", "mcp admin").wantError(t, "wider scope", 400, oauth.InvalidScope)
	c.refresh(first.refresh, "resource", h.resource("profile")).wantError(t, "another resource", 400, oauth.InvalidTarget)
	if got := c.refresh(first.refresh, "scope", "mcp offline_access").tokens(t); got.scope != "mcp" {
		t.Errorf("scope %q", got.scope)
	}
}

func TestThreat10_ARefreshMayNarrow(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	wide := c.redeem(b.signIn(c.authorizeURL("scope", "mcp alerts"), "alice")).tokens(t)
	narrow := c.refresh(wide.refresh, "scope", "mcp").tokens(t)
	if narrow.scope != "mcp" {
		t.Errorf("scope %q", narrow.scope)
	}
	if again := c.refresh(narrow.refresh).tokens(t); again.scope != "mcp alerts" {
		t.Errorf("without a scope, what was granted stays: got %q", again.scope)
	}
}

func TestThreat11_NoTokenPassesForAnother(t *testing.T) {
	h := newHouse(t)
	c, b, got := h.connect()
	code := b.comeBack(b.allow(b.open(c.authorizeURL("prompt", "consent"))), "alice").location(t).Query().Get("code")
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	cookie := b.client.Jar.Cookies(u)[0].Value
	for name, token := range map[string]string{"code": code, "refresh token": got.refresh, "cookie": cookie, "Entra's token": "upstream-tokens-of-alice", "JWT": "eyJhbGciOiJub25lIn0.e30."} {
		if h.works(token, "weather") {
			t.Errorf("%s opens a server", name)
		}
	}
	for name, token := range map[string]string{"access token": got.access, "code": code, "cookie": cookie} {
		c.refresh(token).wantError(t, name+" as refresh token", 400, oauth.InvalidGrant)
	}
	for name, token := range map[string]string{"access token": got.access, "refresh token": got.refresh, "cookie": cookie} {
		c.redeem(token).wantError(t, name+" as code", 400, oauth.InvalidGrant)
	}
	if !h.works(got.access, "weather") {
		t.Error("confusing tokens ended the session")
	}
}

func TestThreat12_EveryAuthorizationResponseNamesItsIssuer(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	answers := map[string]*url.URL{
		"mistake": b.get(c.authorizeURL("response_type", "token")).location(t),
		"target":  b.get(c.authorizeURL("resource", "https://elsewhere.example/")).location(t),
		"prompt":  b.get(c.authorizeURL("prompt", "none")).location(t),
		"refused": b.get("/callback?error=access_denied&state=" + b.allow(b.open(c.authorizeURL()))).location(t),
		"success": b.comeBack(b.allow(b.open(c.authorizeURL())), "alice").location(t),
	}
	form := b.open(c.authorizeURL("prompt", "consent")).consentForm(t)
	form.Set("decision", "deny")
	answers["denied"] = b.submit("/consent", form).onward(t)
	h.provider.setFail(func(string) error { return errors.New("broken") })
	answers["broken"] = b.get(c.authorizeURL()).location(t)
	for name, at := range answers {
		if got := at.Query()["iss"]; len(got) != 1 || got[0] != h.URL || at.Query().Get("state") != "client-state" {
			t.Errorf("%s: iss %q in %s", name, got, at)
		}
	}
}

func TestThreat12_AStateOfTheClientCanNotForgeTheAnswer(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	at := b.comeBack(b.allow(b.open(c.authorizeURL("state", "x&code=forged&iss=https://evil.example"))), "alice").location(t)
	q := at.Query()
	if len(q["code"]) != 1 || q.Get("code") == "forged" || len(q["iss"]) != 1 || q.Get("state") != "x&code=forged&iss=https://evil.example" {
		t.Errorf("the answer is %s", at)
	}
}

func TestThreat13_MalformedTokenRequestsAreRefused(t *testing.T) {
	h := newHouse(t)
	c := h.register(map[string]any{"token_endpoint_auth_method": "client_secret_basic"})
	code := h.browser().signIn(c.authorizeURL(), "alice")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}.Encode()
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	good := basic(c.id, c.secret)
	const formType = "application/x-www-form-urlencoded"
	for name, bad := range map[string]struct {
		query, contentType, body string
		authorization            []string
		status                   int
		code                     oauth.Code
	}{
		"repeated parameter":  {"", formType, form + "&code=" + code, []string{good}, 400, oauth.InvalidRequest},
		"secret in the query": {"?client_secret=" + c.secret, formType, form, nil, 400, oauth.InvalidRequest},
		"verifier in query":   {"?code_verifier=" + verifier, formType, form, []string{good}, 400, oauth.InvalidRequest},
		"JSON":                {"", "application/json", `{"code":"` + code + `"}`, []string{good}, 415, oauth.InvalidRequest},
		"no type":             {"", "", form, []string{good}, 415, oauth.InvalidRequest},
		"oversized":           {"", formType, form + "&x=" + strings.Repeat("x", 100<<10), []string{good}, 413, oauth.InvalidRequest},
		"control byte":        {"", formType, form + "&state=%07", []string{good}, 400, oauth.InvalidRequest},
		"broken Basic":        {"", formType, form, []string{"Basic !!!"}, 401, oauth.InvalidClient},
		"Basic without colon": {"", formType, form, []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("x"))}, 401, oauth.InvalidClient},
		"two headers":         {"", formType, form, []string{good, good}, 400, oauth.InvalidRequest},
		"two methods":         {"", formType, form + "&client_secret=" + c.secret, []string{good}, 400, oauth.InvalidRequest},
		"two clients":         {"", formType, form + "&client_id=other", []string{good}, 400, oauth.InvalidRequest},
		"wrong secret":        {"", formType, form, []string{basic(c.id, "wrong")}, 401, oauth.InvalidClient},
		"Bearer":              {"", formType, form, []string{"Bearer abc"}, 401, oauth.InvalidClient},
	} {
		r := h.request(http.MethodPost, "/token"+bad.query, bad.body)
		r.Header.Set("Content-Type", bad.contentType)
		r.Header["Authorization"] = bad.authorization
		a := h.do(http.DefaultClient, r)
		a.wantError(t, name, bad.status, bad.code)
		if strings.Contains(a.body, c.secret) || strings.Contains(a.body, code) {
			t.Errorf("%s: the answer repeats a secret: %s", name, a.body)
		}
	}
	r := h.request(http.MethodPost, "/token", form)
	r.Header.Set("Content-Type", formType)
	r.Header.Set("Authorization", good)
	h.do(http.DefaultClient, r).tokens(t)
	h.browser().get(c.authorizeURL("client_secret", c.secret)).wantPage(t, "secret at authorize", 400, "client_secret")
	h.browser().get(c.authorizeURL()+"&state=again").wantPage(t, "repeated at authorize", 400, "more than once")
}

func TestThreat14_ATokenIsRevokedByItsClientOnly(t *testing.T) {
	h := newHouse(t)
	c, _, got := h.connect()
	other := h.register(nil)
	revoke := func(c *oauthClient, token string) answer {
		return h.post("/revoke", url.Values{"token": {token}, "client_id": {c.id}})
	}
	revoke(other, got.refresh).wantError(t, "another client", 400, oauth.InvalidGrant)
	revoke(&oauthClient{house: h, id: "gkd_unknown"}, got.refresh).wantError(t, "unknown client", 401, oauth.InvalidClient)
	if !h.works(got.access, "weather") {
		t.Fatal("a stranger revoked the token")
	}
	revoke(c, "gkr_nonsense").wantStatus(t, http.StatusOK)
	revoke(c, "").wantError(t, "no token", 400, oauth.InvalidRequest)
	revoke(c, got.refresh).wantStatus(t, http.StatusOK)
	if h.works(got.access, "weather") {
		t.Error("the access token outlived the session")
	}
	c.refresh(got.refresh).wantError(t, "refresh after revocation", 400, oauth.InvalidGrant)
}

func TestThreat14_OnlyTheServerItselfMayIntrospect(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) {
		c.Clients = []authserver.Client{
			{ID: "weather-server", SecretHash: secret.Hash("weather-secret"), Introspects: "weather"},
			{ID: "profile-server", SecretHash: secret.Hash("profile-secret"), Introspects: "profile"},
			{ID: "nobody", SecretHash: secret.Hash("nobody-secret")},
		}
	})
	c, _, got := h.connect()
	ask := func(id, secret, token string) answer {
		form := url.Values{"token": {token}, "client_id": {id}}
		if secret != "" {
			form.Set("client_secret", secret)
		}
		return h.post("/introspect", form)
	}
	ask("", "", got.access).wantError(t, "nobody", 401, oauth.InvalidClient)
	ask(c.id, "", got.access).wantError(t, "the client itself", 403, oauth.UnauthorizedClient)
	ask("weather-server", "wrong", got.access).wantError(t, "wrong secret", 401, oauth.InvalidClient)
	ask("weather-server", "", got.access).wantError(t, "no secret", 401, oauth.InvalidClient)
	ask("nobody", "nobody-secret", got.access).wantError(t, "no server", 403, oauth.UnauthorizedClient)
	for name, token := range map[string]string{"nonsense": "gka_x", "refresh token": got.refresh} {
		if a := ask("weather-server", "weather-secret", token); a.body != `{"active":false}` {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if a := ask("profile-server", "profile-secret", got.access); a.body != `{"active":false}` {
		t.Errorf("another server's token: %s", a.body)
	}
	m := ask("weather-server", "weather-secret", got.access).json(t)
	if m["active"] != true || m["oid"] != "alice-object" || m["aud"] != h.resource("weather") || m["client_id"] != c.id || m["iss"] != h.URL {
		t.Errorf("introspection: %v", m)
	}
}
