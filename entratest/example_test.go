package entratest_test

import (
	"errors"
	"fmt"
	"log"
	"net/url"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

// authorize is what an application would send the browser to.
func authorize(tenant *entratest.Tenant) string {
	return tenant.URL + "/" + entratest.Domain + "/oauth2/v2.0/authorize?" + url.Values{
		"client_id": {entratest.GenkanID}, "response_type": {"code"}, "redirect_uri": {"http://localhost:8080/callback"},
		"scope": {entratest.GenkanID + "/access_as_user openid"}, "state": {"s1"},
	}.Encode()
}

func ExampleTenant_SignIn() {
	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := tenant.SignIn(authorize(tenant), "alice")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.RedirectURI, answer.Params.Get("state"), answer.Params.Has("code"))
	// Output: http://localhost:8080/callback s1 true
}

func ExampleTenant_Disable() {
	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
	if err != nil {
		log.Fatal(err)
	}
	tenant.Disable("bob")
	_, err = tenant.SignIn(authorize(tenant), "bob")
	var page *entratest.PageError
	if errors.As(err, &page) {
		fmt.Println(page.Code, page.Text)
	}
	// Output: 50057 The user account is disabled.
}

func ExampleTenant_Claims() {
	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := tenant.Claims("alice", entratest.VSCodeID, entratest.GenkanURI)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims["preferred_username"], claims["roles"], claims["scp"])
	claims["exp"] = time.Now().Add(-time.Hour).Unix()
	token, err := tenant.Sign(claims, nil) // genuine, but an hour too old
	fmt.Println(strings.Count(token, "."), err)
	// Output:
	// alice@contoso.example [Weather.Read Weather.Write] access_as_user
	// 2 <nil>
}

func ExampleLoad() {
	directory, err := entratest.Load(strings.NewReader(`
domain: fabrikam.example
people: [{alias: gina, name: Gina Grau}]
apps: [{name: Door, roles: [{value: Opener}], assignments: [{to: gina, role: Opener}]}]
`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(directory.People[0].Address, directory.Apps[0].Assignments[0].Role)
	// Output: gina@fabrikam.example Opener
}
