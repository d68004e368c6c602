package entra_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/policy"
)

func newGraph(t *testing.T, client *entra.Client, config entra.GraphConfig) *entra.Graph {
	t.Helper()
	graph, err := client.Graph(config)
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

func TestGraphAnswersForThePersonAndSaysHowOldItIs(t *testing.T) {
	tenant := entratest.Start(t)
	var time0 clock
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Now = time0.now })
	graph := newGraph(t, client, entra.GraphConfig{})
	alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	profile, age, err := graph.Me(t.Context(), alice)
	if err != nil || age != 0 {
		t.Fatalf("first read: age %s, %v", age, err)
	}
	want := entra.Profile{Object: entratest.AliceID, Name: "Alice Arai", Username: "alice@contoso.example", Mail: profile.Mail, JobTitle: "Meteorologist"}
	if diff := cmp.Diff(want, profile); diff != "" {
		t.Errorf("profile (-want +got):\n%s", diff)
	}
	time0.advance(time.Minute)
	if _, age, err = graph.Me(t.Context(), alice); err != nil || age < time.Minute || len(tenant.Calls("/me")) != 1 {
		t.Errorf("a minute later: want the kept answer, a minute old, got age %s, %v", age, err)
	}
	bob, _, err := graph.Me(t.Context(), entra.Assertion{Token: signInAs(t, client, tenant, "bob").Token})
	if err != nil || bob.Object != entratest.BobID {
		t.Errorf("bob got %+v, %v", bob, err)
	}
	time0.advance(5 * time.Minute)
	if _, age, err = graph.Me(t.Context(), alice); err != nil || age != 0 || len(tenant.Calls("/me")) != 3 {
		t.Errorf("after five minutes: want a fresh answer, got age %s, %v", age, err)
	}
}

func TestGraphsAnswersDoNotFillTheMemory(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	graph, alice := newGraph(t, client, entra.GraphConfig{ReadAge: time.Hour}), entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	read := func(i int) (fetched bool) {
		var into struct{ ID string }
		age, err := graph.Get(t.Context(), alice, fmt.Sprintf("/me?n=%d", i), &into)
		if err != nil {
			t.Fatal(err)
		}
		return age == 0
	}
	const many = 2100
	for i := range many {
		read(i)
		if i%500 == 0 && read(7) != (i == 0) {
			t.Errorf("after %d others, what is asked for often was forgotten", i)
		}
	}
	if read(many-1) || !read(8) {
		t.Error("want the latest kept and the oldest forgotten")
	}
}

func TestAGraphThatHangsTakesNoLongerThanTheCallerWaits(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	tenant.FailNext(entratest.Fault{Path: "/me", Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := newGraph(t, client, entra.GraphConfig{}).Me(ctx, alice)
	wantUnavailable(t, err)
}

func TestGraphIsAskedAgainWhenItWantsPatience(t *testing.T) {
	for name, fault := range map[string]entratest.Fault{
		"throttled":     {Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		"fault":         {Path: "/me", Status: http.StatusServiceUnavailable, Times: 2},
		"hung up":       {Path: "/me", Drop: true},
		"proxy's fault": {Path: "/me", Status: http.StatusBadGateway, Body: "<html></html>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := entratest.Start(t)
			client := newClient(t, tenant)
			alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
			tenant.FailNext(fault)
			before := time.Now()
			profile, _, err := newGraph(t, client, entra.GraphConfig{}).Me(t.Context(), alice)
			if err != nil || profile.Object != entratest.AliceID {
				t.Errorf("want the profile in the end, got %v", err)
			}
			if waited := time.Since(before); waited < fault.RetryAfter {
				t.Errorf("want to wait %s, waited %s", fault.RetryAfter, waited)
			}
		})
	}
}

func TestGraphThatWantsTooMuchPatienceIsUnavailable(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Minute})
	_, _, err := newGraph(t, client, entra.GraphConfig{}).Me(t.Context(), alice)
	if got := wantError(t, err, 0, entra.Unavailable).RetryAfter; got != 5*time.Minute {
		t.Errorf("retry after: want 5m, got %s", got)
	}
}

func TestAClaimsChallengeOfGraphNeedsThePerson(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	graph := newGraph(t, client, entra.GraphConfig{})
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	tenant.FailNext(entratest.Fault{Path: "/me", Challenge: claims})
	_, _, err := graph.Me(t.Context(), alice)
	challenge := wantInteraction(t, err, 50076)
	if challenge == "" {
		t.Fatal("want the claims that the person must satisfy")
	}
	// With them the person comes back, and Graph is content.
	request := signInRequest()
	request.Claims = challenge
	stronger, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", request)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := graph.Me(t.Context(), entra.Assertion{Token: stronger.Token}); err != nil {
		t.Errorf("after the stronger sign-in: %v", err)
	}
	// A challenge that nothing satisfies does not go round in circles.
	tenant.FailNext(entratest.Fault{Path: "/me", Challenge: `{"access_token":{"xms_cc":{"values":["cp1"]}}}`, Times: -1})
	bob := entra.Assertion{Token: signInAs(t, client, tenant, "bob").Token}
	_, _, err = graph.Me(t.Context(), bob)
	if got := wantInteraction(t, err, 0); got != `{"access_token":{"xms_cc":{"values":["cp1"]}}}` {
		t.Errorf("claims: got %s", got)
	}
}

func TestGraphsRefusalsAreSorted(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice := entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	graph := newGraph(t, client, entra.GraphConfig{ReadAge: -1})
	tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusForbidden})
	_, _, err := graph.Me(t.Context(), alice)
	wantError(t, err, 0, entra.Denied)
	var into any
	_, err = graph.Get(t.Context(), alice, "/nothing/here", &into)
	wantError(t, err, 0, entra.Misuse)
	for _, path := range []string{"me", "/../admin", "/users/../../x", "", "/me\x00", ".evil.example/me", "@evil.example/"} {
		if _, err := graph.Get(t.Context(), alice, path, &into); err == nil {
			t.Errorf("path %q: want a mistake", path)
		}
	}
	if _, err := graph.Get(t.Context(), entra.Assertion{}, "/me", &into); err == nil {
		t.Error("no assertion: want an error")
	}
}

func TestChallengeClaimsReadsWhatEntrasServicesWrite(t *testing.T) {
	for name, c := range map[string]struct{ header, want string }{
		"padded":           {`Bearer realm="", error="insufficient_claims", claims="eyJhIjp7fX0="`, `{"a":{}}`},
		"unpadded":         {`Bearer error="insufficient_claims", claims="eyJhIjp7fX0"`, `{"a":{}}`},
		"another error":    {`Bearer error="invalid_token", claims="eyJhIjp7fX0="`, ""},
		"no claims":        {`Bearer error="insufficient_claims"`, ""},
		"not base64":       {`Bearer error="insufficient_claims", claims="%%%"`, ""},
		"not JSON":         {`Bearer error="insufficient_claims", claims="YWJj"`, ""},
		"not an object":    {`Bearer error="insufficient_claims", claims="W10="`, ""},
		"nothing":          {"", ""},
		"quote left open":  {`Bearer error="insufficient_claims", claims="eyJhIjp7fX0=`, `{"a":{}}`},
		"another scheme 1": {`Basic realm="x"`, ""},
	} {
		if got := entra.ChallengeClaims(http.Header{"Www-Authenticate": {c.header}}); got != c.want {
			t.Errorf("%s: want %q, got %q", name, c.want, got)
		}
	}
}

// Erin is in 250 groups: her tokens name none, and Graph is asked.
func TestThreat29_MoreGroupsThanFitAreReadFromGraphAndFailClosed(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	erin := signInAs(t, client, tenant, "erin")
	if got := len(erin.Identity.Groups); got != 250 {
		t.Errorf("groups: want 250, got %d", got)
	}
	// Each refresh reads them anew.
	tenant.Change(func(d *entratest.Directory) {
		for i := range d.People {
			if d.People[i].Alias == "erin" {
				d.People[i].Groups = d.People[i].Groups[:240]
			}
		}
	})
	again, err := client.Refresh(t.Context(), erin.State)
	if err != nil || len(again.Identity.Groups) != 240 {
		t.Fatalf("groups after ten were left: want 240, got %d, %v", len(again.Identity.Groups), err)
	}
	// A token that is shown again is not looked up again.
	before := len(tenant.Calls("/me/getMemberObjects"))
	verified, err := client.Verifier().Verify(t.Context(), again.Token.Reveal())
	if err != nil || len(verified.Identity.Groups) != 240 || len(tenant.Calls("/me/getMemberObjects")) != before {
		t.Errorf("shown again: want the kept groups, got %v", err)
	}
	// Graph down: not a "no", but not a yes either.
	tenant.FailNext(entratest.Fault{Path: "/me/getMemberObjects", Status: http.StatusTooManyRequests, RetryAfter: time.Hour})
	_, err = client.Refresh(t.Context(), again.State)
	wantUnavailable(t, err)
	// Graph says no, or half: refused.
	for name, fault := range map[string]entratest.Fault{
		"forbidden": {Path: "/me/getMemberObjects", Status: http.StatusForbidden},
		"half":      {Path: "/me/getMemberObjects", Body: `{"value":["` + testOther + `"],"@odata.nextLink":"https://graph.microsoft.com/next"}`},
		"nothing":   {Path: "/me/getMemberObjects", Body: `{}`},
	} {
		tenant.FailNext(fault)
		_, err = client.Refresh(t.Context(), again.State)
		if !wantRefusal(t, err, policy.CheckGroups) && errors.Unwrap(err) == nil {
			t.Errorf("%s: want a cause for the log, got %v", name, err)
		}
	}
	tenant.WithdrawConsent(entratest.GenkanID, entratest.GraphID)
	_, err = newClient(t, tenant).Refresh(t.Context(), again.State)
	wantRefusal(t, err, policy.CheckGroups)
	// Whoever has no rules about groups need not care.
	ignoring := newClient(t, tenant, func(c *entra.ClientConfig) { c.IgnoreGroups = true })
	if careless, err := ignoring.Refresh(t.Context(), again.State); err != nil || careless.Identity.Groups != nil {
		t.Errorf("ignoring groups: want erin without groups, got %v", err)
	}
}
