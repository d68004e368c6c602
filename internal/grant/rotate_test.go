package grant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/google/go-cmp/cmp"
)

func TestARefreshGivesNewTokensAndAsksTheProvider(t *testing.T) {
	h := home(t)
	first := h.signIn()
	h.clock.pass(50 * time.Minute)
	next, err := h.Rotate(t.Context(), rotation(first), func(_ context.Context, got []byte) (policy.Identity, []byte, error) {
		if string(got) != upstream {
			t.Errorf("renew got other tokens than were stored")
		}
		identity := alice()
		identity.Roles = []string{"Weather.Write"}
		return identity, []byte("entra-refresh-token-1"), nil
	})
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if next.Access == first.Access || next.Refresh == first.Refresh || next.GrantID != first.GrantID {
		t.Error("Rotate gave an old token, or those of another session")
	}
	got, err := h.Check(t.Context(), next.Access.Reveal(), resource)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	if diff := cmp.Diff([]string{"Weather.Write"}, got.Identity.Roles); diff != "" {
		t.Errorf("roles were not read anew (-want +got):\n%s", diff)
	}
	kept, err := h.Upstream(t.Context(), next.GrantID)
	if err != nil || string(kept) != "entra-refresh-token-1" {
		t.Errorf("Upstream = %d bytes, %v; want the provider's new tokens", len(kept), err)
	}
}

func TestARefreshDoesNotCutTheOtherWindowOff(t *testing.T) {
	h := home(t)
	first := h.signIn()
	h.clock.pass(30 * time.Minute)
	second := h.rotate(first)
	h.works(first)
	h.works(second)
	h.clock.pass(30 * time.Minute)
	h.refused(first, policy.CheckExpiry)
	h.works(second)
}

func TestARefreshWithoutScopeKeepsWhatWasGranted(t *testing.T) {
	h := home(t)
	next := h.rotate(h.signIn())
	if diff := cmp.Diff(opening().Scopes, next.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}

func TestThreat10_ScopeMayOnlyNarrow(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	r := rotation(tokens)
	r.Scopes = []string{"mcp", "admin"}
	_, err := h.Rotate(t.Context(), r, welcome)
	wantRefusal(t, err, policy.CheckScope)

	r.Scopes = []string{"mcp"}
	narrow, err := h.Rotate(t.Context(), r, welcome)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	got, err := h.Check(t.Context(), narrow.Access.Reveal(), resource)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	if diff := cmp.Diff([][]string{{"mcp"}, {"mcp"}, {"mcp"}}, [][]string{narrow.Scopes, got.Scopes, got.Identity.Scopes}); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	// RFC 6749 §6: the next refresh token has the scope of the first.
	h.clock.pass(time.Minute)
	if diff := cmp.Diff(opening().Scopes, h.rotate(narrow).Scopes); diff != "" {
		t.Errorf("scopes after narrowing (-want +got):\n%s", diff)
	}
}

func TestThreat10_InsideTheGraceTheSuccessorIsTheSame(t *testing.T) {
	h := home(t)
	first := h.signIn()
	next := h.rotate(first)
	h.clock.pass(10 * time.Second)
	again, err := h.replica().Rotate(t.Context(), rotation(first), func(context.Context, []byte) (policy.Identity, []byte, error) {
		t.Error("the provider was asked twice")
		return policy.Identity{}, nil, nil
	})
	if err != nil {
		t.Fatalf("Rotate in the grace: %v", err)
	}
	if again.Access != next.Access || again.Refresh != next.Refresh {
		t.Error("the grace gave other tokens")
	}
	if want := next.ExpiresIn - 10*time.Second; again.ExpiresIn != want {
		t.Errorf("ExpiresIn = %v, want %v", again.ExpiresIn, want)
	}
	h.works(h.rotate(again))
}

func TestThreat10_ReuseAfterGraceEndsTheSession(t *testing.T) {
	for name, refreshes := range map[string]int{"the token before": 1, "a token of long ago": 30} {
		t.Run(name, func(t *testing.T) {
			h := home(t)
			first := h.signIn()
			next := first
			for range refreshes {
				next = h.rotate(next)
				h.clock.pass(11 * time.Second)
			}
			h.works(first)
			_, err := h.Rotate(t.Context(), rotation(first), welcome)
			wantRefusal(t, err, policy.CheckToken)
			wantEnded(t, err, grant.ReasonReuse)
			h.refused(first, policy.CheckSession)
			h.refused(next, policy.CheckSession)
			_, err = h.Rotate(t.Context(), rotation(next), welcome)
			wantRefusal(t, err, policy.CheckSession)
		})
	}
}

func TestThreat10_AnotherClientsTokenIsRefusedAndEndsNothing(t *testing.T) {
	h := home(t)
	first := h.signIn()
	next := h.rotate(first)
	h.clock.pass(time.Minute)
	for _, tokens := range []grant.Tokens{first, next} {
		r := rotation(tokens)
		r.Client = "client-2"
		_, err := h.Rotate(t.Context(), r, welcome)
		wantRefusal(t, err, policy.CheckClient)
	}
	h.works(h.rotate(next))
}

func TestThreat10_AnInventedTokenEndsNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	_, err := h.Rotate(t.Context(), grant.Rotation{
		Refresh: "gkr_" + tokens.GrantID + "_" + strings.Repeat("0", 78), Client: client,
	}, welcome)
	wantRefusal(t, err, policy.CheckToken)
	h.works(h.rotate(tokens))
}

// A session whose code was not redeemed has no key for tags yet: nobody may tag with none.
func TestThreat10_AnInventedTokenEndsNothingBeforeTheCodeIsRedeemed(t *testing.T) {
	h := home(t)
	code := h.open()
	tagged := "gkr_" + strings.Split(code, "_")[1] + "_" + strings.Repeat("0", 52)
	_, err := h.Rotate(t.Context(), grant.Rotation{Refresh: tagged + secret.Tag(nil, tagged, 26), Client: client}, welcome)
	wantRefusal(t, err, policy.CheckToken)
	h.works(h.redeem(code))
}

func TestThreat10_ATokenWithOneCharacterChangedEndsNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	text := tokens.Refresh.Reveal()
	for i := len("gkr_"); i < len(text); i++ {
		changed := []byte(text)
		if changed[i] = '0'; text[i] == '0' {
			changed[i] = '1'
		}
		_, err := h.Rotate(t.Context(), grant.Rotation{Refresh: string(changed), Client: client}, welcome)
		wantRefusal(t, err, policy.CheckToken)
	}
	h.works(h.rotate(tokens))
}

func TestThreat10_AnotherResourceIsRefused(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	r := rotation(tokens)
	r.Resource = elsewhere
	_, err := h.Rotate(t.Context(), r, welcome)
	wantRefusal(t, err, policy.CheckAudience)
	h.works(h.rotate(tokens))
}

// eightWay refreshes one session by eight callers on two replicas, again and again.
// Whoever hangs up must not leave the others without the outcome, and the session without its answer.
func TestThreat29_ADisabledAccountStopsAtTheNextRefresh(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	disabled := fmt.Errorf("AADSTS50057: %w", grant.ErrEnded)
	_, err := h.Rotate(t.Context(), rotation(tokens), func(context.Context, []byte) (policy.Identity, []byte, error) {
		return policy.Identity{}, nil, disabled
	})
	wantRefusal(t, err, policy.CheckSession)
	wantEnded(t, err, grant.ReasonProvider)
	if !errors.Is(err, disabled) {
		t.Errorf("the cause is lost: %v", err)
	}
	h.refused(tokens, policy.CheckSession)
	if _, err := h.Upstream(t.Context(), tokens.GrantID); !errors.Is(err, grant.ErrNotFound) {
		t.Errorf("Upstream of an ended session: %v", err)
	}
}

func TestThreat06_AnotherIdentityFromTheProviderEndsTheSession(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	_, err := h.Rotate(t.Context(), rotation(tokens), func(context.Context, []byte) (policy.Identity, []byte, error) {
		return policy.Identity{Tenant: "contoso", Object: "mallory"}, nil, nil
	})
	wantEnded(t, err, grant.ReasonIdentity)
	h.refused(tokens, policy.CheckSession)
}

func TestThreat29_TheSessionHasAnAbsoluteEnd(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for range 30*24 - 1 {
		h.clock.pass(time.Hour)
		tokens = h.rotate(tokens)
	}
	h.clock.pass(45 * time.Minute)
	tokens = h.rotate(tokens)
	if tokens.ExpiresIn != 15*time.Minute {
		t.Errorf("the last token lives for %v, beyond the session's end", tokens.ExpiresIn)
	}
	h.clock.pass(15 * time.Minute)
	_, err := h.Rotate(t.Context(), rotation(tokens), welcome)
	wantRefusal(t, err, policy.CheckSession)
	h.refused(tokens, policy.CheckSession)
}

func TestAnIdleSessionEnds(t *testing.T) {
	h := home(t)
	g, err := grant.New(grant.Config{Store: h.store, Ring: h.ring, Now: h.clock.Now, IdleLife: 24 * time.Hour})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	h.Grants = g
	tokens := h.signIn()
	for range 3 {
		h.clock.pass(23 * time.Hour)
		tokens = h.rotate(tokens)
	}
	h.clock.pass(24 * time.Hour)
	_, err = h.Rotate(t.Context(), rotation(tokens), welcome)
	wantRefusal(t, err, policy.CheckSession)
}

// The process dies after the provider's answer, before or after the swap: the client has its old token.
// The swap was done, the answer was lost, and it takes a minute until the store answers again.
