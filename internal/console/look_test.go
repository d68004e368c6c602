package console_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pagesToLook are all pages with something on them, each for the person who sees most of it.
func pagesToLook() []string {
	return []string{
		"/console/", "/console/tokens", "/console/tools", "/console/tools/weather/get_forecast", "/console/tools/lab/book_trip", "/console/chat",
		"/console/sessions", "/console/install", "/console/admin", "/console/admin/sessions", "/console/admin/audit?verify=yes",
		"/console/admin/refusals", "/console/admin/policy", "/console/nowhere",
	}
}

func nameOf(path string) string {
	return strings.Trim(strings.NewReplacer("/console/", "", "/", "-", "?verify=yes", "").Replace(path), "-")
}

// lived is a house in which things happened, so that every page has something to show.
func lived(t *testing.T) (*house, *chrome) {
	h := openHouse(t, options{extras: []extra{lab()}})
	bob := h.signedIn("bob")
	bob.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Kyoto"}, "arg.days": {"2"}})
	bob.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Atlantis"}})
	h.refusedCall(t, bob, "weather", "set_alert")
	frank := h.signedIn("frank")
	for range 6 {
		h.clock.Advance(20 * time.Second)
		frank.get("/console/tools/weather")
		frank.get("/console/admin")
	}
	c := h.chrome()
	c.signIn("frank")
	c.open("/console/tokens")
	c.click("#service-search button")
	c.wait("Entra gave the token")
	c.open("/console/tools/weather/get_forecast")
	c.write(`[name="arg.city"]`, "Kyoto")
	c.click("#call [type=submit]")
	c.see(".outcome")
	c.open("/console/chat")
	c.write("#text", "Tell me about myself\r")
	c.wait("This is what it says")
	return h, c
}

// TestLookAtEveryPage checks each page as axe-core sees it, in both schemes, and takes pictures when asked to.
func TestLookAtEveryPage(t *testing.T) {
	_, c := lived(t)
	for _, path := range pagesToLook() {
		for _, scheme := range []string{"light", "dark"} {
			c.view(1024, scheme)
			c.open(path)
			for _, violation := range c.axe() {
				t.Errorf("%s, %s: %s", path, scheme, violation)
			}
			c.view(360, scheme)
			if wide := eval[int](c, `document.documentElement.scrollWidth`); wide > 360 {
				t.Errorf("%s is %d pixels wide in a window of 360", path, wide)
			}
			if *shots == "" {
				continue
			}
			for _, width := range []int64{360, 1024, 1600} {
				c.view(width, scheme)
				c.shoot(nameOf(path) + "-" + strconv.FormatInt(width, 10) + "-" + scheme)
			}
		}
	}
	for _, trouble := range c.troubles() {
		if !strings.Contains(trouble, "404") { // the page that isn't there says so
			t.Errorf("an error in the browser: %s", trouble)
		}
	}
}
