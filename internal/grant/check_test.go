package grant_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/google/go-cmp/cmp"
)

func TestThreat11_NoTokenPassesForAnother(t *testing.T) {
	h := home(t)
	code := h.open()
	tokens := h.signIn()
	entra := "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOiJhcGk6Ly94In0.c2lnbmF0dXJl"
	access, refresh := tokens.Access.Reveal(), tokens.Refresh.Reveal()
	swapped := func(text, from, to string) string { return to + strings.TrimPrefix(text, from) }

	for _, offered := range []string{refresh, code, entra, "", "Bearer " + access, access + " ", swapped(refresh, "gkr_", "gka_"),
		swapped(code, "gkc_", "gka_"), access + "\x00", strings.ToUpper(access)} {
		_, err := h.Check(t.Context(), offered, resource)
		wantRefusal(t, err, policy.CheckToken)
	}
	for _, offered := range []string{access, code, entra, "", swapped(access, "gka_", "gkr_"), swapped(code, "gkc_", "gkr_")} {
		_, err := h.Rotate(t.Context(), grant.Rotation{Refresh: offered, Client: client}, welcome)
		wantRefusal(t, err, policy.CheckToken)
	}
	for _, offered := range []string{access, refresh, entra, "", swapped(access, "gka_", "gkc_"), swapped(refresh, "gkr_", "gkc_")} {
		_, err := h.Redeem(t.Context(), redemption(offered))
		wantRefusal(t, err, policy.CheckToken)
	}
	h.works(tokens)
	h.works(h.rotate(tokens))
	h.works(h.redeem(code))
}

func TestThreat20_ATokenOfOneServerIsRefusedAtAnother(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	for _, other := range []string{elsewhere, resource + "/", resource[:len(resource)-1], strings.ToUpper(resource), ""} {
		_, err := h.Check(t.Context(), tokens.Access.Reveal(), other)
		wantRefusal(t, err, policy.CheckAudience)
	}
}

func TestAnEndedSessionIsOutHereAtOnceAndElsewhereWithinFiveSeconds(t *testing.T) {
	h := home(t)
	other := h.replica()
	tokens := h.signIn()
	access := tokens.Access.Reveal()
	for _, g := range []*grant.Grants{h.Grants, other} {
		if _, err := g.Check(t.Context(), access, resource); err != nil {
			t.Fatalf("Check: %v", err)
		}
	}
	if err := h.End(t.Context(), tokens.GrantID); err != nil {
		t.Fatalf("End: %v", err)
	}
	_, err := h.Check(t.Context(), access, resource)
	wantRefusal(t, err, policy.CheckSession)
	h.clock.pass(4 * time.Second)
	if _, err := other.Check(t.Context(), access, resource); err != nil {
		t.Errorf("the cache of another replica is not in use: %v", err)
	}
	h.clock.pass(time.Second)
	_, err = other.Check(t.Context(), access, resource)
	wantRefusal(t, err, policy.CheckSession)
}

func TestACheckMayNotBeCachedForLongerThanFiveSeconds(t *testing.T) {
	h := home(t)
	_, err := grant.New(grant.Config{Store: h.store, Ring: h.ring, CheckCache: 6 * time.Second})
	if err == nil {
		t.Error("New accepted a longer cache")
	}
}

func TestATokenThatAnotherReplicaIssuedWorksAtOnce(t *testing.T) {
	h := home(t)
	other := h.replica()
	first := h.signIn()
	if _, err := h.Check(t.Context(), first.Access.Reveal(), resource); err != nil {
		t.Fatalf("Check: %v", err)
	}
	next, err := other.Rotate(t.Context(), rotation(first), welcome)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if _, err := h.Check(t.Context(), next.Access.Reveal(), resource); err != nil {
		t.Errorf("Check of the new token: %v", err)
	}
}

func TestThreat33_AStoreThatIsDownFailsClosedAndComesBack(t *testing.T) {
	s := &broken{Store: memory.New()}
	h := newHouse(t, s)
	code, tokens := h.open(), h.signIn()
	fresh := h.replica()
	s.set(true)
	_, checkErr := fresh.Check(t.Context(), tokens.Access.Reveal(), resource)
	_, redeemErr := h.Redeem(t.Context(), redemption(code))
	_, rotateErr := h.Rotate(t.Context(), rotation(tokens), welcome)
	_, openErr := h.Open(t.Context(), opening())
	_, listErr := h.List(t.Context(), grant.Query{})
	_, introspectErr := h.Introspect(t.Context(), tokens.Access.Reveal())
	for what, err := range map[string]error{
		"Check": checkErr, "Redeem": redeemErr, "Rotate": rotateErr, "Open": openErr, "List": listErr,
		"Introspect": introspectErr, "End": h.End(t.Context(), tokens.GrantID),
		"Revoke": h.Revoke(t.Context(), tokens.Refresh.Reveal(), client),
	} {
		if _, refused := errors.AsType[*policy.Refusal](err); refused || !errors.Is(err, grant.ErrUnavailable) {
			t.Errorf("%s = %v; want ErrUnavailable and no refusal", what, err)
		}
	}
	s.set(false)
	h.works(tokens)
	h.works(h.redeem(code))
	h.works(h.rotate(tokens))
}

// What is no token is refused before it gets anywhere, whatever is in it.
func TestAMalformedTokenNeverReachesTheStore(t *testing.T) {
	s := &broken{Store: memory.New()}
	h := newHouse(t, s)
	tokens := h.signIn()
	s.set(true)
	bodies := map[string]int{"gka_": 52, "gkc_": 52, "gkr_": 78}
	for _, id := range []string{strings.Repeat("\x00", 26), strings.ToUpper(tokens.GrantID), tokens.GrantID + "0", "", strings.Repeat("*", 26), strings.Repeat("u", 26)} {
		text := func(prefix string) string { return prefix + id + "_" + strings.Repeat("0", bodies[prefix]) }
		_, checkErr := h.Check(t.Context(), text("gka_"), resource)
		_, rotateErr := h.Rotate(t.Context(), grant.Rotation{Refresh: text("gkr_"), Client: client}, welcome)
		_, redeemErr := h.Redeem(t.Context(), redemption(text("gkc_")))
		for _, err := range []error{checkErr, rotateErr, redeemErr} {
			wantRefusal(t, err, policy.CheckToken)
		}
	}
}

// A session that ended keeps its tokens' hashes for the sake of a good refusal, and nothing that opens a door.
// A record that can't be read, or sealed tokens whose key is missing, are our trouble and not the client's.
func TestADamagedRecordEndsNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	h.edit(tokens.GrantID, func(value []byte) []byte { return value[:len(value)/2] })
	_, err := h.Check(t.Context(), tokens.Access.Reveal(), resource)
	if !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("Check = %v", err)
	}
}

func TestARecordOfANewerGenkanIsLeftAlone(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	h.edit(tokens.GrantID, func(value []byte) []byte {
		return bytes.Replace(value, []byte(`"v":1`), []byte(`"v":2`), 1)
	})
	_, err := h.Rotate(t.Context(), rotation(tokens), welcome)
	if !errors.Is(err, grant.ErrUnavailable) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("Rotate = %v", err)
	}
}

// edit changes a stored session past the grants.
func (h *house) edit(id string, change func([]byte) []byte) {
	h.t.Helper()
	r, err := h.store.Get(h.t.Context(), "grant", id)
	if err != nil {
		h.t.Fatalf("Get: %v", err)
	}
	r.Value = change(r.Value)
	if _, err := h.store.Swap(h.t.Context(), r); err != nil {
		h.t.Fatalf("Swap: %v", err)
	}
}

func TestThreat36_AClockThatIsSetBackLosesNoSessionAndFreesNoSpentToken(t *testing.T) {
	h := home(t)
	first := h.signIn()
	next := h.rotate(first)
	h.clock.pass(-time.Hour)
	_, err := h.Rotate(t.Context(), rotation(first), welcome)
	wantRefusal(t, err, policy.CheckToken)
	if _, ended := errors.AsType[*grant.EndedError](err); ended {
		t.Error("a clock that was set back ended a session")
	}
	h.works(next)
	h.works(h.rotate(next))
}

func TestThreat36_AClockThatIsSetBackCantProlongTheCache(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	if _, err := h.Check(t.Context(), tokens.Access.Reveal(), resource); err != nil {
		t.Fatalf("Check: %v", err)
	}
	if err := h.replica().End(t.Context(), tokens.GrantID); err != nil {
		t.Fatalf("End: %v", err)
	}
	h.clock.pass(-time.Hour)
	_, err := h.Check(t.Context(), tokens.Access.Reveal(), resource)
	wantRefusal(t, err, policy.CheckSession)
}

func TestThreat36_AClockThatJumpsAheadAndComesBackLosesNoSession(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	h.clock.pass(365 * 24 * time.Hour)
	h.refused(tokens, policy.CheckSession)
	_, err := h.Rotate(t.Context(), rotation(tokens), welcome)
	wantRefusal(t, err, policy.CheckSession)
	h.clock.pass(-365 * 24 * time.Hour)
	h.works(tokens)
	h.works(h.rotate(tokens))
}

func TestListPagesAndNarrows(t *testing.T) {
	h := home(t)
	want := map[string]bool{}
	for i := range 7 {
		o := opening()
		if i == 3 {
			o.Server = "profile"
		}
		code, err := h.Open(t.Context(), o)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		tokens := h.redeem(code)
		want[tokens.GrantID] = i != 3
	}
	got := map[string]bool{}
	for id := range want {
		got[id] = false
	}
	q := grant.Query{Owner: alice().Key(), Server: "weather", Limit: 2}
	for pages := 0; pages == 0 || q.After != ""; pages++ {
		page, err := h.List(t.Context(), q)
		if err != nil || pages > 7 {
			t.Fatalf("List: %v after %d pages", err, pages)
		}
		for _, g := range page.Grants {
			got[g.ID] = true
		}
		q.After = page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

// Threat 37 and the promise of a stolen store: nothing in it opens a door.
func TestThreat37_AStolenStoreYieldsNoUsableToken(t *testing.T) {
	h := home(t)
	code := h.open()
	tokens := h.rotate(h.redeem(code))
	pending := h.open()
	records, err := h.store.List(t.Context(), "grant", "", "", 10)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	var dump []byte
	for _, r := range records {
		dump = append(append(dump, r.ID...), r.Value...)
	}
	for _, text := range []string{tokens.Access.Reveal(), tokens.Refresh.Reveal(), code, pending} {
		bare := text[strings.LastIndexByte(text, '_')+1:]
		for _, part := range []string{bare, bare[:20], bare[len(bare)-20:]} {
			if bytes.Contains(dump, []byte(part)) {
				t.Errorf("the store holds a part of a %.4s token", text)
			}
		}
	}
	if bytes.Contains(dump, []byte(upstream)) || bytes.Contains(dump, []byte("ZW50cmEtcmVmcmVzaC10b2tlbi0w")) {
		t.Error("the store holds a token of the identity provider")
	}
	for _, printed := range []string{fmt.Sprint(tokens), fmt.Sprintf("%+v %#v", tokens, tokens)} {
		if strings.Contains(printed, tokens.Refresh.Reveal()) {
			t.Error("Tokens print their secrets")
		}
	}
}

// Sealed tokens moved to another session do not open there.
func TestSealedTokensOfOneSessionDoNotOpenInAnother(t *testing.T) {
	h := home(t)
	one, two := h.signIn(), h.signIn()
	theirs, err := h.store.Get(t.Context(), "grant", two.GrantID)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	h.edit(one.GrantID, func([]byte) []byte { return theirs.Value })
	if _, err := h.Upstream(t.Context(), one.GrantID); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("Upstream = %v", err)
	}
	if kept, err := h.Upstream(t.Context(), two.GrantID); err != nil || string(kept) != upstream {
		t.Errorf("Upstream = %v", err)
	}
}
