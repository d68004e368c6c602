package entra_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

// What happens to people between two refreshes, each done to them for real.
func TestEachHardDayIsSortedIntoWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name   string
		strike func(*entratest.Tenant)
		code   int
		reason entra.Reason
	}{
		{"account disabled", func(n *entratest.Tenant) { n.Disable("alice") }, 50057, entra.Ended},
		{"signed out everywhere", func(n *entratest.Tenant) { n.SignOut("alice") }, 50173, entra.Ended},
		{"unused for too long", func(n *entratest.Tenant) { n.Advance(91 * 24 * time.Hour) }, 700082, entra.Ended},
		{"consent withdrawn", func(n *entratest.Tenant) { n.WithdrawConsent(entratest.GenkanID, entratest.GenkanID) }, 65001, entra.Interaction},
		{"MFA required", func(n *entratest.Tenant) { n.Require(entratest.Policy{Resource: entratest.GenkanID, MFA: true}) }, 50076, entra.Interaction},
		{"sign-in too old", func(n *entratest.Tenant) {
			n.Require(entratest.Policy{Resource: entratest.GenkanID, SignInFrequency: time.Hour})
			n.Advance(2 * time.Hour)
		}, 70043, entra.Interaction},
		{"blocked by Conditional Access", func(n *entratest.Tenant) { n.Require(entratest.Policy{Resource: entratest.GenkanID, Block: true}) }, 53003, entra.Interaction},
		{"secret expired", func(n *entratest.Tenant) { n.ExpireSecrets(entratest.GenkanID) }, 7000222, entra.Misuse},
		{"secret replaced", func(n *entratest.Tenant) {
			n.Change(func(d *entratest.Directory) { genkan(d).Secrets[0].Value = "another" })
		}, 7000215, entra.Misuse},
		{"application disabled", func(n *entratest.Tenant) {
			n.Change(func(d *entratest.Directory) { genkan(d).Disabled = true })
		}, 7000112, entra.Misuse},
		{"throttled", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Status: 429}) }, 90055, entra.Unavailable},
		{"fault of Entra", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Status: 500}) }, 90033, entra.Unavailable},
		{"hung up", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Drop: true}) }, 0, entra.Unavailable},
		{"garbage", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Body: "<html>secret</html>"}) }, 0, entra.Unavailable},
		{"a proxy's page", func(n *entratest.Tenant) {
			n.FailNext(entratest.Fault{Path: "/token", Body: "<html></html>", Status: 502})
		}, 0, entra.Unavailable},
		{"discovery down", func(n *entratest.Tenant) {
			n.FailNext(entratest.Fault{Path: "openid-configuration", Status: 503, Times: -1})
			n.FailNext(entratest.Fault{Path: "/token", Status: 503})
		}, 90033, entra.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			tenant := entratest.Start(t)
			client := newClient(t, tenant)
			signIn := signInAs(t, client, tenant, "alice")
			c.strike(tenant)
			_, err := client.Refresh(t.Context(), signIn.State)
			failure := wantError(t, err, c.code, c.reason)
			if c.code != 0 && (failure.CorrelationID == "" || failure.TraceID == "" || failure.Description == "" || failure.Status < 400) {
				t.Errorf("want what Microsoft's support asks for, got %+v", failure)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, failure), "secret</html>") {
				t.Errorf("the answer's body is in %v", err)
			}
			var interaction *entra.InteractionRequiredError
			if errors.As(err, &interaction) != (c.reason == entra.Interaction) {
				t.Errorf("want *InteractionRequiredError only where the person can help, got %T", err)
			}
		})
	}
}

func genkan(d *entratest.Directory) *entratest.App {
	for i := range d.Apps {
		if d.Apps[i].ClientID == entratest.GenkanID {
			return &d.Apps[i]
		}
	}
	panic("Contoso has no Genkan")
}

func TestThePatienceThatEntraAsksForIsPassedOn(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	tenant.FailNext(entratest.Fault{Path: "/token", Status: http.StatusTooManyRequests, RetryAfter: 17 * time.Second})
	_, err := client.Refresh(t.Context(), signIn.State)
	if got := wantError(t, err, 90055, entra.Unavailable).RetryAfter; got != 17*time.Second {
		t.Errorf("retry after: want 17s, got %s", got)
	}
}

func TestAClaimsChallengeOfARefreshIsCarried(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	tenant.FailNext(entratest.Fault{Path: "/token", Code: 50079, Claims: claims})
	_, err := client.Refresh(t.Context(), signIn.State)
	if got := wantInteraction(t, err, 50079); got != claims {
		t.Errorf("claims: want %s, got %s", claims, got)
	}
}

// Every number that the project's facts about Entra name, as the token endpoint would say it.
func TestEveryKnownNumberHasAReasonAndARemedy(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	for reason, codes := range map[entra.Reason][]int{
		entra.Denied:      {50020, 50034, 50053, 50105, 65004, 70017},
		entra.Interaction: {16000, 50055, 50058, 50074, 50076, 50079, 50097, 50158, 53000, 53001, 53003, 65001, 70043, 70044, 90094},
		entra.Ended: {50013, 500133, 50057, 50089, 50126, 50132, 50133, 50173, 54005, 70000, 70008, 70019, 70020, 700082, 700084,
			501481},
		entra.Unavailable: {70016, 90033, 90055},
		entra.Misuse: {
			9010010, 901002, 90009, 70011, 650053, 650052, 650057, 28000, 28003, 7000114, 50011, 500112, 500113, 700016, 7000112, 7000229,
			90002, 7000215, 7000222, 7000218, 700021, 700023, 700024, 700025, 700027, 50027, 900144, 9002313, 500011, 500131, 501051,
			700211, 700212, 700213, 70021, 5002738, 70018, 1002012, 9002325, 9002326, 9002327,
		},
	} {
		for _, code := range codes {
			tenant.FailNext(entratest.Fault{Path: "/token", Code: code})
			_, err := client.Refresh(t.Context(), signIn.State)
			failure := wantError(t, err, code, reason)
			if entra.Remedy(code) != failure.Remedy || !strings.HasSuffix(failure.Remedy, ".") {
				t.Errorf("AADSTS%d: want one remedy, in one sentence, got %q and %q", code, entra.Remedy(code), failure.Remedy)
			}
			if !strings.Contains(failure.Error(), fmt.Sprintf("AADSTS%d", code)) || !strings.Contains(failure.Error(), failure.Remedy) {
				t.Errorf("AADSTS%d: want number and remedy in %q", code, failure)
			}
		}
	}
	if got := entra.Remedy(1); got != "" {
		t.Errorf("a number that nobody knows: want no remedy, got %q", got)
	}
}

func TestNumbersNobodyKnowsAreSortedByTheirOAuthError(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	for _, c := range []struct {
		body   string
		status int
		reason entra.Reason
	}{
		{`{"error":"interaction_required"}`, 400, entra.Interaction},
		{`{"error":"login_required"}`, 400, entra.Interaction},
		{`{"error":"invalid_grant"}`, 400, entra.Ended},
		{`{"error":"invalid_grant","suberror":"basic_action"}`, 400, entra.Interaction},
		{`{"error":"invalid_grant","suberror":"token_expired"}`, 400, entra.Ended},
		{`{"error":"invalid_grant","claims":"{\"access_token\":{}}"}`, 400, entra.Interaction},
		{`{"error":"invalid_grant","claims":{"access_token":{}}}`, 400, entra.Interaction},
		{`{"error":"access_denied"}`, 400, entra.Denied},
		{`{"error":"expired_token"}`, 400, entra.Ended},
		{`{"error":"temporarily_unavailable"}`, 400, entra.Unavailable},
		{`{"error":"invalid_client"}`, 401, entra.Misuse},
		{`{"error":"something_new"}`, 400, entra.Misuse},
		{`{"error":["not text"]}`, 400, entra.Misuse},
		{`null`, 400, entra.Misuse},
		{`{}`, 408, entra.Unavailable},
		{`{}`, 429, entra.Unavailable},
		{`{}`, 503, entra.Unavailable},
	} {
		tenant.FailNext(entratest.Fault{Path: "/token", Status: c.status, Body: c.body})
		_, err := client.Refresh(t.Context(), signIn.State)
		wantError(t, err, 0, c.reason)
	}
}

func TestWhatTheBrowserBringsBackInPlaceOfACodeIsSorted(t *testing.T) {
	tenant := entratest.Start(t)
	request := signInRequest()
	request.Prompt = "none"
	answer := visit(t, newClient(t, tenant), tenant, "alice", request)
	wantInteraction(t, entra.CallbackError(answer.Params), 50058)
	wantError(t, entra.CallbackError(url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: no"}}), 65004, entra.Denied)
	wantError(t, entra.CallbackError(url.Values{"error": {"temporarily_unavailable"}}), 0, entra.Unavailable)
	if err := entra.CallbackError(url.Values{"code": {"x"}}); err != nil {
		t.Errorf("a code: want no error, got %v", err)
	}
}

// What Entra writes may have been chosen by somebody else: it must do no harm where it is shown.
func TestEntrasWordsAreMadeFitToBeShown(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	body := `{"error":"x\u001b[2J","error_description":"AADSTS50173: \u202e\u2066` + strings.Repeat("long ", 200) + `\r\nTrace ID: 1","trace_id":"\u0007"}`
	tenant.FailNext(entratest.Fault{Path: "/token", Status: 400, Body: body})
	_, err := client.Refresh(t.Context(), signIn.State)
	failure := wantError(t, err, 50173, entra.Ended)
	all := failure.OAuth + failure.Description + failure.TraceID
	if strings.ContainsAny(all, "\x1b\x07\r\n\u202e") || len(failure.Description) > 210 {
		t.Errorf("want clean and short words, got %q", all)
	}
}

func TestDeclinedScopesAreMissingConsent(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant, func(config *entra.ClientConfig) {
		config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
			if r.Method == http.MethodPost {
				alterField(t, response, "scope", func(string) string { return "openid profile" })
			}
		})}
	})
	_, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", signInRequest())))
	wantInteraction(t, err, 65001)
}

func TestAnotherPermissionOfTheSameResourceIsNoConsent(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant, func(config *entra.ClientConfig) {
		config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
			if r.Method == http.MethodPost {
				alterField(t, response, "scope", func(string) string { return entratest.GenkanURI + "/other" })
			}
		})}
	})
	_, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", signInRequest())))
	wantInteraction(t, err, 65001)
}

// A resource has several names, and Entra may answer with another than it was asked with.
func TestScopesUnderAnotherNameOfTheResourceAreGranted(t *testing.T) {
	for name, granted := range map[string]string{
		"application ID URI": entratest.GenkanURI + "/access_as_user openid profile",
		"two slashes":        entratest.GenkanID + "//access_as_user profile",
		"in another order":   "profile email " + entratest.GenkanURI + "/Access_As_User",
		"among others":       entratest.GenkanURI + "/other " + entratest.GenkanURI + "/access_as_user",
		"none, which is all": "",
	} {
		tenant := entratest.Start(t)
		client := newClient(t, tenant, func(config *entra.ClientConfig) {
			config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
				if r.Method == http.MethodPost {
					alterField(t, response, "scope", func(string) string { return granted })
				}
			})}
		})
		signIn, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", signInRequest())))
		if err == nil {
			_, err = client.Refresh(t.Context(), signIn.State)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedirectsOfTheTokenEndpointAreNotFollowed(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant, func(config *entra.ClientConfig) {
		config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
			if r.Method == http.MethodPost {
				response.StatusCode = http.StatusTemporaryRedirect
				response.Header.Set("Location", "http://127.0.0.1:1/steal")
			}
		})}
	})
	_, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", signInRequest())))
	var failure *entra.Error
	if !errors.As(err, &failure) || failure.Status != http.StatusTemporaryRedirect {
		t.Errorf("want the redirect as an answer, got %v", err)
	}
}

// MSAL's own errors hold the request with its secrets, and the answer with its tokens.
func TestThreat37_NoErrorHoldsWhatWasSentOrAnswered(t *testing.T) {
	tenant := entratest.Start(t)
	var secrets []string
	half := false
	client := newClient(t, tenant, func(config *entra.ClientConfig) {
		config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
			if r.Method != http.MethodPost {
				return
			}
			answer, err := io.ReadAll(response.Body)
			if err != nil {
				t.Error(err)
			}
			for _, field := range []string{"access_token", "refresh_token", "id_token"} {
				var fields map[string]any
				if json.Unmarshal(answer, &fields) == nil && fields[field] != nil {
					secrets = append(secrets, fields[field].(string))
				}
			}
			if half {
				answer = answer[:len(answer)-2]
			}
			response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
		})}
	})
	signIn := signInAs(t, client, tenant, "alice")
	secrets = append(secrets, entratest.GenkanSecret, string(signIn.State.Reveal()))
	obo, a := exchange(t, client), entra.Assertion{Token: signIn.Token}
	for _, fault := range []entratest.Fault{{Code: 50173}, {Status: 503}, {Drop: true}, {Body: "<html></html>", Status: 500}, {}} {
		half = fault == entratest.Fault{}
		for name, fail := range map[string]func() error{
			"redeem": func() error {
				request := redeemRequest(visit(t, client, tenant, "alice", signInRequest()))
				secrets = append(secrets, request.Code)
				_, err := client.Redeem(t.Context(), request)
				return err
			},
			"refresh":  func() error { _, err := client.Refresh(t.Context(), signIn.State); return err },
			"exchange": func() error { _, err := obo.Satisfy(t.Context(), a, `{"id_token":{}}`); return err },
			"application": func() error {
				_, err := client.ApplicationToken(t.Context(), entratest.SearchURI+"/"+fmt.Sprint(fault))
				return err
			},
		} {
			fault.Path = "/token"
			if !half {
				tenant.FailNext(fault)
			}
			err := fail()
			if err == nil {
				t.Errorf("%s with %+v: want an error", name, fault)
			}
			for ; err != nil; err = errors.Unwrap(err) {
				all := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
				for _, secret := range secrets {
					if strings.Contains(all, secret) || strings.Contains(all, secret[len(secret)/2:]) {
						t.Errorf("%s with %+v: a secret is in %s", name, fault, all)
					}
				}
			}
		}
		tenant.ClearFaults()
	}
	if len(secrets) < 10 {
		t.Errorf("want more secrets than %d to look for", len(secrets))
	}
}
