package entratest

import (
	"encoding/json"
	"fmt"
)

// Claims are the claims of an access token that a client would get for a person at a resource, or for
// itself when who is empty. Without scopes it gets all that it has consent for. Nothing is asked: not
// whether the account is enabled, not whether there is consent. Change what you like and [Tenant.Sign] it.
func (t *Tenant) Claims(who, client, resource string, scopes ...string) (map[string]any, error) {
	d := t.directory()
	a := award{client: d.app(client), resource: d.resource(resource), proof: proofSecret}
	if a.client == nil || a.resource == nil {
		return nil, fmt.Errorf("entratest: no application is called %q or %q", client, resource)
	}
	if a.resource.ClientID != resource {
		a.as = resource
	}
	if who != "" {
		if a.person = d.person(who); a.person == nil {
			return nil, fmt.Errorf("entratest: nobody is called %q", who)
		}
		if a.scopes = scopes; len(scopes) == 0 {
			a.scopes = d.granted(a.client, ask{resource: a.resource}, a.person)
		}
		a.signedIn = signedIn{client: a.client.ClientID, person: a.person.ID, at: t.now()}
	}
	c, _ := t.accessClaims(d, t.base(nil), a, t.lifetime(demand{}))
	t.noteIssued(c, a)
	return c, nil
}

// AccessToken signs what [Tenant.Claims] says: a token without the way to it.
func (t *Tenant) AccessToken(who, client, resource string, scopes ...string) (string, error) {
	c, err := t.Claims(who, client, resource, scopes...)
	if err != nil {
		return "", err
	}
	app := t.directory().resource(resource)
	headers := map[string]any{}
	if app.TokenVersion != 2 {
		headers["x5t"] = t.currentKey().kid
	}
	return t.signFor(app, c, headers)
}

// Sign signs claims as they stand with the tenant's current key. Headers are added to alg, kid and typ.
func (t *Tenant) Sign(c map[string]any, headers map[string]any) (string, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("entratest: write claims: %w", err)
	}
	return t.currentKey().sign(raw, headers)
}
