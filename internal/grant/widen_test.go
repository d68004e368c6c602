package grant_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/google/go-cmp/cmp"
)

// wider is a step-up of the session that opening began.
func wider() grant.Opening {
	o := opening()
	o.Scopes = []string{"mcp", "weather.write", "weather.admin"}
	o.Upstream = []byte("entra-refresh-token-1")
	return o
}

func (h *house) widen(id string) grant.Tokens {
	h.t.Helper()
	code, err := h.Widen(h.t.Context(), id, wider())
	if err != nil {
		h.t.Fatalf("Widen: %v", err)
	}
	return h.redeem(code)
}

func TestAStepUpWidensTheSessionAndLeavesTheOtherWindow(t *testing.T) {
	h := home(t)
	first := h.signIn()
	wide := h.widen(first.GrantID)
	if wide.GrantID != first.GrantID {
		t.Error("the step-up made another session")
	}
	for _, c := range []struct {
		tokens grant.Tokens
		scopes []string
	}{{first, opening().Scopes}, {wide, wider().Scopes}} {
		got, err := h.Check(t.Context(), c.tokens.Access.Reveal(), resource)
		if err != nil {
			t.Fatalf("Check: %v", err)
		}
		if diff := cmp.Diff(c.scopes, got.Scopes); diff != "" {
			t.Errorf("scopes (-want +got):\n%s", diff)
		}
		h.clock.pass(time.Minute)
		if diff := cmp.Diff(c.scopes, h.rotate(c.tokens).Scopes); diff != "" {
			t.Errorf("scopes after a refresh (-want +got):\n%s", diff)
		}
	}
	session, err := h.Get(t.Context(), first.GrantID)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	want := slices.Sorted(slices.Values(wider().Scopes))
	if diff := cmp.Diff(want, session.Scopes); diff != "" {
		t.Errorf("the session's scopes (-want +got):\n%s", diff)
	}
}

func TestAStepUpGivesNothingBeforeItsCodeIsRedeemed(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	if _, err := h.Widen(t.Context(), tokens.GrantID, wider()); err != nil {
		t.Fatalf("Widen: %v", err)
	}
	r := rotation(tokens)
	r.Scopes = wider().Scopes
	_, err := h.Rotate(t.Context(), r, welcome)
	wantRefusal(t, err, policy.CheckScope)
}

func TestReuseInOneWindowEndsTheWholeSession(t *testing.T) {
	h := home(t)
	first := h.signIn()
	wide := h.widen(first.GrantID)
	h.rotate(wide)
	h.clock.pass(time.Minute)
	_, err := h.Rotate(t.Context(), rotation(wide), welcome)
	wantEnded(t, err, grant.ReasonReuse)
	h.refused(first, policy.CheckSession)
}

func TestASessionCantBeWidenedForAnotherPersonClientOrServer(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for name, spoil := range map[string]func(*grant.Opening){
		"person": func(o *grant.Opening) { o.Identity.Object = "bob" },
		"client": func(o *grant.Opening) { o.Client = "client-2" },
		"server": func(o *grant.Opening) { o.Resource = elsewhere },
	} {
		o := wider()
		spoil(&o)
		if _, err := h.Widen(t.Context(), tokens.GrantID, o); err == nil {
			t.Errorf("Widen accepted another %s", name)
		}
	}
	h.works(tokens)
}

func TestASessionThatEndedOrNeverBeganCantBeWidened(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	if err := h.End(t.Context(), tokens.GrantID); err != nil {
		t.Fatalf("End: %v", err)
	}
	for _, id := range []string{tokens.GrantID, "nothing"} {
		if _, err := h.Widen(t.Context(), id, wider()); !errors.Is(err, grant.ErrNotFound) {
			t.Errorf("Widen = %v", err)
		}
	}
}

func TestAStepUpsCodeIsWorthlessAfterTheSessionsEnd(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	h.clock.pass(30*24*time.Hour - 10*time.Second)
	code, err := h.Widen(t.Context(), tokens.GrantID, wider())
	if err != nil {
		t.Fatalf("Widen: %v", err)
	}
	h.clock.pass(30 * time.Second)
	_, err = h.Redeem(t.Context(), redemption(code))
	wantRefusal(t, err, policy.CheckSession)
}

func TestManyStepUpsKeepTheRecordSmall(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for range 100 {
		tokens = h.widen(tokens.GrantID)
		for range 10 {
			tokens = h.rotate(tokens)
		}
	}
	r, err := h.store.Get(t.Context(), "grant", tokens.GrantID)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if len(r.Value) > 64<<10 {
		t.Errorf("the record has grown to %d bytes", len(r.Value))
	}
	h.works(tokens)
}

func TestAnApplicationsSessionHasOneTokenAndNoRefresh(t *testing.T) {
	h := home(t)
	o := grant.Opening{Client: client, Server: "weather", Resource: resource, Scopes: []string{"mcp"},
		Identity: policy.Identity{Tenant: "contoso", Object: "agent", Kind: policy.Application, Roles: []string{"Weather.Read"}}}
	tokens, err := h.Issue(t.Context(), o)
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	if !tokens.Refresh.IsZero() || tokens.ExpiresIn != time.Hour {
		t.Errorf("Issue = %+v", tokens)
	}
	got, err := h.Check(t.Context(), tokens.Access.Reveal(), resource)
	if err != nil || got.Identity.Kind != policy.Application {
		t.Errorf("Check = %+v, %v", got, err)
	}
	h.clock.pass(time.Hour)
	h.refused(tokens, policy.CheckSession)
}
