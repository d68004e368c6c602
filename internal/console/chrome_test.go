package console_test

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// shots is where `go test -run Look -shots DIR` puts pictures of every page.
var shots = flag.String("shots", "", "put screenshots of every page into this folder")

// chrome is a real browser with one tab, and everything in it that should not be: errors, and requests to other hosts.
type chrome struct {
	t   *testing.T
	h   *house
	ctx context.Context

	mu     sync.Mutex // guards what follows
	errors []string
	hosts  map[string]bool
}

func (h *house) chrome() *chrome {
	h.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(h.t.TempDir()), chromedp.WSURLReadTimeout(60*time.Second),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	h.t.Cleanup(cancel)
	ctx, closeTab := chromedp.NewContext(allocator)
	h.t.Cleanup(closeTab)
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	h.t.Cleanup(stop)
	c := &chrome{t: h.t, h: h, ctx: ctx, hosts: map[string]bool{}}
	if err := chromedp.Listen(ctx, c.hear); err != nil {
		h.t.Fatal(err)
	}
	must(chromedp.Call(ctx, log.Enable, cdp.Empty{}))
	must(chromedp.Call(ctx, network.Enable, network.EnableParams{}))
	return c
}

func (c *chrome) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			c.errors = append(c.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		c.errors = append(c.errors, fmt.Sprint(e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" {
			c.errors = append(c.errors, fmt.Sprint(e.Args))
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" {
			c.hosts[u.Host] = true
		}
	}
}

// void is a step in the browser.
type void = chromedp.Action[chromedp.Void]

func (c *chrome) run(steps ...void) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, steps...); err != nil {
		c.fail(err)
	}
}

func (c *chrome) fail(err error) {
	c.t.Helper()
	text, _ := chromedp.Run(c.ctx, chromedp.Text(chromedp.CSS("body")))
	c.t.Fatalf("%v; the page says: %s; errors: %q", err, text, c.troubles())
}

func (c *chrome) troubles() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.errors...)
}

// clean fails the test if anything went wrong in the browser, or anything was asked of a host that isn't ours.
func (c *chrome) clean() {
	c.t.Helper()
	if troubles := c.troubles(); len(troubles) > 0 {
		c.t.Errorf("errors in the browser: %q", troubles)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ours, tenant := must(url.Parse(c.h.URL)).Host, must(url.Parse(c.h.Tenant.URL)).Host
	for host := range c.hosts {
		if host != ours && host != tenant {
			c.t.Errorf("a page asked %s", host)
		}
	}
}

func (c *chrome) open(path string) {
	c.t.Helper()
	c.run(chromedp.Navigate(c.h.URL+path), chromedp.WaitReady(chromedp.CSS("main")))
}

func (c *chrome) click(selector string) {
	c.t.Helper()
	c.run(chromedp.Click(chromedp.CSS(selector)))
}

func (c *chrome) write(selector, text string) {
	c.t.Helper()
	c.run(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// signIn clicks through the sign-in as a person does.
func (c *chrome) signIn(who string) {
	c.t.Helper()
	c.open("/console/")
	c.run(
		chromedp.Click(`//main//a[contains(., "Sign in")]`),
		chromedp.Click(`//button[contains(., "`+who+`@")]`),
		chromedp.WaitVisible(chromedp.CSS(".bar .account")),
	)
	c.wait("Good to see you")
}

// see waits until the selector is visible.
func (c *chrome) see(selector string) {
	c.t.Helper()
	c.run(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// wait waits until the text of the page, or of the one that is just coming, holds the words.
func (c *chrome) wait(words string) {
	c.t.Helper()
	const holds = `(words) => (document.querySelector('main')?.innerText ?? '').replace(/\s+/g, ' ').includes(words)`
	var err error
	for range 50 { // a page that goes takes the question with it
		_, err = chromedp.Run(c.ctx, chromedp.PollFunction[bool](holds, chromedp.WithPollingArgs(words), chromedp.WithPollingTimeout(15*time.Second)))
		if err == nil || !strings.Contains(err.Error(), "(-32000)") {
			break
		}
	}
	if err != nil {
		c.fail(fmt.Errorf("wait for %q: %w", words, err))
	}
}

func (c *chrome) text(selector string) string {
	c.t.Helper()
	text, err := chromedp.Run(c.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		c.fail(err)
	}
	return strings.Join(strings.Fields(text), " ")
}

// eval runs a script past the page's policy, as its developer tools could.
func eval[T any](c *chrome, script string) T {
	c.t.Helper()
	value, err := chromedp.Run(c.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		c.fail(err)
	}
	return value
}

// view sets how large the window is and whether it is dark.
func (c *chrome) view(width int64, scheme string) {
	c.t.Helper()
	must(chromedp.Call(c.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500}))
	must(chromedp.Call(c.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

func (c *chrome) shoot(name string) {
	c.t.Helper()
	eval[chromedp.Void](c, `scrollTo(0, 0)`)
	for suffix, take := range map[string]chromedp.Action[[]byte]{"": chromedp.FullScreenshot(100), "-top": chromedp.CaptureScreenshot()} {
		picture, err := chromedp.Run(c.ctx, take)
		if err != nil {
			c.fail(err)
		}
		if err := os.WriteFile(filepath.Join(*shots, name+suffix+".png"), picture, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// axe runs axe-core on the page and returns what it finds serious or worse.
func (c *chrome) axe() []string {
	c.t.Helper()
	script := must(os.ReadFile(filepath.Join("..", "story", "node", "node_modules", "axe-core", "axe.min.js")))
	eval[chromedp.Void](c, string(script))
	return eval[[]string](c, `axe.run(document, {resultTypes: ['violations']}).then(r => r.violations
		.filter(v => v.impact === 'serious' || v.impact === 'critical')
		.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160) + ' ' + (n.any[0] ? n.any[0].message : '')).join(' | ')))`)
}
