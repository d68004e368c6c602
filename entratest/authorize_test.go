package entratest_test

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestWhatEntraShowsOnAPageNeverRedirects(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.SearchID, func(a *entratest.App) { a.Web, a.SPA, a.Public = nil, nil, nil })
	for name, c := range map[string]struct {
		pairs []string
		code  int
	}{
		"client_id missing":           {[]string{"client_id", ""}, 900144},
		"unknown application":         {[]string{"client_id", "11111111-1111-1111-1111-111111111111"}, 700016},
		"name in place of the GUID":   {[]string{"client_id", "Genkan"}, 700016},
		"redirect not registered":     {[]string{"redirect_uri", "https://evil.example/callback"}, 50011},
		"no redirect registered":      {[]string{"client_id", entratest.SearchID}, 500113},
		"resource that doesn't match": {[]string{"resource", "https://mcp.example/weather/mcp"}, 9010010},
	} {
		t.Run(name, func(t *testing.T) { wantPage(t, get(t, tenant, authorizeURL(tenant, c.pairs...)), c.code) })
	}
	t.Run("parameter twice", func(t *testing.T) { wantPage(t, get(t, tenant, authorizeURL(tenant)+"&state=another"), 9000411) })
}

func TestWhatEntraTellsTheApplication(t *testing.T) {
	tenant := entratest.Start(t)
	for name, c := range map[string]struct {
		pairs []string
		oauth string
		code  int
	}{
		"scope missing":                 {[]string{"scope", ""}, "invalid_request", 900144},
		"response_type missing":         {[]string{"response_type", ""}, "invalid_request", 900144},
		"ID token not enabled":          {[]string{"response_type", "code id_token"}, "unsupported_response_type", 700054},
		"access token not enabled":      {[]string{"response_type", "token"}, "unsupported_response_type", 700051},
		"unknown response_mode":         {[]string{"response_mode", "web_message"}, "invalid_request", 70007},
		"unknown prompt":                {[]string{"prompt", "maybe"}, "invalid_request", 90023},
		"unqualified scope":             {[]string{"scope", "openid mcp.read"}, "invalid_client", 650053},
		"unknown scope":                 {[]string{"scope", entratest.GenkanURI + "/nope"}, "invalid_client", 650053},
		"unknown resource":              {[]string{"scope", "api://nobody/read"}, "invalid_resource", 500011},
		".default beside a named scope": {[]string{"scope", entratest.GenkanID + "/.default " + entratest.GenkanID + "/access_as_user"}, "invalid_scope", 70011},
		"prompt=none without a session": {[]string{"prompt", "none"}, "login_required", 50058},
		"challenge too short":           {[]string{"code_challenge", "short", "code_challenge_method", "S256"}, "invalid_request", 501491},
		"unknown challenge method":      {[]string{"code_challenge", strings.Repeat("x", 43), "code_challenge_method", "S512"}, "invalid_request", 50149},
		"claims that are no JSON":       {[]string{"claims", "{"}, "invalid_request", 90100},
	} {
		t.Run(name, func(t *testing.T) { wantBack(t, get(t, tenant, authorizeURL(tenant, c.pairs...)), c.oauth, c.code) })
	}
}

func TestUnqualifiedScopeIsResolvedAgainstGraph(t *testing.T) {
	tenant := entratest.Start(t)
	q := wantBack(t, get(t, tenant, authorizeURL(tenant, "scope", "mcp.read")), "invalid_client", 650053)
	want := "asked for scope 'mcp.read' that doesn't exist on the resource '00000003-0000-0000-c000-000000000000'"
	if !strings.Contains(q.Get("error_description"), want) {
		t.Errorf("description %q lacks %q", q.Get("error_description"), want)
	}
}

func TestResponseModes(t *testing.T) {
	tenant := entratest.Start(t)
	for _, mode := range []string{"query", "fragment", "form_post"} {
		answer, err := tenant.SignIn(authorizeURL(tenant, "response_mode", mode, "client_info", "1"), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if answer.Mode != mode || answer.RedirectURI != genkanRedirect {
			t.Errorf("%s: came by %s to %s", mode, answer.Mode, answer.RedirectURI)
		}
		for _, name := range []string{"code", "session_state", "client_info"} {
			if answer.Params.Get(name) == "" {
				t.Errorf("%s: %s is missing", mode, name)
			}
		}
		if answer.Params.Get("state") != "the state" {
			t.Errorf("%s: state %q", mode, answer.Params.Get("state"))
		}
	}
}

func TestImplicitIDTokenOnlyWhereTheManifestAllowsIt(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.Implicit = true })
	answer, err := tenant.SignIn(authorizeURL(tenant, "response_type", "code id_token"), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if id := payload(t, answer.Params.Get("id_token")); id["nonce"] != "the nonce" || answer.Mode != "fragment" {
		t.Errorf("nonce %v by %s", id["nonce"], answer.Mode)
	}
	wantBack(t, get(t, tenant, authorizeURL(tenant, "response_type", "id_token", "response_mode", "query")), "invalid_request", 70007)
}

func TestWhoMayNotSignInSeesAPage(t *testing.T) {
	tenant := entratest.Start(t)
	for who, code := range map[string]int{
		"dave": 50057, "nobody@contoso.example": 50034, "somebody@fabrikam.example": 50020,
	} {
		_, err := tenant.SignIn(authorizeURL(tenant), who)
		var page *entratest.PageError
		if !errors.As(err, &page) || page.Code != code {
			t.Errorf("%s: %v, want AADSTS%d", who, err, code)
		}
	}
}

func TestAssignmentRequiredStopsThoseWithoutOne(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.AssignmentRequired = true })
	_, err := tenant.SignIn(authorizeURL(tenant), "carol")
	var page *entratest.PageError
	if !errors.As(err, &page) || page.Code != 50105 {
		t.Errorf("carol: %v, want AADSTS50105", err)
	}
	signIn(t, tenant, "bob")
}

func TestSingleSignOnAndPrompts(t *testing.T) {
	tenant := entratest.Start(t)
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	again := visit(t, client, authorizeURL(tenant))
	if again.Header.Get("Location") == "" {
		t.Error("a browser that is signed in was asked again")
	}
	if silent := visit(t, client, authorizeURL(tenant, "prompt", "none")); !strings.Contains(silent.Header.Get("Location"), "code=") {
		t.Errorf("prompt=none: %s", silent.Header.Get("Location"))
	}
	for _, prompt := range []string{"login", "select_account"} {
		if asked := visit(t, client, authorizeURL(tenant, "prompt", prompt)); !strings.Contains(asked.Raw, "Pick an account") {
			t.Errorf("prompt=%s: no account picker", prompt)
		}
	}
	if asked := visit(t, client, authorizeURL(tenant, "prompt", "consent")); !strings.Contains(asked.Raw, "access_as_user") {
		t.Error("prompt=consent: no consent page")
	}
	chooseAccount(t, client, authorizeURL(tenant, "prompt", "select_account"), "bob@contoso.example")
	wantBack(t, visit(t, client, authorizeURL(tenant, "prompt", "none")), "interaction_required", 16000)
	hinted := visit(t, client, authorizeURL(tenant, "prompt", "none", "login_hint", "alice@contoso.example"))
	if !strings.Contains(hinted.Header.Get("Location"), "code=") {
		t.Errorf("login_hint: %s", hinted.Header.Get("Location"))
	}
	wantBack(t, visit(t, client, authorizeURL(tenant, "prompt", "none", "login_hint", "carol@contoso.example")), "login_required", 50058)
}

func TestPickerIsPlainFormsWithEveryAddressOnAButton(t *testing.T) {
	tenant := entratest.Start(t)
	page := get(t, tenant, authorizeURL(tenant))
	for _, who := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		button := regexp.MustCompile(`(?s)<button[^>]*>[^/]*?.*?` + who + `@contoso\.example.*?</button>`)
		if !button.MatchString(page.Raw) {
			t.Errorf("no button with %s's address", who)
		}
	}
	if strings.Contains(page.Raw, "<script") {
		t.Error("the picker has a script in it")
	}
	if !strings.Contains(page.Raw, "not Microsoft") {
		t.Error("the picker doesn't say that it isn't Microsoft's")
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy %q", policy)
	}
}

// browser is an HTTP client with cookies that follows no redirect.
func browser(t *testing.T, tenant *entratest.Tenant) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *tenant.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func visit(t *testing.T, client *http.Client, address string) reply {
	t.Helper()
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

var aForm = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`)

// chooseAccount walks the picker as a program would that knows forms and nothing else.
func chooseAccount(t *testing.T, client *http.Client, address, who string) reply {
	t.Helper()
	page := visit(t, client, address)
	for _, form := range aForm.FindAllStringSubmatch(page.Raw, -1) {
		if strings.Contains(form[2], who) {
			return submit(t, client, address, form)
		}
	}
	t.Fatalf("no form with %s", who)
	return reply{}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// submit sends a form with its hidden fields and some more.
func submit(t *testing.T, client *http.Client, at string, form []string, pairs ...string) reply {
	t.Helper()
	fields := values(pairs...)
	for _, m := range hidden.FindAllStringSubmatch(form[2], -1) {
		fields.Set(m[1], m[2])
	}
	base, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	target, err := base.Parse(form[1])
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.PostForm(target.String(), fields)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}
