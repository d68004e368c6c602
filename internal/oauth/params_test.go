package oauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

const formType = "application/x-www-form-urlencoded"

func TestFormIsReadOnceAndEmptyParametersCountAsMissing(t *testing.T) {
	p, err := oauth.ParseForm(formType+"; charset=UTF-8", "", strings.NewReader("code=a%2Bb&state=&resource=https%3A%2F%2Fx%2Fmcp"))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{p.Get("code"), p.Has("code"), p.Has("state"), p.Get("resource"), p.Has("other")}
	if diff := cmp.Diff([]any{"a+b", true, false, "https://x/mcp", false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThreat13_MalformedFormsAreRefused(t *testing.T) {
	cases := map[string]struct {
		contentType, query, body string
		code                     oauth.Code
		status                   int
	}{
		"repeated parameter":      {formType, "", "code=a&code=b", oauth.InvalidRequest, 400},
		"repeated empty":          {formType, "", "code=&code=b", oauth.InvalidRequest, 400},
		"two resources":           {formType, "", "resource=a&resource=b", oauth.InvalidTarget, 400},
		"JSON":                    {"application/json", "", "{}", oauth.InvalidRequest, 415},
		"no content type":         {"", "", "code=a", oauth.InvalidRequest, 415},
		"multipart":               {"multipart/form-data; boundary=x", "", "", oauth.InvalidRequest, 415},
		"NUL":                     {formType, "", "code=a%00b", oauth.InvalidRequest, 400},
		"line break":              {formType, "", "code=a%0d%0ab", oauth.InvalidRequest, 400},
		"control byte in name":    {formType, "", "co%07de=a", oauth.InvalidRequest, 400},
		"C1 control":              {formType, "", "code=%c2%85", oauth.InvalidRequest, 400},
		"broken UTF-8":            {formType, "", "code=%ff", oauth.InvalidRequest, 400},
		"broken escape":           {formType, "", "code=%zz", oauth.InvalidRequest, 400},
		"semicolon":               {formType, "", "a=1;b=2", oauth.InvalidRequest, 400},
		"secret in the query":     {formType, "client_secret=s", "code=a", oauth.InvalidRequest, 400},
		"escaped secret in query": {formType, "client%5Fsecret=s", "code=a", oauth.InvalidRequest, 400},
		"secret in broken query":  {formType, "%zz&token=s", "code=a", oauth.InvalidRequest, 400},
		"too many parameters":     {formType, "", manyParams(100), oauth.InvalidRequest, 400},
		"long name":               {formType, "", strings.Repeat("a", 200) + "=1", oauth.InvalidRequest, 400},
		"oversized body":          {formType, "", "code=" + strings.Repeat("a", oauth.MaxForm), oauth.InvalidRequest, 413},
	}
	for name, c := range cases {
		_, err := oauth.ParseForm(c.contentType, c.query, strings.NewReader(c.body))
		assertRefusal(t, name, err, c.code, c.status)
	}
	_, err := oauth.ParseQuery("client_id=a&client_secret=b")
	assertRefusal(t, "authorize with a secret", err, oauth.InvalidRequest, http.StatusBadRequest)
}

func TestThreat13_MalformedAuthorizationHeadersAreRefused(t *testing.T) {
	basic := func(plain string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(plain)) }
	for name, header := range map[string]string{
		"no colon":         basic("justanid"),
		"empty id":         basic(":secret"),
		"bad base64":       "Basic !!!",
		"url base64":       "Basic YT9-Onh_",
		"bad escape":       basic("id:%zz"),
		"NUL":              basic("id:%00"),
		"raw NUL":          basic("id:\x00"),
		"another scheme":   "Bearer abc",
		"trailing garbage": basic("id:s") + " x",
	} {
		c, err := oauth.ParseAuthorization([]string{header})
		if err == nil {
			_, _, err = c.Basic()
		}
		assertRefusal(t, name, err, oauth.InvalidClient, http.StatusUnauthorized)
	}
	for name, headers := range map[string][]string{
		"two headers":     {"Bearer a", "Bearer b"},
		"scheme only":     {"Basic"},
		"empty":           {""},
		"malformed name":  {"Ba(sic abc"},
		"control in rest": {"Basic a\x01b"},
	} {
		_, err := oauth.ParseAuthorization(headers)
		assertRefusal(t, name, err, oauth.InvalidRequest, http.StatusBadRequest)
	}
}

func TestBasicCredentialsAreFormDecoded(t *testing.T) {
	c, err := oauth.ParseAuthorization([]string{"bAsIc " + base64.StdEncoding.EncodeToString([]byte("a%3Ab:s%2Be+t"))})
	if err != nil {
		t.Fatal(err)
	}
	id, secret, err := c.Basic()
	if diff := cmp.Diff([]any{"a:b", "s+e t", nil}, []any{id, secret, err}); diff != "" {
		t.Error(diff)
	}
}

func TestBearerTokenIsFoundWhateverTheCaseOfTheScheme(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    string
		code    oauth.Code
	}{
		{nil, "", ""},
		{[]string{"bearer gka_a-b.c~d+e/f=="}, "gka_a-b.c~d+e/f==", ""},
		{[]string{"BEARER abc"}, "abc", ""},
		{[]string{"Bearer a b"}, "", oauth.InvalidToken},
		{[]string{"Bearer a,b"}, "", oauth.InvalidToken},
		{[]string{"Bearer =="}, "", oauth.InvalidToken},
		{[]string{"Basic abc"}, "", oauth.InvalidRequest},
		{[]string{"Bearer"}, "", oauth.InvalidRequest},
	} {
		got, err := oauth.Bearer(c.headers)
		if got != c.want || codeOf(err) != c.code {
			t.Errorf("%q: got %q, %v", c.headers, got, err)
		}
	}
}

func TestErrorRendersWithoutItsCause(t *testing.T) {
	err := oauth.Refuse(oauth.InvalidGrant, "the \"code\" is\r\nused \\ up \u202e").Because(errors.New("gkr_secret"))
	got, marshalErr := err.MarshalJSON()
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	if diff := cmp.Diff(`{"error":"invalid_grant","error_description":"the 'code' is used / up ?"}`, string(got)); diff != "" {
		t.Error(diff)
	}
}

func FuzzFormNeverLetsAnythingUncleanThrough(f *testing.F) {
	for _, seed := range []string{"code=a&state=b", "a=1;b=2", "code=%00", "code=a&code=b", "=x&=y", "%c2%85=1", "resource=a&resource=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := oauth.ParseForm(formType, "", strings.NewReader(body))
		if err != nil {
			if codeOf(err) == "" {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		for _, name := range []string{"code", "state", "resource", "scope", ""} {
			if strings.ContainsFunc(p.Get(name), func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\ufffd' && !strings.Contains(body, "%") }) {
				t.Errorf("%q came through as %q", body, p.Get(name))
			}
		}
	})
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + strings.Repeat("x", i) + "=1")
	}
	return b.String()[1:]
}

func codeOf(err error) oauth.Code {
	refusal := new(oauth.Error)
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func assertRefusal(t *testing.T, name string, err error, code oauth.Code, status int) {
	t.Helper()
	refusal := new(oauth.Error)
	if !errors.As(err, &refusal) {
		t.Errorf("%s: wanted %s, got %v", name, code, err)
		return
	}
	if diff := cmp.Diff([]any{code, status}, []any{refusal.Code, refusal.Status()}); diff != "" {
		t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
	}
}
