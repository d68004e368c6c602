package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is a real browser in which somebody clicks through the pages, up to the one of the bridge itself.
func chromium(t *testing.T, person string) func(ctx context.Context, address string) error {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	look := chromedp.Evaluate[string](fmt.Sprintf(`(() => {
		const button = [...document.querySelectorAll('button')].find((b) => b.value === 'allow' || (b.textContent + b.value).includes(%q));
		if (button && !window.clicked) { window.clicked = true; button.click(); }
		return document.title + ': ' + (document.querySelector('h1') || {}).textContent;
	})()`, person))
	return func(_ context.Context, address string) error {
		if err := chromedp.Do(tab, chromedp.Navigate(address)); err != nil {
			return fmt.Errorf("open the sign-in page: %w", err)
		}
		seen := ""
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			title, err := chromedp.Run(tab, look)
			if err != nil {
				continue // the next page is on its way
			}
			if seen = title; strings.HasPrefix(title, "You are signed in · Genkan: You are signed in") {
				return nil
			}
		}
		return fmt.Errorf("the sign-in does not end; the last page is %q", seen)
	}
}

func TestInChromiumTheSignInEndsOnThePageOfTheBridge(t *testing.T) {
	d := openDoor(t)
	const person = "alice@contoso.example"
	alice := deskWith(t, nil, chromium(t, person))
	tools, text, end, err := alice.use(t.Context(), alice.command(d.URL+"/weather/mcp"))
	alice.wantUsed(t, tools, text, err)
	_ = end()
	alice.wantPages(t, 1)
}
