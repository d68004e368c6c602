package oauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

func TestRegistrationFillsInWhatIsMissing(t *testing.T) {
	got, err := oauth.ParseClientMetadata([]byte(`{"client_name":" An App ","redirect_uris":["http://localhost:1/cb"],"client_id":"mine","unknown":{"x":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := oauth.ClientMetadata{
		ClientName: "An App", RedirectURIs: []string{"http://localhost:1/cb"}, AuthMethod: oauth.AuthBasic,
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestThreat16_HostileClientMetadataIsRefused(t *testing.T) {
	const redirect = `"redirect_uris":["https://app.example/cb"]`
	for name, c := range map[string]struct {
		body string
		code oauth.Code
	}{
		"no JSON":           {`client_name=x`, oauth.InvalidClientMetadata},
		"array":             {`[]`, oauth.InvalidClientMetadata},
		"two documents":     {`{` + redirect + `}{}`, oauth.InvalidClientMetadata},
		"key twice":         {`{` + redirect + `,` + redirect + `}`, oauth.InvalidClientMetadata},
		"no redirect":       {`{"client_name":"x"}`, oauth.InvalidRedirectURI},
		"key in other case": {`{"Redirect_URIs":["https://app.example/cb"]}`, oauth.InvalidRedirectURI},
		"hostile redirect":  {`{"redirect_uris":["https://app.example/cb","javascript:alert(1)"]}`, oauth.InvalidRedirectURI},
		"many redirects":    {`{"redirect_uris":[` + strings.Repeat(`"https://a.example/",`, 30) + `"https://a.example/"]}`, oauth.InvalidRedirectURI},
		"control in name":   {`{"client_name":"a\u0007b",` + redirect + `}`, oauth.InvalidClientMetadata},
		"line in name":      {`{"client_name":"a\nb",` + redirect + `}`, oauth.InvalidClientMetadata},
		"reversed name":     {`{"client_name":"a\u202eb",` + redirect + `}`, oauth.InvalidClientMetadata},
		"broken UTF-8":      {"{\"client_name\":\"\xff\"," + redirect + `}`, oauth.InvalidClientMetadata},
		"long name":         {`{"client_name":"` + strings.Repeat("x", 200) + `",` + redirect + `}`, oauth.InvalidClientMetadata},
		"huge":              {`{"x":"` + strings.Repeat("x", oauth.MaxClientMetadata) + `",` + redirect + `}`, oauth.InvalidClientMetadata},
		"script address":    {`{"client_uri":"javascript:alert(1)",` + redirect + `}`, oauth.InvalidClientMetadata},
		"implicit":          {`{"response_types":["token"],` + redirect + `}`, oauth.InvalidClientMetadata},
		"password":          {`{"grant_types":["password"],` + redirect + `}`, oauth.InvalidClientMetadata},
		"unknown method":    {`{"token_endpoint_auth_method":"tls_client_auth",` + redirect + `}`, oauth.InvalidClientMetadata},
		"keys missing":      {`{"token_endpoint_auth_method":"private_key_jwt",` + redirect + `}`, oauth.InvalidClientMetadata},
		"private key":       {`{"jwks":{"keys":[{"kty":"EC","d":"x"}]},` + redirect + `}`, oauth.InvalidClientMetadata},
		"symmetric key":     {`{"jwks":{"keys":[{"kty":"oct","k":"x"}]},` + redirect + `}`, oauth.InvalidClientMetadata},
		"malformed scope":   {`{"scope":"a\"b",` + redirect + `}`, oauth.InvalidClientMetadata},
	} {
		_, err := oauth.ParseClientMetadata([]byte(c.body))
		assertRefusal(t, name, err, c.code, 400)
	}
}

func TestThreat17_DocumentMustSayItsOwnAddressAndHoldNoSecret(t *testing.T) {
	const address = "https://app.example/client.json"
	good := func(more string) string {
		return `{"client_id":"` + address + `","client_name":"App","redirect_uris":["http://127.0.0.1/cb"]` + more + `}`
	}
	got, err := oauth.ParseClientDocument(address, []byte(good("")))
	if err != nil || got.AuthMethod != oauth.AuthNone {
		t.Fatalf("got %+v, %v", got, err)
	}
	for name, body := range map[string]string{
		"another address": strings.Replace(good(""), "client.json", "other.json", 1),
		"other case":      strings.Replace(good(""), "app.example", "App.example", 1),
		"no name":         strings.Replace(good(""), `"App"`, `""`, 1),
		"secret":          good(`,"client_secret":"x"`),
		"secret's end":    good(`,"client_secret_expires_at":0`),
		"secret method":   good(`,"token_endpoint_auth_method":"client_secret_post"`),
		"basic":           good(`,"token_endpoint_auth_method":"client_secret_basic"`),
		"private key":     good(`,"jwks":{"keys":[{"kty":"RSA","n":"x","e":"AQAB","d":"x"}]}`),
		"over 5 KB":       good(`,"x":"` + strings.Repeat("x", 5<<10) + `"`),
	} {
		if _, err := oauth.ParseClientDocument(address, []byte(body)); codeOf(err) != oauth.InvalidClientMetadata {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestThreat17_OnlyPlainHTTPSAddressesAreClientIDs(t *testing.T) {
	for address, want := range map[string]bool{
		"https://app.example/client.json":         true,
		"https://app.example:8443/a/b":            true,
		"https://app.example/c?v=1":               true,
		"http://app.example/client.json":          false,
		"HTTPS://app.example/client.json":         false,
		"https://app.example":                     false,
		"https://app.example/":                    false,
		"https://app.example/../client.json":      false,
		"https://app.example/a/./client.json":     false,
		"https://app.example/%2e%2e/client.json":  false,
		"https://app.example/client.json#x":       false,
		"https://user@app.example/client.json":    false,
		"https://user:pw@app.example/client.json": false,
		"https:///client.json":                    false,
		"https://app.example\\@evil.example/c":    false,
		"https://app.example/a b":                 false,
		"https://app.example/\u00e9":              false,
		"ftp://app.example/client.json":           false,
		"aebc6443-996d-45c2-90f0-388ff96faa56":    false,
	} {
		if got := oauth.CheckClientIDURL(address) == nil; got != want {
			t.Errorf("%s: got %t", address, got)
		}
	}
}

func FuzzClientMetadataThatPassesIsHarmless(f *testing.F) {
	f.Add([]byte(`{"client_name":"x","redirect_uris":["https://app.example/cb"]}`))
	f.Add([]byte(`{"redirect_uris":["javascript:alert(1)"]}`))
	f.Add([]byte(`{"redirect_uris":["com.example:/x"],"jwks":{"keys":[{"kty":"EC"}]},"token_endpoint_auth_method":"private_key_jwt"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := oauth.ParseClientMetadata(body)
		if err != nil {
			if codeOf(err) == "" {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		if strings.ContainsAny(m.ClientName, "\x00\n\r\u202e") || len(m.RedirectURIs) == 0 {
			t.Errorf("%q passed as %+v", body, m)
		}
		for _, uri := range m.RedirectURIs {
			if strings.HasPrefix(strings.ToLower(uri), "javascript") || strings.Contains(uri, "#") {
				t.Errorf("%q passed with %q", body, uri)
			}
		}
	})
}
