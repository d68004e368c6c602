package entratest

import "net/http"

// graphRefusal is one of Microsoft Graph's refusals.
type graphRefusal struct {
	status    int
	code      string
	message   string
	challenge string // WWW-Authenticate
}

func (g *graphRefusal) Error() string { return g.code + ": " + g.message }

// graphHandler answers a request whose token was checked.
type graphHandler func(w http.ResponseWriter, r *http.Request, b *bearer) error

// graph checks the token and renders refusals as Graph does.
func (t *Tenant) graph(h graphHandler) http.Handler {
	return t.guarded(guard{audiences: []string{GraphURI, GraphURI + "/", GraphID}, missing: t.graphMissing}, h)
}

// invalidToken is Graph's 401.
func (t *Tenant) invalidToken(r *http.Request, message string) *graphRefusal {
	return &graphRefusal{
		status: 401, code: "InvalidAuthenticationToken", message: message, challenge: t.graphChallenge(r),
	}
}

func (t *Tenant) graphChallenge(r *http.Request) string {
	return `Bearer realm="", authorization_uri="` + t.base(r) + `/common/oauth2/authorize", client_id="` + GraphID + `"`
}

func (t *Tenant) graphMissing(r *http.Request) *graphRefusal {
	return t.invalidToken(r, "Access token is empty.")
}

func forbidden() *graphRefusal {
	return &graphRefusal{status: 403, code: "Authorization_RequestDenied",
		message: "Insufficient privileges to complete the operation."}
}

// user is how Graph writes a person.
type user struct {
	Context      string   `json:"@odata.context,omitempty"`
	Type         string   `json:"@odata.type,omitempty"`
	Phones       []string `json:"businessPhones"`
	DisplayName  string   `json:"displayName"`
	GivenName    *string  `json:"givenName"`
	JobTitle     *string  `json:"jobTitle"`
	Mail         string   `json:"mail"`
	Mobile       *string  `json:"mobilePhone"`
	Office       *string  `json:"officeLocation"`
	Language     *string  `json:"preferredLanguage"`
	Surname      *string  `json:"surname"`
	UserName     string   `json:"userPrincipalName"`
	ID           string   `json:"id"`
	AccountAlive *bool    `json:"accountEnabled,omitempty"`
}

func userOf(p *Person) user {
	return user{
		Phones: []string{}, DisplayName: p.Name, GivenName: maybe(p.GivenName), JobTitle: maybe(p.JobTitle),
		Mail: p.Address, Surname: maybe(p.Surname), UserName: p.Address, ID: p.ID,
	}
}

func maybe(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// self is the person whose token it is.
func (t *Tenant) self(r *http.Request, b *bearer) (*Directory, *Person, error) {
	d := t.directory()
	if b.Scopes == "" {
		return nil, nil, &graphRefusal{status: 400, code: "BadRequest",
			message: "/me request is only valid with delegated authentication flow."}
	}
	p := d.person(b.Object)
	if p == nil {
		return nil, nil, t.invalidToken(r, "The identity of the calling user is unknown.")
	}
	return d, p, nil
}

// me is GET /me.
func (t *Tenant) me(w http.ResponseWriter, r *http.Request, b *bearer) error {
	_, p, err := t.self(r, b)
	if err != nil {
		return err
	}
	if !b.may("User.Read", "User.ReadWrite", "User.Read.All", "Directory.Read.All") {
		return forbidden()
	}
	u := userOf(p)
	u.Context = t.base(r) + "/v1.0/$metadata#users/$entity"
	writeJSON(w, http.StatusOK, u)
	return nil
}
