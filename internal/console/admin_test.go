package console_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/grant"
)

// until asks again until the page says it: what was done is written down a moment later.
func (v *visitor) until(path, says string) string {
	v.h.t.Helper()
	text := ""
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if text = words(v.get(path).Body); strings.Contains(text, says) {
			return text
		}
	}
	v.h.t.Fatalf("%s never says %q: %s", path, says, text)
	return ""
}

func TestRefusalsNameTheNearestRule(t *testing.T) {
	h := openHouse(t, options{})
	bob, frank := h.signedIn("bob"), h.signedIn("frank")
	bob.get("/console/tools/weather")
	h.refusedCall(t, bob, "weather", "set_alert")
	h.refusedCall(t, bob, "weather", "set_alert")
	text := frank.until("/console/admin/refusals", "2 times")
	for _, want := range []string{"Bob Brandt", "set_alert", "Wanted the app role Weather.Write", "Nearest rule: writers ; roles: wanted the app role Weather.Write, got the app role Weather.Read"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing of %q: %s", want, text)
		}
	}
	if text := words(frank.get("/console/admin/refusals?q=nobody-of-that-name").Body); !strings.Contains(text, "Nothing was refused.") {
		t.Errorf("the filter does nothing: %s", text)
	}
}

func TestTheAuditIsFilteredAndItsChainVerified(t *testing.T) {
	h := openHouse(t, options{})
	bob, frank := h.signedIn("bob"), h.signedIn("frank")
	bob.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Kyoto"}})
	frank.until("/console/admin/audit?q=get_forecast", "Bob Brandt")
	if text := words(frank.get("/console/admin/audit?q=get_forecast&decision=refused").Body); !strings.Contains(text, "Nothing fits.") {
		t.Errorf("the filter by outcome does nothing: %s", text)
	}
	if text := words(frank.get("/console/admin/audit?verify=yes").Body); !strings.Contains(text, "The chain is intact") {
		t.Errorf("not verified: %s", text)
	}
	if strings.Contains(frank.get("/console/admin/audit").Body, "Kyoto") {
		t.Error("the log shows arguments that nobody asked for")
	}
}

func TestABrokenChainIsToldWithItsLine(t *testing.T) {
	h := openHouse(t, options{change: func(c *console.Config) {
		whole := c.Admin.Audit
		c.Admin.Audit = func(ctx context.Context) (io.ReadCloser, error) {
			log, err := whole(ctx)
			if err != nil {
				return nil, err
			}
			text, err := io.ReadAll(log)
			return io.NopCloser(bytes.NewReader(bytes.Replace(text, []byte("Bob Brandt"), []byte("Eve Brandt"), 1))), err
		}
	}})
	bob, frank := h.signedIn("bob"), h.signedIn("frank")
	bob.get("/console/tools/weather")
	frank.until("/console/admin/audit", "Eve Brandt")
	if text := words(frank.get("/console/admin/audit?verify=yes").Body); !strings.Contains(text, "The chain is broken Line ") {
		t.Errorf("a changed line goes unnoticed: %s", text)
	}
}

func TestAnAdministratorEndsSessionsAndItIsWrittenDown(t *testing.T) {
	h := openHouse(t, options{})
	alice, bob, frank := h.signedIn("alice"), h.signedIn("bob"), h.signedIn("frank")
	alice.get("/console/tools")
	bob.get("/console/tools")
	owner := entratest.TenantID + "/" + entratest.AliceID
	if got := frank.post("/console/admin/sessions/end", url.Values{"person": {owner}}); got.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.Status, words(got.Body))
	}
	if left := must(h.Grants.List(t.Context(), grant.Query{Owner: owner})).Grants; len(left) != 0 {
		t.Errorf("alice still has %d sessions", len(left))
	}
	others := must(h.Grants.List(t.Context(), grant.Query{Owner: entratest.TenantID + "/" + entratest.BobID})).Grants
	if len(others) == 0 {
		t.Fatal("bob lost his sessions too")
	}
	frank.post("/console/admin/sessions/end", url.Values{"session": {others[0].ID}})
	if left := must(h.Grants.List(t.Context(), grant.Query{Owner: entratest.TenantID + "/" + entratest.BobID})).Grants; len(left) != len(others)-1 {
		t.Errorf("bob has %d sessions of %d", len(left), len(others))
	}
	text := frank.until("/console/admin/audit?kind=token", "2 sessions were ended in the console")
	if !strings.Contains(text, "Frank Fontaine") || !strings.Contains(text, "for "+owner) {
		t.Errorf("it isn't written down who did that to whom: %s", text)
	}
}

func TestThePlaygroundDecidesByEditedRulesAndSaysWhy(t *testing.T) {
	h := openHouse(t, options{})
	frank := h.signedIn("frank")
	try := func(form url.Values) string {
		form.Set("server", "weather")
		return words(frank.post("/console/admin/policy", form).Body)
	}
	rules := "- {name: warm, allow: [set_alert], roles: [Weather.Read], when: 'args.above > 20'}\n"
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"as configured":     {url.Values{"roles": {"Weather.Read"}, "tool": {"set_alert"}}, "somebody calls set_alert: refused Wanted the app role Weather.Write"},
		"edited, allowed":   {url.Values{"rules": {rules}, "roles": {"Weather.Read"}, "tool": {"set_alert"}, "arguments": {`{"above": 30}`}}, "somebody calls set_alert: allowed by warm"},
		"edited, refused":   {url.Values{"rules": {rules}, "roles": {"Weather.Read"}, "tool": {"set_alert"}, "arguments": {`{"above": 3}`}}, "somebody calls set_alert: refused"},
		"no YAML":           {url.Values{"rules": {"- {"}, "tool": {"x"}}, "1 mistake The rules are not a list of rules in YAML"},
		"an unknown key":    {url.Values{"rules": {"- {alow: [x]}"}, "tool": {"x"}}, "1 mistake"},
		"two mistakes":      {url.Values{"rules": {"- {name: a}\n- {allow: ['x?']}"}, "tool": {"x"}}, "2 mistakes"},
		"no tool":           {url.Values{"roles": {"x"}}, "Name the tool"},
		"arguments no JSON": {url.Values{"tool": {"x"}, "arguments": {"x"}}, "The arguments must be one JSON object."},
	} {
		if got := try(c.form); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTheLastDayIsReplayedAgainstEditedRules(t *testing.T) {
	h := openHouse(t, options{})
	alice, bob, frank := h.signedIn("alice"), h.signedIn("bob"), h.signedIn("frank")
	bob.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Kyoto"}})
	h.refusedCall(t, bob, "weather", "set_alert")
	alice.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Oslo"}})
	frank.until("/console/admin/audit?q=Alice", "get_forecast")
	replay := func(rules string) string {
		return words(frank.post("/console/admin/policy", url.Values{"server": {"weather"}, "do": {"replay"}, "rules": {rules}}).Body)
	}
	same := "- {name: readers, allow: [list_cities, get_forecast], roles: [Weather.Read]}\n- {name: writers, allow: [set_alert], roles: [Weather.Write]}\n"
	if text := replay(same); !strings.Contains(text, "3 calls: 3 decided alike, 0 kinds decided otherwise") {
		t.Errorf("the rules in force: %s", text)
	}
	stricter := "- {name: all, allow: ['*'], roles: [Weather.Write]}\n"
	if text := replay(stricter); !strings.Contains(text, "3 calls: 2 decided alike, 1 kinds decided otherwise") || !strings.Contains(text, "Bob Brandt with genkan-console get_forecast 1 allowed refused") {
		t.Errorf("stricter rules: %s", text)
	}
	if text := replay("- {name: all, allow: ['*']}\n"); !strings.Contains(text, "set_alert 1 refused allowed allowed by all") {
		t.Errorf("laxer rules: %s", text)
	}
	h.clock.Advance(25 * time.Hour)
	frank = h.signedIn("frank")
	if text := replay(stricter); !strings.Contains(text, "0 calls") {
		t.Errorf("calls of the day before count: %s", text)
	}
}

func TestChartsAreDrawnFromOurOwnMetrics(t *testing.T) {
	h := openHouse(t, options{})
	frank := h.signedIn("frank")
	for range 4 {
		frank.get("/console/admin")
		frank.get("/console/tools/weather")
		h.clock.Advance(20 * time.Second)
	}
	page := frank.get("/console/admin").Body
	if n := strings.Count(page, `class="curve"`); n != 3 || !strings.Contains(page, "Requests: now ") {
		t.Errorf("%d curves: %s", n, words(page))
	}
	text := words(page)
	for _, want := range []string{"Ledger server", "not well: see the log", "Store store", "well"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing of %q: %s", want, text)
		}
	}
	if !strings.Contains(h.Log.String(), "secret-internal-host") {
		t.Error("the log doesn't say why the probe failed")
	}
}

func TestTheSamplerEndsWithItsContext(t *testing.T) {
	h := openHouse(t, options{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h.k.Run(ctx)
}

// A house without a log, metrics or an inventory still serves its other pages.
func TestWhatIsNotConfiguredHasNoPage(t *testing.T) {
	h := openHouse(t, options{change: func(c *console.Config) { c.Admin, c.Record = console.Admin{}, nil }})
	frank := h.signedIn("frank")
	for path, want := range map[string]int{
		"/console/admin": http.StatusOK, "/console/admin/sessions": http.StatusOK, "/console/admin/policy": http.StatusOK, "/console/tools": http.StatusOK,
		"/console/admin/audit": http.StatusNotFound, "/console/admin/refusals": http.StatusNotFound,
	} {
		if got := frank.get(path); got.Status != want {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
}

func TestANewConsoleSaysEveryMistakeAtOnce(t *testing.T) {
	_, err := console.New(console.Config{Downstream: []console.Downstream{{Title: "Nameless"}}})
	if err == nil || strings.Count(err.Error(), "console: ") != 7 {
		t.Errorf("%v", err)
	}
}
