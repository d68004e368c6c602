package page_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/page"
)

func newPages(t *testing.T, c page.Config) *page.Pages {
	t.Helper()
	p, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryPageCarriesTheHeadersThatProtectIt(t *testing.T) {
	for name, c := range map[string]struct {
		config page.Config
		hsts   string
	}{
		"https": {page.Config{HTTPS: true}, "max-age=31536000"},
		"http":  {page.Config{}, ""},
	} {
		w := httptest.NewRecorder()
		if err := newPages(t, c.config).Problem(w, page.Problem{Status: http.StatusTeapot, Title: "No"}); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{"status": http.StatusText(w.Code)}
		for _, h := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security", "Cache-Control", "Content-Type"} {
			got[h] = w.Header().Get(h)
		}
		want := map[string]string{
			"status":                    http.StatusText(http.StatusTeapot),
			"Content-Security-Policy":   "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
			"X-Frame-Options":           "DENY",
			"X-Content-Type-Options":    "nosniff",
			"Referrer-Policy":           "no-referrer",
			"Strict-Transport-Security": c.hsts,
			"Cache-Control":             "no-store",
			"Content-Type":              "text/html; charset=utf-8",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestNothingOnAPageComesFromAnotherHostOrRuns(t *testing.T) {
	w := httptest.NewRecorder()
	p := newPages(t, page.Config{Place: "mcp.contoso.example"})
	if err := p.Problem(w, page.Problem{Title: "<script>alert(1)</script>", Text: `"><img src=x onerror=alert(1)>`, Incident: "i-1"}); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "<img src=x") || strings.Contains(body, "<style") || strings.Contains(body, "style=") {
		t.Errorf("the page lets something run:\n%s", body)
	}
	links := regexp.MustCompile(`(?:href|src)="([^"#]+)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 3 {
		t.Fatalf("the page has no style sheet or no logo:\n%s", body)
	}
	for _, link := range links {
		a := httptest.NewRecorder()
		p.Assets().ServeHTTP(a, httptest.NewRequest(http.MethodGet, link[1], nil))
		if a.Code != http.StatusOK || !strings.Contains(a.Header().Get("Cache-Control"), "immutable") || a.Body.Len() == 0 {
			t.Errorf("%s: status %d, headers %v", link[1], a.Code, a.Header())
		}
		if regexp.MustCompile(`https?://(?:[^w]|w[^w])`).MatchString(a.Body.String()) {
			t.Errorf("%s names another host", link[1])
		}
	}
	a := httptest.NewRecorder()
	p.Assets().ServeHTTP(a, httptest.NewRequest(http.MethodGet, "/assets/../page.go", nil))
	if a.Code != http.StatusNotFound {
		t.Errorf("a file that is no asset: status %d", a.Code)
	}
}

func TestOnwardLeadsToTheTargetByRefreshAndByForm(t *testing.T) {
	for target, want := range map[string]struct{ refresh, action, policy string }{
		"https://idp.example:8443/authorize?a=1&b=x+y%26z": {
			`content="0;url=https://idp.example:8443/authorize?a=1&b=x+y%26z"`, `action="https://idp.example:8443/authorize"`, "form-action https://idp.example:8443;",
		},
		"http://[::1]:4000/cb?code=c":        {`content="0;url=http://[::1]:4000/cb?code=c"`, `action="http://[::1]:4000/cb"`, "form-action http:;"},
		"cursor://anysphere.cursor/cb?x=%22": {`content="0;url=cursor://anysphere.cursor/cb?x=%22"`, `action="cursor://anysphere.cursor/cb"`, "form-action cursor:;"},
	} {
		w := httptest.NewRecorder()
		if err := newPages(t, page.Config{}).Onward(w, page.Onward{Target: target, Title: "On", Text: "to"}); err != nil {
			t.Fatal(err)
		}
		body := html.UnescapeString(w.Body.String())
		if !strings.Contains(body, want.refresh) || !strings.Contains(body, want.action) {
			t.Errorf("%s:\n%s", target, body)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, want.policy) {
			t.Errorf("%s: policy %s", target, policy)
		}
	}
	if err := newPages(t, page.Config{}).Onward(httptest.NewRecorder(), page.Onward{Target: "/relative"}); err == nil {
		t.Error("a relative target must be refused")
	}
}

func TestOnwardFormSendsTheQuery(t *testing.T) {
	w := httptest.NewRecorder()
	if err := newPages(t, page.Config{}).Onward(w, page.Onward{Target: "https://c.example/cb?state=%3C%22&code=1"}); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`name="code" value="1"`, `name="state" value="&lt;&#34;"`} {
		if !strings.Contains(w.Body.String(), field) {
			t.Errorf("no %s in\n%s", field, w.Body.String())
		}
	}
}

func TestAPageThatCannotBeFilledInWritesNothing(t *testing.T) {
	p, err := newPages(t, page.Config{}).Parse(fstest.MapFS{"x.html": {Data: []byte(`{{define "title"}}T{{end}}{{define "main"}}{{.Missing.Field}}{{end}}`)}}, "x.html")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := p.Render(w, http.StatusOK, struct{}{}); err == nil || w.Body.Len() != 0 {
		t.Errorf("error %v, body %q", err, w.Body.String())
	}
}
