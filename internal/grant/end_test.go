package grant_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/google/go-cmp/cmp"
)

func TestAnEndedSessionKeepsNothingSealed(t *testing.T) {
	h := home(t)
	tokens := h.rotate(h.signIn())
	for _, want := range []bool{true, false} {
		r, err := h.store.Get(t.Context(), "grant", tokens.GrantID)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		for _, field := range []string{`"upstream":`, `"successor":`} {
			if got := bytes.Contains(r.Value, []byte(field)); got != want {
				t.Errorf("%s in the record: %v, want %v", field, got, want)
			}
		}
		if err := h.End(t.Context(), tokens.GrantID); err != nil {
			t.Fatalf("End: %v", err)
		}
	}
}

func TestRevokingARefreshTokenEndsTheSession(t *testing.T) {
	for name, pick := range map[string]func(first, next grant.Tokens) grant.Tokens{
		"the current one": func(_, next grant.Tokens) grant.Tokens { return next },
		"a spent one":     func(first, _ grant.Tokens) grant.Tokens { return first },
	} {
		t.Run(name, func(t *testing.T) {
			h := home(t)
			first := h.signIn()
			next := h.rotate(first)
			if err := h.Revoke(t.Context(), pick(first, next).Refresh.Reveal(), client); err != nil {
				t.Fatalf("Revoke: %v", err)
			}
			h.refused(first, policy.CheckSession)
			h.refused(next, policy.CheckSession)
			_, err := h.Rotate(t.Context(), rotation(next), welcome)
			wantRefusal(t, err, policy.CheckSession)
		})
	}
}

func TestRevokingAnAccessTokenEndsThatTokenOnly(t *testing.T) {
	h := home(t)
	first := h.signIn()
	next := h.rotate(first)
	if err := h.Revoke(t.Context(), first.Access.Reveal(), client); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	h.refused(first, policy.CheckToken)
	h.works(next)
	h.works(h.rotate(next))
}

func TestThreat14_RevocationByTheWrongClientChangesNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for _, text := range []string{tokens.Access.Reveal(), tokens.Refresh.Reveal()} {
		wantRefusal(t, h.Revoke(t.Context(), text, "client-2"), policy.CheckClient)
	}
	h.works(tokens)
	h.works(h.rotate(tokens))
}

func TestRevokingWhatIsNoTokenOfOursIsNoError(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for _, text := range []string{"", "garbage", "gkr_" + tokens.GrantID + "_" + strings.Repeat("0", 78),
		"gka_" + strings.Repeat("0", 26) + "_" + strings.Repeat("0", 52)} {
		if err := h.Revoke(t.Context(), text, client); err != nil {
			t.Errorf("Revoke(%q): %v", text, err)
		}
	}
	h.works(tokens)
}

func TestIntrospectionTellsWhatIsGoodNow(t *testing.T) {
	h := home(t)
	first := h.signIn()
	next := h.rotate(first)
	seen := func(text string) string {
		i, err := h.Introspect(t.Context(), text)
		if err != nil {
			t.Fatalf("Introspect: %v", err)
		}
		return fmt.Sprint(i.Active, i.Refresh, i.Grant.ID == next.GrantID, i.Expires.Sub(h.clock.Now()), i.Grant.Scopes)
	}
	inactive := fmt.Sprint(false, false, false, time.Time{}.Sub(h.clock.Now()), []string(nil))
	want := map[string]string{
		first.Access.Reveal():  fmt.Sprint(true, false, true, time.Hour, opening().Scopes),
		next.Refresh.Reveal():  fmt.Sprint(true, true, true, 30*24*time.Hour, opening().Scopes),
		first.Refresh.Reveal(): inactive,
		"garbage":              inactive,
		"":                     inactive,
	}
	got := map[string]string{}
	for text := range want {
		got[text] = seen(text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Introspect (-want +got):\n%s", diff)
	}
	if err := h.End(t.Context(), next.GrantID); err != nil {
		t.Fatalf("End: %v", err)
	}
	for text := range want {
		if got := seen(text); got != inactive {
			t.Errorf("after the end: %s", got)
		}
	}
}

func TestEndOwnerEndsAllOfOnePersonsSessions(t *testing.T) {
	h := home(t)
	mine, pending := h.signIn(), h.open()
	o := opening()
	o.Identity.Object = "bob"
	code, err := h.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	bobs := h.redeem(code)
	if n, err := h.EndOwner(t.Context(), alice().Key()); n != 2 || err != nil {
		t.Errorf("EndOwner = %d, %v; want 2", n, err)
	}
	h.refused(mine, policy.CheckSession)
	_, err = h.Redeem(t.Context(), redemption(pending))
	wantRefusal(t, err, policy.CheckSession)
	h.works(bobs)
	if _, err := h.EndOwner(t.Context(), ""); err == nil {
		t.Error("EndOwner of nobody was accepted")
	}
	if n, err := h.EndClient(t.Context(), client); n != 1 || err != nil {
		t.Errorf("EndClient = %d, %v; want 1", n, err)
	}
	h.refused(bobs, policy.CheckSession)
}

func TestEndingASessionThatIsNotThereSaysSo(t *testing.T) {
	h := home(t)
	if err := h.End(t.Context(), "nothing"); !errors.Is(err, grant.ErrNotFound) {
		t.Errorf("End = %v", err)
	}
	tokens := h.signIn()
	for range 2 {
		if err := h.End(t.Context(), tokens.GrantID); err != nil {
			t.Errorf("End: %v", err)
		}
	}
	got, err := h.Get(t.Context(), tokens.GrantID)
	if err != nil || got.Reason != grant.ReasonEnded || !got.Ended.Equal(h.clock.Now()) {
		t.Errorf("Get = %+v, %v", got, err)
	}
}
