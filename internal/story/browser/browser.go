// Package browser is a person's browser as a program, for tests: it follows redirects, keeps cookies and submits
// forms. It runs no JavaScript, so whatever it can walk works without.
package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Browser is one browser with its cookies. It is not safe for concurrent use.
type Browser struct {
	client *http.Client
	pages  []string // titles of the pages seen, for messages
}

// New opens a browser without cookies.
func New() *Browser {
	jar, _ := cookiejar.New(nil)
	return &Browser{client: &http.Client{
		Jar:           jar,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// SignIn opens an authorize address as person, says yes to the consent page, and returns the address at
// which the client would be called back.
func (b *Browser) SignIn(ctx context.Context, authorize, callback, person string) (*url.URL, error) {
	return b.Walk(ctx, authorize, callback, person, "allow")
}

// Walk presses the button with the person's address where there is one, else the button whose value is
// answer, until it is sent to an address that starts with callback.
func (b *Browser) Walk(ctx context.Context, start, callback, person, answer string) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, start, nil)
	if err != nil {
		return nil, err
	}
	for range 20 {
		if strings.HasPrefix(req.URL.String(), callback) {
			return req.URL, nil
		}
		resp, err := b.client.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		req, err = b.next(ctx, resp, body, person, answer)
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the sign-in does not end; pages: %q", b.pages)
}

// secondFactor is the button that stands for the telephone in the person's hand.
const secondFactor = "Approve"

// next is where the browser goes from a response: the redirect, the refresh, or the form with the right button.
func (b *Browser) next(ctx context.Context, resp *http.Response, body []byte, person, answer string) (*http.Request, error) {
	base := resp.Request.URL
	if location := resp.Header.Get("Location"); location != "" {
		return b.get(ctx, base, location)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	b.pages = append(b.pages, text(find(root, func(n *html.Node) bool { return n.Data == "title" })))
	if refresh := find(root, func(n *html.Node) bool {
		return n.Data == "meta" && strings.EqualFold(attr(n, "http-equiv"), "refresh")
	}); refresh != nil {
		if _, target, ok := strings.Cut(attr(refresh, "content"), "url="); ok {
			return b.get(ctx, base, target)
		}
	}
	for _, wanted := range []string{person, answer, secondFactor} {
		if wanted == "" {
			continue
		}
		button := find(root, func(n *html.Node) bool {
			return (n.Data == "button" || n.Data == "a" || n.Data == "input") &&
				(attr(n, "value") == wanted || strings.Contains(text(n), wanted) || strings.EqualFold(text(n), wanted))
		})
		if button == nil {
			continue
		}
		if button.Data == "a" {
			return b.get(ctx, base, attr(button, "href"))
		}
		return submit(ctx, base, button)
	}
	return nil, fmt.Errorf("status %d, page %q: no button for %q or %q:\n%s", resp.StatusCode, b.pages[len(b.pages)-1], person, answer, text(root))
}

func (b *Browser) get(ctx context.Context, base *url.URL, location string) (*http.Request, error) {
	target, err := base.Parse(location)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
}

// submit sends the form around a button, with the button's own name and value.
func submit(ctx context.Context, base *url.URL, button *html.Node) (*http.Request, error) {
	form := button.Parent
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		return nil, fmt.Errorf("the button %q stands in no form", text(button))
	}
	values := url.Values{}
	each(form, func(n *html.Node) {
		if n.Data == "input" && attr(n, "name") != "" && attr(n, "type") != "submit" &&
			(attr(n, "type") != "checkbox" || has(n, "checked")) {
			values.Add(attr(n, "name"), attr(n, "value"))
		}
	})
	if attr(button, "name") != "" {
		values.Set(attr(button, "name"), attr(button, "value"))
	}
	target, err := base.Parse(attr(form, "action"))
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(attr(form, "method"), http.MethodPost) {
		target.RawQuery = values.Encode()
		return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", base.Scheme+"://"+base.Host)
	return req, nil
}

func find(n *html.Node, match func(*html.Node) bool) *html.Node {
	var found *html.Node
	each(n, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && match(n) {
			found = n
		}
	})
	return found
}

func each(n *html.Node, visit func(*html.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for c := range n.ChildNodes() {
		each(c, visit)
	}
}

func text(n *html.Node) string {
	var b strings.Builder
	each(n, func(n *html.Node) {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			b.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
