package entratest

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
)

// Answer is what came back to the application's redirect URI.
type Answer struct {
	// RedirectURI is where it came back, without the parameters.
	RedirectURI string
	// Params are code, state and so on, or error and error_description.
	Params url.Values
	// Mode is how they came: query, fragment or form_post.
	Mode string
}

// PageError is a page that Entra shows in place of an answer to the application.
type PageError struct {
	Code int    // the AADSTS number, 0 when there is none
	Text string // what the page says
}

// Error says what the page said.
func (e *PageError) Error() string { return fmt.Sprintf("sign-in page: AADSTS%d: %s", e.Code, e.Text) }

// Browser walks the tenant's pages as somebody would who clicks on their own name and agrees to
// everything. It keeps its cookies, so that a second visit is signed in already.
type Browser struct {
	tenant *Tenant
	who    string
	jar    http.CookieJar
}

// Browser opens a browser for a person: an alias, an address or an object ID.
func (t *Tenant) Browser(who string) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(fmt.Sprintf("entratest: a jar without options: %v", err))
	}
	return &Browser{tenant: t, who: who, jar: jar}
}

// SignIn follows an authorize URL to the end, in a browser of its own.
func (t *Tenant) SignIn(authorizeURL, who string) (*Answer, error) {
	return t.Browser(who).Visit(authorizeURL)
}

var (
	hiddenVisit = regexp.MustCompile(`name="visit" value="([^"]*)"`)
	formAction  = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formField   = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	pageCode    = regexp.MustCompile(`<p>AADSTS(\d+): ([^<]*)</p>`)
)

// Visit follows an authorize URL to the application's redirect URI, which it does not call. The error
// is a [*PageError] when a page ends the way.
func (b *Browser) Visit(authorizeURL string) (*Answer, error) {
	answer, err := b.walk(httptest.NewRequestWithContext(context.Background(), http.MethodGet, authorizeURL, nil))
	if answer == nil && err == nil {
		err = &PageError{Text: "the pages lead nowhere"}
	}
	return answer, err
}

// EnterCode approves a device: it types the user code and says yes.
func (b *Browser) EnterCode(userCode string) error {
	_, err := b.walk(newForm(b.tenant.base(nil)+"/devicelogin", url.Values{"otc": {userCode}}))
	return err
}

// walk submits one page after the other. Where a page asks nothing any more, there is no answer.
func (b *Browser) walk(request *http.Request) (*Answer, error) {
	for range 8 {
		response := b.send(request)
		body := response.Body.String()
		if location := response.Header().Get("Location"); location != "" {
			return answerFromURL(location)
		}
		if m := pageCode.FindStringSubmatch(body); m != nil {
			no := &PageError{Text: html.UnescapeString(m[2])}
			if _, err := fmt.Sscan(m[1], &no.Code); err != nil {
				return nil, fmt.Errorf("read a page: %w", err)
			}
			return nil, no
		}
		if response.Code != http.StatusOK {
			return nil, &PageError{Text: fmt.Sprintf("status %d", response.Code)}
		}
		next, answer, err := b.submit(request.URL, body)
		if answer != nil || err != nil || next == nil {
			return answer, err
		}
		request = next
	}
	return nil, &PageError{Text: "the pages lead nowhere"}
}

func newForm(target string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (b *Browser) send(r *http.Request) *httptest.ResponseRecorder {
	for _, cookie := range b.jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.tenant.ServeHTTP(w, r)
	b.jar.SetCookies(r.URL, w.Result().Cookies())
	return w
}

// submit fills in the form of a page: with the person's address, and with a yes to all questions.
func (b *Browser) submit(at *url.URL, body string) (*http.Request, *Answer, error) {
	action := formAction.FindStringSubmatch(body)
	if action == nil {
		return nil, nil, nil
	}
	target := html.UnescapeString(action[1])
	visit := hiddenVisit.FindStringSubmatch(body)
	if visit == nil {
		params := url.Values{}
		for _, m := range formField.FindAllStringSubmatch(body, -1) {
			params.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		return nil, &Answer{RedirectURI: target, Params: params, Mode: "form_post"}, nil
	}
	address := b.who
	if p := b.tenant.directory().person(b.who); p != nil {
		address = p.Address
	}
	form := url.Values{"visit": {html.UnescapeString(visit[1])}, "account": {address}, "answer": {"accept"}}
	to, err := at.Parse(target)
	if err != nil {
		return nil, nil, fmt.Errorf("read a form's action: %w", err)
	}
	return newForm(to.String(), form), nil, nil
}

func answerFromURL(location string) (*Answer, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("read the redirect: %w", err)
	}
	answer := &Answer{Mode: "query", Params: u.Query()}
	if u.Fragment != "" {
		answer.Mode = "fragment"
		if answer.Params, err = url.ParseQuery(u.EscapedFragment()); err != nil {
			return nil, fmt.Errorf("read the redirect: %w", err)
		}
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	answer.RedirectURI = u.String()
	return answer, nil
}
