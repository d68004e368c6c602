package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// exchange is Entra's side of on-behalf-of: it gives token-1, token-2 and so on, or fails.
type exchange struct {
	mu       sync.Mutex
	asked    []string
	fail     error
	unmet    string // claims that Satisfy can't satisfy
	assertor string
}

func (e *exchange) Token(_ context.Context, a entra.Assertion) (entra.Token, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.assertor = a.Token.Reveal()
	if e.fail != nil {
		return entra.Token{}, e.fail
	}
	e.asked = append(e.asked, "token")
	return entra.NewToken("token-"+string(rune('0'+len(e.asked))), time.Now().Add(time.Hour)), nil
}

func (e *exchange) Satisfy(_ context.Context, _ entra.Assertion, claims string) (entra.Token, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unmet = claims
	return entra.Token{}, &entra.InteractionRequiredError{Claims: claims, Err: &entra.Error{Op: "exchange token", Reason: entra.Interaction}}
}

func (e *exchange) Forget(string) {}

// obo opens a door whose server gets tokens on behalf of people; interactions is told of new sign-ins.
func obo(t *testing.T, rec *recorder, ex *exchange, interaction func(context.Context, gateway.Caller, string) error) *door {
	t.Helper()
	return openDoor(t, settings{behind: rec, server: func(s *gateway.Server) {
		facade := s.Authenticator.(gateway.Facade)
		tokens := gateway.SessionTokens{
			Upstream: facade.Sessions.(interface {
				Upstream(context.Context, string) ([]byte, error)
			}).Upstream,
			AccessToken: func(s entra.State) (entra.Token, error) {
				return entra.NewToken("entra:"+string(s.Reveal()), time.Now().Add(time.Hour)), nil
			},
		}
		s.Credential = must(gateway.NewOnBehalfOf(gateway.OnBehalfOfConfig{Exchange: ex, Assertion: tokens.Assertion, Interaction: interaction}))
	}})
}

func shown(t *testing.T, rec *recorder) []string {
	t.Helper()
	requests, _ := rec.seen()
	var all []string
	for _, r := range requests {
		all = append(all, r.Header.Get("Authorization"))
	}
	return all
}

func TestOnBehalfOfShowsTheExchangedTokenOfTheSession(t *testing.T) {
	rec, ex := &recorder{}, &exchange{}
	d := obo(t, rec, ex, nil)
	token := d.token(alice())
	d.post(token, call("get_forecast", "{}"))
	d.post(token, call("get_forecast", "{}"))
	if diff := cmp.Diff([]string{"Bearer token-1", "Bearer token-1"}, shown(t, rec)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("entra:entra", ex.assertor); diff != "" {
		t.Error(diff)
	}
	d.post(d.token(bob()), call("get_forecast", "{}"))
	if diff := cmp.Diff("Bearer token-2", shown(t, rec)[2]); diff != "" {
		t.Errorf("another person got the first one's token: %s", diff)
	}
}

func TestACredentialThatIsNotAcceptedIsRenewedOnce(t *testing.T) {
	rec, ex := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }}, &exchange{}
	d := obo(t, rec, ex, nil)
	a := d.post(d.token(alice()), call("get_forecast", "{}"))
	if diff := cmp.Diff([]string{"Bearer token-1", "Bearer token-2"}, shown(t, rec)); diff != "" {
		t.Error(diff)
	}
	if a.status != http.StatusBadGateway || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v: the client must not be told to sign in for our credential", a.status, a.header)
	}
}

func TestAnAPIKeyThatIsNotAcceptedIsNotShownTwice(t *testing.T) {
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }}
	d := openDoor(t, settings{behind: rec, server: func(s *gateway.Server) {
		s.Credential = gateway.Header{Name: "X-Api-Key", Value: secret.NewText("k")}
	}})
	a := d.post(d.token(alice()), call("get_forecast", "{}"))
	requests, _ := rec.seen()
	if a.status != http.StatusBadGateway || len(requests) != 1 || requests[0].Header.Get("X-Api-Key") != "k" {
		t.Errorf("%d, %d requests", a.status, len(requests))
	}
}

func TestAConditionalAccessRefusalEndsTheSessionAndKeepsTheClaims(t *testing.T) {
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	rec := &recorder{}
	ex := &exchange{fail: &entra.InteractionRequiredError{Claims: claims, Err: &entra.Error{Op: "exchange token", Reason: entra.Interaction}}}
	var d *door
	var kept string
	d = obo(t, rec, ex, func(ctx context.Context, c gateway.Caller, claims string) error {
		kept = claims
		return d.grants.End(ctx, c.Session)
	})
	token := d.token(alice())
	a := d.post(token, call("get_forecast", "{}"))
	if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("%d %v", a.status, a.header)
	}
	if diff := cmp.Diff(claims, kept); diff != "" {
		t.Error(diff)
	}
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "ended") {
		t.Errorf("the session goes on: %d %s", a.status, a.body)
	}
	if requests, _ := rec.seen(); len(requests) != 0 {
		t.Error("the server behind was called")
	}
}

func TestAClaimsChallengeOfTheServerBehindIsTakenToEntra(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	}}
	ex := &exchange{}
	kept := ""
	d := obo(t, rec, ex, func(_ context.Context, _ gateway.Caller, claims string) error { kept = claims; return nil })
	a := d.post(d.token(alice()), call("get_forecast", "{}"))
	if a.status != http.StatusUnauthorized || ex.unmet != claims || kept != claims {
		t.Errorf("%d, Entra asked for %q, kept %q", a.status, ex.unmet, kept)
	}
}

func TestEachFailureOfTheExchangeHasItsAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"ended":       {&entra.Error{Reason: entra.Ended, Cause: entra.ErrAssertionEnded}, 401, "must be refreshed"},
		"unavailable": {&entra.Error{Reason: entra.Unavailable, RetryAfter: 7 * time.Second}, 503, "try again"},
		"consent":     {&entra.ConsentRequiredError{AdminConsentURL: "https://login.example/adminconsent", Err: &entra.Error{}}, 403, "https://login.example/adminconsent"},
		"application": {&policy.Refusal{Check: policy.CheckKind, Wanted: "a token of a person", Got: "one of an application"}, 403, "a token of a person"},
		"misuse":      {&entra.Error{Reason: entra.Misuse, Description: "internal words"}, 502, "the log says why"},
		"other":       {errors.New("internal words"), 502, "the log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			d := obo(t, rec, &exchange{fail: c.err}, nil)
			a := d.post(d.token(alice()), call("get_forecast", "{}"))
			if a.status != c.status || !strings.Contains(a.body, c.says) || strings.Contains(a.body, "internal words") {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.says)
			}
			if requests, _ := rec.seen(); len(requests) != 0 {
				t.Error("the server behind was called without its credential")
			}
		})
	}
}
