package entra_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/policy"
)

// MSAL takes an ID token for good whatever its signature: this package must not.
func TestForgedAnswersOfTheTokenEndpointAreRefused(t *testing.T) {
	tenant := entratest.Start(t)
	forge := func(t *testing.T, token string, change map[string]any) string {
		claims := claimsOf(t, entra.NewToken(token, time.Time{}))
		for name, value := range change {
			claims[name] = value
		}
		signed, err := tenant.Sign(claims, nil)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	for _, c := range []struct {
		name  string
		field string
		alter func(t *testing.T, token string) string
		check policy.Check
	}{
		{"ID token, signature", "id_token", func(t *testing.T, token string) string {
			header := map[string]any{"kid": headerOf(t, token)["kid"]}
			return sign(t, jose.RS256, rsaKeys()[0], header, claimsOf(t, entra.NewToken(token, time.Time{})))
		}, policy.CheckSignature},
		{"ID token, audience", "id_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"aud": entratest.GenkanToolsID})
		}, policy.CheckAudience},
		{"ID token, issuer", "id_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"iss": "https://login.microsoftonline.com/" + entratest.TenantID + "/v2.0"})
		}, policy.CheckIssuer},
		{"ID token, ended", "id_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})
		}, policy.CheckExpiry},
		{"ID token, somebody else", "id_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"oid": entratest.BobID})
		}, policy.CheckObject},
		{"access token, somebody else", "access_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"oid": entratest.BobID})
		}, policy.CheckObject},
		{"access token, another client's", "access_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"azp": entratest.GenkanToolsID})
		}, policy.CheckClient},
		{"access token, for another API", "access_token", func(t *testing.T, token string) string {
			return forge(t, token, map[string]any{"aud": entratest.GraphURI})
		}, policy.CheckAudience},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newClient(t, tenant, func(config *entra.ClientConfig) {
				config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
					if r.Method == http.MethodPost {
						alterField(t, response, c.field, func(token string) string { return c.alter(t, token) })
					}
				})}
			})
			request := redeemRequest(visit(t, client, tenant, "alice", signInRequest()))
			_, err := client.Redeem(t.Context(), request)
			wantRefusal(t, err, c.check)
		})
	}
}

func headerOf(t *testing.T, token string) map[string]any {
	t.Helper()
	header, _, _ := parts(token)
	return claimsOf(t, entra.NewToken("."+header+".", time.Time{}))
}

// alterField changes one field of a JSON answer.
func alterField(t *testing.T, response *http.Response, field string, change func(string) string) {
	var fields map[string]any
	if err := json.NewDecoder(response.Body).Decode(&fields); err != nil {
		t.Errorf("read the answer: %v", err)
		return
	}
	if text, ok := fields[field].(string); ok {
		fields[field] = change(text)
	}
	raw := mustJSON(t, fields)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	response.Header.Del("Content-Length")
}

// The state of one person must not become another's, whatever Entra answers.
func TestARefreshThatBringsSomebodyElseIsRefused(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice, bob := signInAs(t, client, tenant, "alice"), signInAs(t, client, tenant, "bob")
	var mine, theirs map[string]any
	if json.Unmarshal(alice.State.Reveal(), &mine) != nil || json.Unmarshal(bob.State.Reveal(), &theirs) != nil {
		t.Fatal("the states are not JSON")
	}
	theirs["oid"] = mine["oid"]
	_, err := client.Refresh(t.Context(), entra.NewState(mustJSON(t, theirs)))
	wantRefusal(t, err, policy.CheckObject)
}

func TestARefreshedIDTokenOfSomebodyElseIsRefused(t *testing.T) {
	tenant := entratest.Start(t)
	signIn := signInAs(t, newClient(t, tenant), tenant, "alice")
	client := newClient(t, tenant, func(config *entra.ClientConfig) {
		config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, response *http.Response) {
			if r.Method == http.MethodPost {
				alterField(t, response, "id_token", func(token string) string {
					claims := claimsOf(t, entra.NewToken(token, time.Time{}))
					claims["oid"] = entratest.BobID
					signed, err := tenant.Sign(claims, nil)
					if err != nil {
						t.Error(err)
					}
					return signed
				})
			}
		})}
	})
	_, err := client.Refresh(t.Context(), signIn.State)
	wantRefusal(t, err, policy.CheckObject)
}
