package authserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// chromium opens a tab of a browser of its own.
func chromium(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	timed, stop := context.WithTimeout(tab, 60*time.Second)
	t.Cleanup(stop)
	return timed
}

func do(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t *testing.T, tab context.Context, question chromedp.Action[T]) T {
	t.Helper()
	answer, err := chromedp.Run(tab, question)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// outside is everything that is not the house: an identity provider that has a session already and answers at
// once, by way of another host, and a client that waits for its redirect.
func outside(t *testing.T, h *house) (redirect string, arrivals <-chan *url.URL) {
	t.Helper()
	var base string
	arrived := make(chan *url.URL, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/authorize":
			http.Redirect(w, r, strings.Replace(base, "127.0.0.1", "localhost", 1)+"/federated?"+r.URL.RawQuery, http.StatusFound)
		case "/federated":
			http.Redirect(w, r, h.URL+"/callback?"+url.Values{"state": {r.URL.Query().Get("state")}, "code": {"idp-code-alice"}}.Encode(), http.StatusFound)
		case "/frame":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<p id="trap">Win a prize</p><iframe id="frame" src="%s"></iframe>`, r.URL.Query().Get("src"))
		case "/callback":
			arrived <- r.URL
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	base = server.URL
	h.provider.base = base
	return base + "/callback", arrived
}

// click presses a button of the page. A page that follows is not waited for.
func click(t *testing.T, tab context.Context, button string) {
	t.Helper()
	ask(t, tab, chromedp.Evaluate[bool](`(document.querySelector('button[value="`+button+`"]').click(), true)`))
}

func TestChromiumGetsThroughConsentAndDenialInSpiteOfTheContentPolicy(t *testing.T) {
	h := newHouse(t)
	redirect, arrivals := outside(t, h)
	c := h.register(map[string]any{"redirect_uris": []string{redirect}})
	for button, want := range map[string]string{"allow": "code", "deny": "error"} {
		tab := chromium(t)
		do(t, tab, chromedp.Navigate(c.authorizeURL("redirect_uri", redirect)))
		click(t, tab, button)
		select {
		case at := <-arrivals:
			if at.Query().Get(want) == "" || at.Query().Get("iss") != h.URL {
				t.Errorf("%s: arrived at %s", button, at)
			}
		case <-tab.Done():
			t.Errorf("%s: the client never heard of it", button)
		}
	}
}

func TestThreat03_ConsentPageCanNotBeFramed(t *testing.T) {
	h := newHouse(t)
	redirect, _ := outside(t, h)
	c := h.register(map[string]any{"redirect_uris": []string{redirect}})
	frame := strings.TrimSuffix(redirect, "/callback") + "/frame?src=" + url.QueryEscape(c.authorizeURL("redirect_uri", redirect))
	tab := chromium(t)
	do(t, tab, chromedp.Navigate(frame))
	tree := ask(t, tab, chromedp.Action[page.GetFrameTreeResult](func(ctx context.Context, target *chromedp.Target) (page.GetFrameTreeResult, error) {
		return cdp.Call(ctx, target, page.GetFrameTree, cdp.Empty{})
	}))
	if len(tree.FrameTree.ChildFrames) != 1 {
		t.Fatalf("the trap has %d frames", len(tree.FrameTree.ChildFrames))
	}
	if inside := tree.FrameTree.ChildFrames[0].Frame; !strings.HasPrefix(inside.URL, "chrome-error:") || !strings.HasPrefix(inside.UnreachableURL, h.URL+"/consent") {
		t.Errorf("the frame shows %s (unreachable: %s)", inside.URL, inside.UnreachableURL)
	}
}

// The pages are looked at by people; this keeps pictures of them when the test runs with -artifacts.
func TestPagesFitEveryWidthAndScheme(t *testing.T) {
	h := newHouse(t)
	redirect, _ := outside(t, h)
	c := h.register(map[string]any{"redirect_uris": []string{redirect}, "client_name": "Claude Code (weather)"})
	pages := map[string]string{
		"consent": c.authorizeURL("redirect_uri", redirect, "scope", "mcp alerts"),
		"error":   c.authorizeURL("redirect_uri", "https://evil.example/"),
		"over":    h.URL + "/consent?sign_in=" + strings.Repeat("0", 52),
	}
	tab := chromium(t)
	for name, address := range pages {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{360, 1024} {
				do(t, tab,
					chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
						media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
						if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media}); err != nil {
							return err
						}
						_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1})
						return err
					}),
					chromedp.Navigate(address),
				)
				if title := ask(t, tab, chromedp.Evaluate[string](`document.querySelector("h1").innerText`)); title == "" {
					t.Errorf("%s: the page has no heading", name)
				}
				overflow := ask(t, tab, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
				picture := ask(t, tab, chromedp.FullScreenshot(100))
				if overflow {
					t.Errorf("%s at %d pixels: the page is wider than the window", name, width)
				}
				file := filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%s-%d.png", name, scheme, width))
				if err := os.WriteFile(file, picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
