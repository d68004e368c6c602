package authserver_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
)

func TestAnOutageOfTheProviderEndsNothingAndSaysWhenToComeBack(t *testing.T) {
	h := newHouse(t)
	c, _, got := h.connect()
	h.provider.setFail(func(step string) error {
		return &idp.Error{Problem: idp.Unavailable, RetryAfter: 7 * time.Second, Cause: errors.New("503 for " + step)}
	})
	a := c.refresh(got.refresh)
	a.wantError(t, "outage", http.StatusServiceUnavailable, oauth.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	b := h.browser()
	h.provider.setFail(nil)
	state := b.allow(b.open(c.authorizeURL()))
	h.provider.setFail(func(string) error { return &idp.Error{Problem: idp.Unavailable} })
	h.wantClientError(b.comeBack(state, "alice").location(t), "outage at the callback", oauth.TemporarilyUnavailable)
	h.provider.setFail(nil)
	c.refresh(got.refresh).tokens(t)
}

func TestEachProblemOfTheProviderIsTheRightErrorAtARefresh(t *testing.T) {
	for problem, want := range map[idp.Problem]struct {
		status int
		code   oauth.Code
		lives  bool
	}{
		idp.Ended:       {400, oauth.InvalidGrant, false},
		idp.Denied:      {400, oauth.InvalidGrant, false},
		idp.Interaction: {400, oauth.InvalidGrant, true},
		idp.Unavailable: {503, oauth.TemporarilyUnavailable, true},
		idp.Misuse:      {500, oauth.ServerError, true},
	} {
		h := newHouse(t)
		c, _, got := h.connect()
		h.provider.setFail(func(string) error {
			return &idp.Error{Problem: problem, Cause: errors.New("AADSTS1: inner secret words")}
		})
		a := c.refresh(got.refresh)
		a.wantError(t, string(problem), want.status, want.code)
		if strings.Contains(a.body, "AADSTS") {
			t.Errorf("%s: the cause came out: %s", problem, a.body)
		}
		if h.works(got.access, "weather") != want.lives {
			t.Errorf("%s: the session lives: %t", problem, !want.lives)
		}
	}
}

func TestWithoutAnAuditLogNothingIsGivenOutAndNothingIsBurnt(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	code := b.signIn(c.authorizeURL(), "alice")
	h.events.down = errors.New("disk full")
	c.redeem(code).wantError(t, "token", http.StatusServiceUnavailable, oauth.TemporarilyUnavailable)
	h.events.down = nil
	c.redeem(code).tokens(t)
	state := b.get(c.authorizeURL()).location(t).Query().Get("state")
	before := openGrants(t, h)
	h.events.down = errors.New("disk full")
	h.wantClientError(b.comeBack(state, "alice").location(t), "callback", oauth.TemporarilyUnavailable)
	if openGrants(t, h) != before {
		t.Error("a session was opened")
	}
}

func TestWhatTheProviderDemandsIsCarriedOnceAndForThatPersonOnly(t *testing.T) {
	h := newHouse(t)
	c, _, got := h.connect()
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	h.provider.setFail(func(string) error { return &idp.Error{Problem: idp.Interaction, Claims: claims} })
	c.refresh(got.refresh).wantError(t, "refresh", 400, oauth.InvalidGrant)
	h.provider.setFail(nil)
	b := h.browser() // one that remembers nothing, so that nobody knows yet who comes
	state := b.allow(b.open(c.authorizeURL()))
	if h.provider.lastVisit().Claims != "" {
		t.Error("claims were demanded of nobody in particular")
	}
	again := b.comeBack(state, "alice").location(t)
	if again.Host != "idp.example" || h.provider.lastVisit().Claims != claims {
		t.Fatalf("alice was let in without what was demanded: %s", again)
	}
	if at := b.comeBack(again.Query().Get("state"), "bob").location(t); at.Path != "/consent" {
		t.Errorf("bob came in alice's place: %s", at)
	}
	again = b.comeBack(b.allow(b.open(c.authorizeURL())), "alice").location(t)
	if at := b.comeBack(again.Query().Get("state"), "alice").location(t); !at.Query().Has("code") {
		t.Errorf("alice came back at %s", at)
	}
	state = b.get(c.authorizeURL()).location(t).Query().Get("state")
	if at := b.comeBack(state, "alice").location(t); !at.Query().Has("code") || h.provider.lastVisit().Claims != "" {
		t.Errorf("a demand that was met is made again: %s", at)
	}
}

func TestAProviderThatIsNeverContentEndsTheSignIn(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	state := b.allow(b.open(c.authorizeURL()))
	h.provider.setFail(func(step string) error {
		if step == "redeem" {
			return &idp.Error{Problem: idp.Interaction, Description: "more is needed"}
		}
		return nil
	})
	again := b.comeBack(state, "alice").location(t)
	if again.Host != "idp.example" || h.provider.lastVisit().Prompt != "login" {
		t.Fatalf("want to be at the identity provider again, got %s", again)
	}
	h.wantClientError(b.comeBack(again.Query().Get("state"), "alice").location(t), "the second time", oauth.AccessDenied)
}

func TestAnApplicationCanNotSignInAsAPerson(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	h.provider.kind = policy.Application
	h.wantClientError(b.comeBack(b.allow(b.open(c.authorizeURL())), "robot").location(t), "application", oauth.ServerError)
}

// brokenStore fails every call while it is down.
type brokenStore struct {
	storeUnderTest
	down atomic.Bool
}

func TestTheStoreBeingDownIsA503AndPasses(t *testing.T) {
	broken := &brokenStore{}
	h := newHouse(t, func(c *authserver.Config) {
		broken.storeUnderTest = c.Store
		c.Store = broken
	})
	c, b := h.register(nil), h.browser()
	broken.down.Store(true)
	b.get(c.authorizeURL()).wantPage(t, "authorize", http.StatusServiceUnavailable, "not possible right now")
	c.redeem("gkc_x").wantError(t, "token", http.StatusServiceUnavailable, oauth.TemporarilyUnavailable)
	h.tryRegister(nil).wantError(t, "register", http.StatusServiceUnavailable, oauth.TemporarilyUnavailable)
	broken.down.Store(false)
	b.signIn(c.authorizeURL(), "alice")
}
