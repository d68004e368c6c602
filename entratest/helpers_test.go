package entratest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

// reply is what came back over HTTP.
type reply struct {
	Status int
	Header http.Header
	Raw    string
	JSON   map[string]any
}

func (r reply) str(name string) string {
	s, _ := r.JSON[name].(string)
	return s
}

// send speaks HTTP to the tenant and follows no redirect.
func send(t *testing.T, tenant *entratest.Tenant, req *http.Request) reply {
	t.Helper()
	client := *tenant.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &out.JSON) // pages are no JSON
	return out
}

func get(t *testing.T, tenant *entratest.Tenant, path string, header ...string) reply {
	t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = tenant.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(req, header)
	return send(t, tenant, req)
}

func setHeaders(req *http.Request, header []string) {
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
}

// post sends a form.
func post(t *testing.T, tenant *entratest.Tenant, path string, form url.Values, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tenant.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	setHeaders(req, header)
	return send(t, tenant, req)
}

const tokenPath = "/" + entratest.TenantID + "/oauth2/v2.0/token"

// values builds a form from pairs.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

const (
	genkanRedirect = "http://localhost:8080/callback"
	genkanScopes   = entratest.GenkanID + "/access_as_user openid profile offline_access"
)

// authorizeURL is Genkan's authorize request; pairs replace or add parameters, "" removes.
func authorizeURL(tenant *entratest.Tenant, pairs ...string) string {
	v := values("client_id", entratest.GenkanID, "response_type", "code", "redirect_uri", genkanRedirect,
		"scope", genkanScopes, "state", "the state", "nonce", "the nonce")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
			continue
		}
		v.Set(pairs[i], pairs[i+1])
	}
	return tenant.URL + "/" + entratest.TenantID + "/oauth2/v2.0/authorize?" + v.Encode()
}

// signIn gets a code for a person.
func signIn(t *testing.T, tenant *entratest.Tenant, who string, pairs ...string) string {
	t.Helper()
	answer, err := tenant.SignIn(authorizeURL(tenant, pairs...), who)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Params.Get("code") == "" {
		t.Fatalf("no code came back: %v", answer.Params)
	}
	return answer.Params.Get("code")
}

// redeemForm is how Genkan redeems a code; pairs replace or add, "" removes.
func redeemForm(code string, pairs ...string) url.Values {
	v := values("grant_type", "authorization_code", "code", code, "client_id", entratest.GenkanID,
		"client_secret", entratest.GenkanSecret, "redirect_uri", genkanRedirect, "scope", genkanScopes)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
			continue
		}
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// tokens signs somebody in to Genkan.
func tokens(t *testing.T, tenant *entratest.Tenant, who string) reply {
	t.Helper()
	got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, who)))
	if got.Status != http.StatusOK {
		t.Fatalf("redeem a code: %d %s", got.Status, got.Raw)
	}
	return got
}

// payload decodes a token without any check.
func payload(t *testing.T, token string) map[string]any { return segment(t, token, 1) }

func header(t *testing.T, token string) map[string]any { return segment(t, token, 0) }

func segment(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no compact JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func challengeS256(verifier string) string {
	h := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

var descriptionShape = regexp.MustCompile(`^AADSTS(\d+): .+\r\nTrace ID: ([0-9a-f-]{36})\r\nCorrelation ID: ([0-9a-f-]{36})\r\nTimestamp: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ)$`)

// wantRefusal checks a refusal of the token endpoint in all its parts.
func wantRefusal(t *testing.T, got reply, status int, oauth string, code int) {
	t.Helper()
	m := descriptionShape.FindStringSubmatch(got.str("error_description"))
	if got.Status != status || got.str("error") != oauth || m == nil {
		t.Fatalf("got %d %s, want %d %s AADSTS%d", got.Status, got.Raw, status, oauth, code)
	}
	want := map[string]any{
		"number": strconv.Itoa(code), "codes": []any{float64(code)},
		"trace": got.str("trace_id"), "correlation": got.str("correlation_id"), "timestamp": got.str("timestamp"),
	}
	have := map[string]any{
		"number": m[1], "codes": got.JSON["error_codes"], "trace": m[2], "correlation": m[3], "timestamp": m[4],
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

// wantPage checks that a request to the authorize endpoint ends on a page and is told to nobody.
func wantPage(t *testing.T, got reply, code int) {
	t.Helper()
	if got.Header.Get("Location") != "" {
		t.Fatalf("a redirect to %s, where Entra shows a page", got.Header.Get("Location"))
	}
	if got.Status != http.StatusBadRequest || !strings.Contains(got.Raw, fmt.Sprintf("AADSTS%d:", code)) {
		t.Fatalf("got %d without AADSTS%d: %.300s", got.Status, code, got.Raw)
	}
}

// wantBack checks that a request to the authorize endpoint is refused by way of the redirect URI.
func wantBack(t *testing.T, got reply, oauth string, code int) url.Values {
	t.Helper()
	to, err := url.Parse(got.Header.Get("Location"))
	if err != nil || got.Status != http.StatusFound {
		t.Fatalf("got %d %.300s, want a redirect with %s", got.Status, got.Raw, oauth)
	}
	q := to.Query()
	m := descriptionShape.FindStringSubmatch(q.Get("error_description"))
	if q.Get("error") != oauth || m == nil || m[1] != strconv.Itoa(code) || q.Get("state") != "the state" {
		t.Fatalf("redirect to %s, want %s AADSTS%d and the state", to, oauth, code)
	}
	return q
}

// app changes one application.
func app(tenant *entratest.Tenant, clientID string, edit func(*entratest.App)) {
	tenant.Change(func(d *entratest.Directory) {
		for i := range d.Apps {
			if d.Apps[i].ClientID == clientID {
				edit(&d.Apps[i])
			}
		}
	})
}

// refreshForm is how Genkan refreshes; pairs replace or add, "" removes.
func refreshForm(refreshToken string, pairs ...string) url.Values {
	v := values("grant_type", "refresh_token", "client_id", entratest.GenkanID, "client_secret", entratest.GenkanSecret,
		"refresh_token", refreshToken, "scope", genkanScopes)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
			continue
		}
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// graphToken gets somebody's token for Microsoft Graph.
func graphToken(t *testing.T, tenant *entratest.Tenant, who string, scopes ...string) string {
	t.Helper()
	token, err := tenant.AccessToken(who, entratest.GenkanID, entratest.GraphURI, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sendJSON sends a JSON body with a bearer token.
func sendJSON(t *testing.T, tenant *entratest.Tenant, method, path, token, body string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, tenant.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return send(t, tenant, req)
}

// signatureHolds verifies a token as an API would: with the published keys and nothing else.
func signatureHolds(t *testing.T, tenant *entratest.Tenant, token string) bool {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get(t, tenant, "/"+entratest.TenantID+"/discovery/v2.0/keys").Raw), &keys); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.Key(jws.Signatures[0].Header.KeyID) {
		if _, err := jws.Verify(k); err == nil {
			return true
		}
	}
	return false
}
