package grant_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/google/go-cmp/cmp"
)

func TestACodeGivesTokensForItsServer(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	if tokens.ExpiresIn != time.Hour || tokens.Resource != resource || tokens.Refresh.IsZero() {
		t.Errorf("Redeem = %+v", tokens)
	}
	for text, prefix := range map[string]string{tokens.Access.Reveal(): "gka_", tokens.Refresh.Reveal(): "gkr_"} {
		if !strings.HasPrefix(text, prefix+tokens.GrantID+"_") {
			t.Errorf("a token does not begin with %s and the session's ID", prefix)
		}
	}
	got, err := h.Check(t.Context(), tokens.Access.Reveal(), resource)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	identity := alice()
	identity.Client, identity.Scopes = client, opening().Scopes
	want := &grant.Grant{
		ID: tokens.GrantID, Client: client, ClientName: "Example", Server: "weather", Resource: resource,
		RedirectURI: redirect, Scopes: opening().Scopes, Identity: identity,
		Created: h.clock.Now(), LastUsed: h.clock.Now(), Expires: h.clock.Now().Add(30 * 24 * time.Hour),
		TokenExpires: h.clock.Now().Add(time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestASessionIsHiddenUntilItsCodeIsRedeemed(t *testing.T) {
	h := home(t)
	code := h.open()
	for _, want := range []int{0, 1} {
		page, err := h.List(t.Context(), grant.Query{Owner: alice().Key()})
		if err != nil || len(page.Grants) != want {
			t.Errorf("List = %d sessions, %v; want %d", len(page.Grants), err, want)
		}
		if want == 0 {
			h.redeem(code)
		}
	}
}

func TestThreat09_CodeReplayRevokesWhatItGave(t *testing.T) {
	h := home(t)
	code := h.open()
	first := h.redeem(code)
	second := h.rotate(first)
	h.works(first)

	_, err := h.Redeem(t.Context(), redemption(code))
	wantRefusal(t, err, policy.CheckToken)
	wantEnded(t, err, grant.ReasonReplay)

	h.refused(first, policy.CheckSession)
	h.refused(second, policy.CheckSession)
	_, err = h.Rotate(t.Context(), rotation(second), welcome)
	wantRefusal(t, err, policy.CheckSession)
	_, err = h.Redeem(t.Context(), redemption(code))
	wantRefusal(t, err, policy.CheckSession)
}

// Replaying is the client's doing or that of somebody who has its code; another client proves nothing.
func TestThreat09_ReplayByAnotherClientEndsNothing(t *testing.T) {
	h := home(t)
	code := h.open()
	tokens := h.redeem(code)
	r := redemption(code)
	r.Client = "client-2"
	_, err := h.Redeem(t.Context(), r)
	wantRefusal(t, err, policy.CheckClient)
	h.works(tokens)
}

func TestThreat09_AnExpiredCodeIsRefused(t *testing.T) {
	h := home(t)
	code := h.open()
	h.clock.pass(time.Minute)
	_, err := h.Redeem(t.Context(), redemption(code))
	wantRefusal(t, err, policy.CheckExpiry)
}

func TestThreat09_ACodeLivesUntilItsLastSecond(t *testing.T) {
	h := home(t)
	code := h.open()
	h.clock.pass(time.Minute - time.Second)
	h.works(h.redeem(code))
}

// Both requests have read the code before either of them redeems it.
func TestThreat09_OfTwoRedemptionsAtOneInstantOneWins(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	var arrived atomic.Int32
	s := &hooked{Store: memory.New(), before: func(store.Record) error {
		if arrived.Add(1) <= 2 {
			both.Done()
			both.Wait()
		}
		return nil
	}}
	h := newHouse(t, s)
	code := h.open()
	results := make(chan error, 2)
	winner := make(chan grant.Tokens, 2)
	for _, g := range []*grant.Grants{h.Grants, h.replica()} {
		go func() {
			tokens, err := g.Redeem(t.Context(), redemption(code))
			if err == nil {
				winner <- tokens
			}
			results <- err
		}()
	}
	one, two := <-results, <-results
	if (one == nil) == (two == nil) {
		t.Fatalf("got %v and %v, want one winner", one, two)
	}
	wantRefusal(t, errors.Join(one, two), policy.CheckToken)
	h.works(<-winner)
}

func TestThreat09_OfManyRedemptionsOneWins(t *testing.T) {
	h := home(t)
	other := h.replica()
	for range 20 {
		code := h.open()
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				g := h.Grants
				if i%2 == 1 {
					g = other
				}
				_, err := g.Redeem(t.Context(), redemption(code))
				if err == nil {
					won.Add(1)
				} else if _, ok := errors.AsType[*policy.Refusal](err); !ok {
					t.Errorf("a loser got %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d redemptions won", won.Load())
		}
	}
}

func TestThreat15_ABadRequestNeverBurnsAGoodCode(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*grant.Redemption)
		check policy.Check
	}{
		"another client":       {func(r *grant.Redemption) { r.Client = "client-2" }, policy.CheckClient},
		"no client":            {func(r *grant.Redemption) { r.Client = "" }, policy.CheckClient},
		"another redirect":     {func(r *grant.Redemption) { r.RedirectURI = redirect + "/" }, policy.CheckClient},
		"another resource":     {func(r *grant.Redemption) { r.Resource = elsewhere }, policy.CheckAudience},
		"a resource's prefix":  {func(r *grant.Redemption) { r.Resource = resource[:len(resource)-1] }, policy.CheckAudience},
		"a malformed resource": {func(r *grant.Redemption) { r.Resource = "\x00" }, policy.CheckAudience},
		"another verifier":     {func(r *grant.Redemption) { r.Verifier = strings.Repeat("w", 43) }, policy.CheckClient},
		"no verifier":          {func(r *grant.Redemption) { r.Verifier = "" }, policy.CheckClient},
		"a short verifier":     {func(r *grant.Redemption) { r.Verifier = "v" }, policy.CheckClient},
		"the challenge": {func(r *grant.Redemption) { r.Verifier = oauth.Challenge256(verifier()) },
			policy.CheckClient},
		"a code with another secret": {func(r *grant.Redemption) {
			r.Code = r.Code[:len(r.Code)-1] + string("01"[1-strings.IndexByte("01", last01(r.Code))])
		}, policy.CheckToken},
		"a truncated code": {func(r *grant.Redemption) { r.Code = r.Code[:len(r.Code)-1] }, policy.CheckToken},
		"a code and more":  {func(r *grant.Redemption) { r.Code += "0" }, policy.CheckToken},
		"upper case":       {func(r *grant.Redemption) { r.Code = strings.ToUpper(r.Code) }, policy.CheckToken},
	} {
		t.Run(name, func(t *testing.T) {
			h := home(t)
			code := h.open()
			bad := redemption(code)
			c.spoil(&bad)
			_, err := h.Redeem(t.Context(), bad)
			wantRefusal(t, err, c.check)
			h.works(h.redeem(code))
		})
	}
}

// last01 maps the last character onto 0 or 1, so that the spoiled code always differs from the good one.
func last01(code string) byte {
	if code[len(code)-1] == '1' {
		return '1'
	}
	return '0'
}

// OAuth 2.1 has no redirect_uri at the token endpoint, RFC 8707 lets resource be left out there.
func TestRedirectAndResourceMayBeLeftOutAtTheTokenEndpoint(t *testing.T) {
	h := home(t)
	tokens, err := h.Redeem(t.Context(), grant.Redemption{Code: h.open(), Client: client, Verifier: verifier()})
	if err != nil {
		t.Fatalf("Redeem: %v", err)
	}
	h.works(tokens)
}

func TestAnOpeningThatCouldNotBeCheckedIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*grant.Opening){
		"no client":    func(o *grant.Opening) { o.Client = "" },
		"no resource":  func(o *grant.Opening) { o.Resource = "" },
		"no challenge": func(o *grant.Opening) { o.Challenge = "" },
		"no tenant":    func(o *grant.Opening) { o.Identity.Tenant = "" },
		"no object":    func(o *grant.Opening) { o.Identity.Object = "" },
	} {
		t.Run(name, func(t *testing.T) {
			o := opening()
			spoil(&o)
			if _, err := home(t).Open(t.Context(), o); err == nil {
				t.Error("Open accepted it")
			}
		})
	}
}
