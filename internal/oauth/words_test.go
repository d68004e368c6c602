package oauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// The example of RFC 7636, appendix B.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestThreat08_OnlyS256WithAGoodChallengeIsTaken(t *testing.T) {
	if err := oauth.CheckChallenge(rfcChallenge, "S256"); err != nil {
		t.Error(err)
	}
	for name, c := range map[string][2]string{
		"missing":        {"", ""},
		"method only":    {"", "S256"},
		"no method":      {rfcChallenge, ""},
		"plain":          {rfcVerifier, "plain"},
		"unknown method": {rfcChallenge, "S512"},
		"lower case":     {rfcChallenge, "s256"},
		"short":          {"abc", "S256"},
		"padded":         {rfcChallenge + "=", "S256"},
		"not base64url":  {strings.Repeat("+", 43), "S256"},
	} {
		assertRefusal(t, name, oauth.CheckChallenge(c[0], c[1]), oauth.InvalidRequest, 400)
	}
}

func TestThreat08_VerifierMustProveTheChallenge(t *testing.T) {
	for verifier, want := range map[string]bool{
		rfcVerifier:                      true,
		"":                               false,
		rfcVerifier[1:]:                  false,
		strings.Repeat("a", 43):          false,
		rfcVerifier + "=":                false,
		strings.Repeat("a", 129):         false,
		rfcChallenge:                     false,
		strings.ToUpper(rfcVerifier):     false,
		rfcVerifier[:len(rfcVerifier)-1]: false,
	} {
		if got := oauth.Proves(verifier, rfcChallenge); got != want {
			t.Errorf("%q: got %t", verifier, got)
		}
	}
	if oauth.CheckVerifier(strings.Repeat("~", 43)) != nil || oauth.CheckVerifier(strings.Repeat("-", 128)) != nil {
		t.Error("the shortest and the longest verifier must pass")
	}
}

func TestScopeIsASetOfCleanWords(t *testing.T) {
	got, err := oauth.ParseScope("  mcp  files:read mcp\t")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mcp", "files:read"}, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`a"b`, `a\b`, "a\x00", "é", strings.Repeat("a ", 10) + many(100)} {
		if _, err := oauth.ParseScope(bad); codeOf(err) != oauth.InvalidScope {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestResourcesAreComparedByTheirCanonicalForm(t *testing.T) {
	const server = "https://mcp.example.com/weather/mcp"
	for other, want := range map[string]bool{
		server:                                true,
		"HTTPS://MCP.Example.COM/weather/mcp": true,
		"https://mcp.example.com:443/weather/mcp":  true,
		"https://mcp.example.com/weather/mcp/":     false,
		"https://mcp.example.com/Weather/mcp":      false,
		"https://mcp.example.com/weather/mcp?":     false,
		"https://mcp.example.com/weather/mcp?a":    false,
		"https://mcp.example.com/weather/mcp#":     false,
		"https://mcp.example.com/weather/%6dcp":    false,
		"https://mcp.example.com":                  false,
		"http://mcp.example.com/weather/mcp":       false,
		"https://mcp.example.com:8443/weather/mcp": false,
		"https://u@mcp.example.com/weather/mcp":    false,
		"":                                         false,
		"mcp.example.com/weather/mcp":              false,
	} {
		if got := oauth.SameResource(server, other); got != want {
			t.Errorf("%s: got %t", other, got)
		}
	}
	if !oauth.SameResource("https://mcp.example.com", "https://mcp.example.com/") {
		t.Error("an empty path is the root")
	}
	if oauth.SameResource("", "") || oauth.SameResource("x", "x") {
		t.Error("a malformed resource must equal nothing")
	}
}

func TestChallengeIsReadBackAsWritten(t *testing.T) {
	c := oauth.BearerChallenge{
		Realm: "weather", Error: oauth.InsufficientScope, Description: "needs \"more\"\r\nX: y",
		Scope: []string{"mcp", "alerts"}, ResourceMetadata: "https://h/.well-known/oauth-protected-resource/weather/mcp", Claims: "eyJ9==",
	}
	want := `Bearer realm="weather", error="insufficient_scope", error_description="needs 'more' X: y", scope="mcp alerts", ` +
		`resource_metadata="https://h/.well-known/oauth-protected-resource/weather/mcp", claims="eyJ9=="`
	if diff := cmp.Diff(want, c.String()); diff != "" {
		t.Fatal(diff)
	}
	read, err := oauth.ParseChallenges([]string{`Negotiate, Basic realm="x"`, c.String()})
	if err != nil {
		t.Fatal(err)
	}
	bearer, found := oauth.FindBearer(read)
	if !found || bearer.Params["scope"] != "mcp alerts" || bearer.Params["claims"] != "eyJ9==" || len(read) != 3 {
		t.Errorf("got %+v", read)
	}
}

func TestChallengesOfAllShapesAreRead(t *testing.T) {
	for header, want := range map[string][]oauth.Challenge{
		"":                                 nil,
		" , ,":                             nil,
		"Bearer":                           {{Scheme: "bearer", Params: map[string]string{}}},
		`BEARER Realm = "a, b" ,scope=mcp`: {{Scheme: "bearer", Params: map[string]string{"realm": "a, b", "scope": "mcp"}}},
		`Negotiate YWJj==, Bearer error="x\"y"`: {
			{Scheme: "negotiate", Token68: "YWJj==", Params: map[string]string{}},
			{Scheme: "bearer", Params: map[string]string{"error": `x"y`}},
		},
		`Basic realm="a", DPoP algs="ES256", Bearer`: {
			{Scheme: "basic", Params: map[string]string{"realm": "a"}},
			{Scheme: "dpop", Params: map[string]string{"algs": "ES256"}},
			{Scheme: "bearer", Params: map[string]string{}},
		},
	} {
		got, err := oauth.ParseChallenges([]string{header})
		if err != nil {
			t.Errorf("%s: %v", header, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", header, diff)
		}
	}
	for _, bad := range []string{`Bearer realm="open`, `Bearer realm="a" scope="b"`, `Bearer a=1, a=2`, `=x`, `Bearer realm="a\`, `Bearer (x)`} {
		if got, err := oauth.ParseChallenges([]string{bad}); err == nil {
			t.Errorf("%s was read as %+v", bad, got)
		}
	}
}

func FuzzChallengesEndAndKeepTheirNamesLower(f *testing.F) {
	for _, seed := range []string{`Bearer realm="a", error=x`, `Negotiate a==`, `Basic , Bearer a="\\"`, `a b=c,d e=f`, `x =y`, `Bearer`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		challenges, err := oauth.ParseChallenges([]string{header})
		if err != nil {
			return
		}
		for _, c := range challenges {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) {
				t.Errorf("%q gave the scheme %q", header, c.Scheme)
			}
			for name := range c.Params {
				if name == "" || name != strings.ToLower(name) {
					t.Errorf("%q gave the parameter %q", header, name)
				}
			}
		}
	})
}

func many(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = "s" + strings.Repeat("x", i)
	}
	return strings.Join(words, " ")
}
