package entratest

import (
	"net/http"
	"slices"
)

// lack is what somebody still has to consent to at one resource.
type lack struct {
	ask   ask
	names []string
}

// lacking lists what a sign-in still needs consent for. Names that nobody registered are refused here,
// because the directory can have changed since the sign-in began.
func (d *Directory) lacking(client *App, v *visit, p *Person) ([]lack, *refusal) {
	set, no := d.readScopes(client, v.scope)
	if no != nil {
		return nil, no
	}
	var all []lack
	for _, a := range set.asks {
		if names := d.missing(client, a, p); len(names) > 0 {
			all = append(all, lack{ask: a, names: names})
		} else if a.isDefault() && len(d.consented(client, a.resource, p)) == 0 {
			return nil, refuse(650057, client.ClientID, a.resource.ClientID)
		}
	}
	graph := d.client(GraphID)
	if !client.Microsoft && graph != nil && len(set.oidc) > 0 {
		if names := d.missing(client, ask{resource: graph, names: set.oidc}, p); len(names) > 0 {
			all = append(all, lack{ask: ask{resource: graph}, names: names})
		}
	}
	return all, nil
}

// askConsent shows the consent page, unless nobody may be asked or this person may not answer.
func (t *Tenant) askConsent(w http.ResponseWriter, r *http.Request, d *Directory, v *visit, lacking []lack) error {
	p, client := d.person(v.person), d.client(v.client)
	if v.prompt == "none" {
		no := refuse(65001, client.ClientID, client.Name)
		no.oauth = "consent_required"
		return &sendBack{to: v, no: no}
	}
	for _, l := range lacking {
		for _, name := range l.names {
			if s := l.ask.resource.scope(name); s != nil && s.AdminOnly && !p.Admin {
				return refuse(90094, client.Name)
			}
		}
	}
	if v.prompt == "consent" {
		lacking, _ = d.everything(client, v) // everything that was asked, consented before or not
	}
	return t.consentPage(w, r, d, v, lacking)
}

// consent receives the consent page.
func (t *Tenant) consent(w http.ResponseWriter, r *http.Request) error {
	v, err := t.takeVisit(r)
	if err != nil {
		return err
	}
	if v.person == "" {
		return refuse(9002313)
	}
	if r.PostForm.Get("answer") != "accept" {
		t.remember(func(s *state) { delete(s.visits, v.id) })
		return &sendBack{to: v, no: refuse(65004)}
	}
	d := t.directory()
	if v.kind == visitAdmin {
		return t.adminAgreed(w, d, v)
	}
	lacking, no := d.lacking(d.client(v.client), v, d.person(v.person))
	if no != nil {
		return &sendBack{to: v, no: no}
	}
	who := v.person
	if d.person(v.person).Admin && r.PostForm.Get("organization") == "yes" {
		who = everybody
	}
	for _, l := range lacking {
		t.grantConsent(Consent{Client: v.client, Resource: l.ask.resource.ClientID, Person: who, Scopes: l.names})
	}
	v.agreed = true
	t.saveVisit(v)
	return t.proceed(w, r, t.directory(), v)
}

// grantConsent adds scopes to the grant of that client, resource and person.
func (t *Tenant) grantConsent(c Consent) {
	t.change(func(d *Directory) {
		for i := range d.Consents {
			old := &d.Consents[i]
			if d.app(old.Client) != d.app(c.Client) || d.resource(old.Resource) != d.resource(c.Resource) || old.Person != c.Person {
				continue
			}
			for _, name := range c.Scopes {
				if !slices.Contains(old.Scopes, name) {
					old.Scopes = append(old.Scopes, name)
				}
			}
			return
		}
		d.Consents = append(d.Consents, c)
	})
}
