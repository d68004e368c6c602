package entra_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/policy"
)

func TestVerifySaysWhoTheTokenSpeaksFor(t *testing.T) {
	server := startKeyServer(t)
	v1 := map[string]any{
		"iss": "https://sts.windows.net/" + testTenant + "/", "aud": "api://" + testAPI, "ver": "1.0",
		"azp": nil, "appid": testClient, "preferred_username": nil, "unique_name": "pat@contoso.example",
	}
	for name, token := range map[string]string{
		"version 2": server.token(t, nil),
		"version 1": server.token(t, v1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := server.verifier(t, nil).Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			want := &entra.Verified{
				Identity: policy.Identity{
					Tenant: testTenant, Object: testPerson, Kind: policy.Person, Client: testClient,
					Roles: []string{"Weather.Read"}, Scopes: []string{"access_as_user", "mail.read"},
					Name: "Pat", Username: "pat@contoso.example",
				},
				Version: strings.TrimPrefix(name, "version ") + ".0", Expires: server.now().Add(time.Hour).Local(), ID: "abc",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verified (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryCheckRefusesWhatItIsThereFor(t *testing.T) {
	server := startKeyServer(t)
	now := server.now().Unix()
	for _, c := range []struct {
		name    string
		changes map[string]any
		check   policy.Check
	}{
		{"audience of another API", map[string]any{"aud": testOther}, policy.CheckAudience},
		{"audience missing", map[string]any{"aud": nil}, policy.CheckAudience},
		{"audience with a suffix", map[string]any{"aud": testAPI + "0"}, policy.CheckAudience},
		{"audience that is a prefix", map[string]any{"aud": testAPI[:35]}, policy.CheckAudience},
		{"audience of another case", map[string]any{"aud": "API://" + testAPI}, policy.CheckAudience},
		{"audience with a slash", map[string]any{"aud": "api://" + testAPI + "/"}, policy.CheckAudience},
		{"audience list", map[string]any{"aud": []string{testAPI, testOther}}, policy.CheckAudience},
		{"audience list of one", map[string]any{"aud": []string{testAPI}}, policy.CheckAudience},
		{"issuer with a suffix", map[string]any{"iss": server.URL + "/" + testTenant + "/v2.0/"}, policy.CheckIssuer},
		{"issuer that is a prefix", map[string]any{"iss": server.URL + "/" + testTenant}, policy.CheckIssuer},
		{"issuer of another host", map[string]any{"iss": "https://login.microsoftonline.com/" + testTenant + "/v2.0"}, policy.CheckIssuer},
		{"issuer of version 1 in a token of version 2", map[string]any{"iss": "https://sts.windows.net/" + testTenant + "/"}, policy.CheckIssuer},
		{"version that is none", map[string]any{"ver": "3.0"}, policy.CheckIssuer},
		{"version missing", map[string]any{"ver": nil}, policy.CheckIssuer},
		{"issuer and tenant of another tenant", map[string]any{"iss": server.URL + "/" + testOther + "/v2.0", "tid": testOther}, policy.CheckIssuer},
		{"tenant that is not the issuer's", map[string]any{"tid": testOther}, policy.CheckTenant},
		{"tenant missing", map[string]any{"tid": nil}, policy.CheckTenant},
		{"expired", map[string]any{"exp": now - 61}, policy.CheckExpiry},
		{"expiry missing", map[string]any{"exp": nil}, policy.CheckExpiry},
		{"not yet valid", map[string]any{"nbf": now + 61}, policy.CheckNotBefore},
		{"not-before missing", map[string]any{"nbf": nil}, policy.CheckNotBefore},
		{"client that may not call", map[string]any{"azp": testOther}, policy.CheckClient},
		{"client missing, as in an ID token", map[string]any{"azp": nil}, policy.CheckClient},
		{"client in the claim of the other version", map[string]any{"azp": nil, "appid": testClient}, policy.CheckClient},
		{"object missing", map[string]any{"oid": nil}, policy.CheckObject},
		{"object that is no ID", map[string]any{"oid": "pat"}, policy.CheckObject},
		{"application where a person is wanted", map[string]any{"scp": nil}, policy.CheckKind},
		{"application that says so", map[string]any{"idtyp": "app"}, policy.CheckKind},
		{"scope missing", map[string]any{"scp": "mail.read"}, policy.CheckScope},
		{"scope that is a prefix", map[string]any{"scp": "access_as_user2"}, policy.CheckScope},
		{"more groups than fit", map[string]any{"_claim_names": map[string]string{"groups": "src1"}}, policy.CheckGroups},
		{"more groups than fit, said otherwise", map[string]any{"hasgroups": true}, policy.CheckGroups},
		{"expiry that is text", map[string]any{"exp": "tomorrow"}, policy.CheckToken},
		{"expiry in the year 300000", map[string]any{"exp": 9e12}, policy.CheckToken},
		{"expiry that overflows", map[string]any{"exp": 1e30}, policy.CheckToken},
		{"roles that are text", map[string]any{"roles": "Weather.Write"}, policy.CheckToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := server.verifier(t, nil).Verify(t.Context(), server.token(t, c.changes))
			wantRefusal(t, err, c.check)
		})
	}
}

func TestSkewIsAllowedAndNoMore(t *testing.T) {
	server := startKeyServer(t)
	now := server.now().Unix()
	for _, c := range []struct {
		name    string
		skew    time.Duration
		changes map[string]any
		refused policy.Check
	}{
		{"expired within a minute", 0, map[string]any{"exp": now - 59}, ""},
		{"expired a minute ago", 0, map[string]any{"exp": now - 60}, policy.CheckExpiry},
		{"valid within a minute", 0, map[string]any{"nbf": now + 60}, ""},
		{"expires now, no skew", -1, map[string]any{"exp": now}, policy.CheckExpiry},
		{"valid now, no skew", -1, map[string]any{"nbf": now}, ""},
		{"expired four minutes ago, five allowed", 5 * time.Minute, map[string]any{"exp": now - 240}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			verifier := server.verifier(t, func(config *entra.VerifierConfig) { config.Skew = c.skew })
			_, err := verifier.Verify(t.Context(), server.token(t, c.changes))
			wantRefusal(t, err, c.refused)
		})
	}
}

func TestApplicationsArePassedOnlyWhereTheyAreWanted(t *testing.T) {
	server := startKeyServer(t)
	app := map[string]any{"scp": nil, "idtyp": "app", "roles": []string{"Weather.Read"}}
	for _, c := range []struct {
		name    string
		callers entra.Callers
		changes map[string]any
		want    policy.Kind
		refused policy.Check
	}{
		{"application among applications", entra.Applications, app, policy.Application, ""},
		{"person among applications", entra.Applications, nil, "", policy.CheckKind},
		{"application among both", entra.PeopleAndApplications, app, policy.Application, ""},
		{"person among both", entra.PeopleAndApplications, nil, policy.Person, ""},
		{"ID token where any client may call", entra.PeopleAndApplications, map[string]any{"scp": nil, "azp": nil, "nonce": "n"}, "", policy.CheckClient},
		{"ID token among both", entra.PeopleAndApplications, map[string]any{"scp": nil, "azp": nil, "nonce": "n"}, "", policy.CheckClient},
	} {
		t.Run(c.name, func(t *testing.T) {
			verifier := server.verifier(t, func(config *entra.VerifierConfig) {
				config.Callers = c.callers
				if strings.HasSuffix(c.name, "any client may call") {
					config.Clients = nil
				}
			})
			got, err := verifier.Verify(t.Context(), server.token(t, c.changes))
			if wantRefusal(t, err, c.refused) && got.Identity.Kind != c.want {
				t.Errorf("kind: want %s, got %s", c.want, got.Identity.Kind)
			}
		})
	}
}

func TestTenantsAreAListOrARule(t *testing.T) {
	server := startKeyServer(t)
	of := func(tenant string) map[string]any {
		return map[string]any{"tid": tenant, "iss": server.URL + "/" + tenant + "/v2.0"}
	}
	third := "66666666-6666-4666-8666-666666666666"
	list := func(c *entra.VerifierConfig) { c.Tenants = []string{testTenant, strings.ToUpper(testOther)} }
	rule := func(c *entra.VerifierConfig) {
		c.Tenants, c.TenantRule = nil, func(tenant string) bool { return tenant != third }
	}
	mixed := map[string]any{"tid": testTenant, "iss": server.URL + "/" + testOther + "/v2.0"}
	for _, c := range []struct {
		name    string
		config  func(*entra.VerifierConfig)
		changes map[string]any
		refused policy.Check
	}{
		{"first of the list", list, of(testTenant), ""},
		{"second of the list", list, of(testOther), ""},
		{"not in the list", list, of(third), policy.CheckIssuer},
		{"issuer of one, tenant of another", list, mixed, policy.CheckTenant},
		{"the rule says yes", rule, of(testOther), ""},
		{"the rule says no", rule, of(third), policy.CheckTenant},
		{"issuer of one, tenant of another, with a rule", rule, mixed, policy.CheckIssuer},
		{"the placeholder as a tenant", rule, of("{tenantid}"), policy.CheckIssuer},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := server.verifier(t, c.config).Verify(t.Context(), server.token(t, c.changes))
			wantRefusal(t, err, c.refused)
		})
	}
}

func TestAKeySignsForItsOwnIssuerOnly(t *testing.T) {
	server := startKeyServer(t)
	everybody, personal := publicKey("key-0", rsaKeys()[0]), publicKey("key-1", rsaKeys()[1])
	everybody["issuer"] = server.URL + "/{tenantid}/v2.0"
	personal["issuer"] = server.URL + "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
	server.publish(everybody, personal)
	verifier := server.verifier(t, nil)
	_, err := verifier.Verify(t.Context(), server.token(t, nil))
	wantRefusal(t, err, "")
	_, err = verifier.Verify(t.Context(), sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-1"}, server.claims(nil)))
	wantRefusal(t, err, policy.CheckSignature)
}

func TestGroupsThatAreNamesAreLeftOut(t *testing.T) {
	server := startKeyServer(t)
	token := server.token(t, map[string]any{"groups": []string{testOther, "Admins", "a,b\r\nc", strings.ToUpper(testClient)}})
	got, err := server.verifier(t, nil).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{testOther, testClient}, got.Identity.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	ignoring := server.verifier(t, func(c *entra.VerifierConfig) { c.IgnoreGroups = true })
	got, err = ignoring.Verify(t.Context(), server.token(t, map[string]any{"groups": []string{testOther}, "hasgroups": true}))
	if err != nil || len(got.Identity.Groups) != 0 {
		t.Errorf("ignoring groups: want nobody refused and no group, got %v, %v", got, err)
	}
}

func TestWhatOneCallerDoesToAnIdentityAnotherDoesNotSee(t *testing.T) {
	server := startKeyServer(t)
	verifier, token := server.verifier(t, nil), server.token(t, map[string]any{"groups": []string{testOther}})
	first, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	first.Identity.Roles[0], first.Identity.Scopes[0], first.Identity.Groups[0] = "Everything", "everything", "everybody"
	second, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"Weather.Read"}, {"access_as_user", "mail.read"}, {testOther}}
	if diff := cmp.Diff(want, [][]string{second.Identity.Roles, second.Identity.Scopes, second.Identity.Groups}); diff != "" {
		t.Errorf("second identity (-want +got):\n%s", diff)
	}
}

func TestNewVerifierReportsEveryMistake(t *testing.T) {
	_, err := entra.NewVerifier(entra.VerifierConfig{
		Tenants: []string{"contoso.example"}, Clients: []string{"vscode"}, Skew: time.Hour, Callers: 7,
		Groups: noGroups{}, IgnoreGroups: true,
	})
	if err == nil {
		t.Fatal("want mistakes, got none")
	}
	for _, word := range []string{"tenants:", "audiences:", "clients:", "skew:", "callers:", "groups:"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("want a mistake about %s in %q", word, err)
		}
	}
	_, err = entra.NewVerifier(entra.VerifierConfig{Audiences: []string{testAPI}})
	if err == nil || !strings.Contains(err.Error(), "tenants:") {
		t.Errorf("no tenant at all: want a mistake, got %v", err)
	}
}

type noGroups struct{}

func (noGroups) GroupsOf(context.Context, entra.Identity, entra.Token) ([]string, error) {
	return nil, nil
}

func TestARefusalNeverHoldsTheToken(t *testing.T) {
	server := startKeyServer(t)
	verifier := server.verifier(t, nil)
	for _, token := range []string{
		server.token(t, map[string]any{"aud": "x"}), server.token(t, map[string]any{"exp": "x"}), server.token(t, nil) + "x",
		"a.b.c", strings.Repeat("x", 40<<10), "one two",
	} {
		_, err := verifier.Verify(t.Context(), token)
		var table strings.Builder
		for _, row := range verifier.Explain(t.Context(), token) {
			table.WriteString(string(row.Check) + row.Wanted + row.Got + row.Remedy)
		}
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 3 && (strings.Contains(err.Error(), part) || strings.Contains(table.String(), part)) {
				t.Errorf("a part of the token is in %q or %q", err, table.String())
			}
		}
	}
}

func TestATokenOfUnreasonableLengthIsNotEvenRead(t *testing.T) {
	server := startKeyServer(t)
	_, err := server.verifier(t, nil).Verify(t.Context(), server.token(t, map[string]any{"padding": strings.Repeat("x", 32<<10)}))
	wantRefusal(t, err, policy.CheckToken)
	if !strings.Contains(err.Error(), "too long") {
		t.Errorf("want a word about the length, got %v", err)
	}
}

func TestExplainShowsEveryCheckAtOnce(t *testing.T) {
	server := startKeyServer(t)
	rows := server.verifier(t, nil).Explain(t.Context(), server.token(t, map[string]any{"aud": testOther, "scp": "mail.read"}))
	got := map[policy.Check]bool{}
	for _, row := range rows {
		got[row.Check] = row.Passed
		if row.Wanted == "" || row.Got == "" || (row.Passed != (row.Remedy == "")) {
			t.Errorf("row %+v: want words for all of it", row)
		}
	}
	want := map[policy.Check]bool{
		policy.CheckToken: true, policy.CheckSignature: true, policy.CheckAudience: false, policy.CheckIssuer: true,
		policy.CheckTenant: true, policy.CheckExpiry: true, policy.CheckNotBefore: true, policy.CheckClient: true,
		policy.CheckObject: true, policy.CheckKind: true, policy.CheckScope: false, policy.CheckGroups: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestExplainWorksWhileEntraIsDown(t *testing.T) {
	server := startKeyServer(t)
	server.answer(http.StatusServiceUnavailable)
	rows := server.verifier(t, nil).Explain(t.Context(), server.token(t, nil))
	failed := slices.DeleteFunc(slices.Clone(rows), func(r entra.CheckResult) bool { return r.Passed })
	if len(rows) != 12 || len(failed) != 1 || failed[0].Check != policy.CheckSignature {
		t.Errorf("want twelve rows of which only the signature failed, got %+v", rows)
	}
}

// wantRefusal fails the test unless err is a refusal by that check, or nil for "". It reports whether err is nil.
func wantRefusal(t *testing.T, err error, check policy.Check) bool {
	t.Helper()
	var refusal *entra.Refusal
	switch {
	case check == "" && err != nil:
		t.Errorf("want no refusal, got %v", err)
	case check == "":
	case !errors.As(err, &refusal):
		t.Errorf("want a refusal by the %s check, got %v", check, err)
	case refusal.Check != check:
		t.Errorf("want a refusal by the %s check, got %v", check, err)
	case refusal.Wanted == "" || refusal.Got == "" || refusal.Remedy == "":
		t.Errorf("want a refusal in words, got %+v", refusal)
	}
	return err == nil
}
