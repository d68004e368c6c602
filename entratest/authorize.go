package entratest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// authorize begins a sign-in: by a page, or silently where the browser is signed in already.
func (t *Tenant) authorize(w http.ResponseWriter, r *http.Request) error {
	d := t.directory()
	v, err := t.readVisit(r, d)
	if err != nil {
		return err
	}
	t.saveVisit(v)
	s := t.sessionOf(r)
	if v.prompt == "none" {
		return t.silently(w, r, d, v, s)
	}
	if a := t.known(d, v, s); a != nil {
		v.signIn(s, a)
		t.saveVisit(v)
		return t.proceed(w, r, d, v)
	}
	return t.pickerPage(w, r, d, v)
}

// known is the account that may go on without a question, if there is one.
func (t *Tenant) known(d *Directory, v *visit, s *session) *account {
	if s == nil || v.prompt == "login" || v.prompt == "select_account" || v.prompt == "create" {
		return nil
	}
	a := s.pick(d, v.hint)
	if a == nil || t.stale(d, v, a) {
		return nil
	}
	return a
}

// pick is the account that a hint means, or the only one.
func (s *session) pick(d *Directory, hint string) *account {
	if hint != "" {
		p := d.person(hint)
		if p == nil {
			return nil
		}
		return s.account(p.ID)
	}
	if len(s.accounts) == 1 {
		return &s.accounts[0]
	}
	return nil
}

// stale says whether an earlier sign-in is too old: signed out since, older than max_age, older than a
// policy or a claims challenge allows.
func (t *Tenant) stale(d *Directory, v *visit, a *account) bool {
	p := d.person(a.person)
	now := t.now()
	if p == nil || a.at.Before(p.SignedOutAt) || a.at.Before(v.demand.notBefore) {
		return true
	}
	if v.maxAge >= 0 && now.Sub(a.at) > v.maxAge {
		return true
	}
	frequency := d.policyFor(p, d.visitResources(v)).SignInFrequency
	return frequency > 0 && now.Sub(a.at) > frequency
}

// maxAge reads OpenID Connect's max_age; negative means any.
func maxAge(raw string) (time.Duration, error) {
	if raw == "" {
		return -1, nil
	}
	seconds, err := strconv.ParseUint(raw, 10, 31)
	return time.Duration(seconds) * time.Second, err
}

func (v *visit) signIn(s *session, a *account) {
	v.person, v.at, v.mfa, v.session = a.person, a.at, a.mfa, s.id
}

// silently answers prompt=none: with a code, or with why a page would be needed.
func (t *Tenant) silently(w http.ResponseWriter, r *http.Request, d *Directory, v *visit, s *session) error {
	if s == nil || len(s.accounts) == 0 {
		return &sendBack{to: v, no: refuse(50058)}
	}
	if v.hint == "" && len(s.accounts) > 1 {
		return &sendBack{to: v, no: refuse(16000)}
	}
	a := s.pick(d, v.hint)
	if a == nil || t.stale(d, v, a) {
		return &sendBack{to: v, no: refuse(50058)}
	}
	v.signIn(s, a)
	return t.proceed(w, r, d, v)
}

// choose receives the account picker: somebody says who they are, and is believed.
func (t *Tenant) choose(w http.ResponseWriter, r *http.Request) error {
	v, err := t.takeVisit(r)
	if err != nil {
		return err
	}
	d := t.directory()
	address := r.PostForm.Get("account")
	p := d.person(address)
	switch {
	case p == nil && d.ours(address):
		return refuse(50034, address, d.Name)
	case p == nil:
		client := d.client(v.client)
		return refuse(50020, address, "live.com", d.Name, client.ClientID, client.Name)
	case p.Disabled:
		return refuse(50057)
	}
	s := t.openSession(w, r, account{person: p.ID, at: t.now()})
	v.signIn(s, s.account(p.ID))
	t.saveVisit(v)
	return t.proceed(w, r, d, v)
}

// proceed asks for whatever is still missing, one page at a time, then answers the application.
func (t *Tenant) proceed(w http.ResponseWriter, r *http.Request, d *Directory, v *visit) error {
	p, client := d.person(v.person), d.client(v.client)
	if p == nil || client == nil {
		return refuse(9002313)
	}
	if p.Disabled {
		return refuse(50057)
	}
	if no := d.mustBeAssigned(p, client); no != nil {
		return no
	}
	policy := d.policyFor(p, d.visitResources(v))
	if policy.Block {
		return &sendBack{to: v, no: refuse(53003)}
	}
	if (policy.MFA || v.demand.mfa) && !v.mfa {
		if v.prompt == "none" {
			return &sendBack{to: v, no: refuse(50076, orElse(policy.Resource, client.ClientID))}
		}
		return t.approvePage(w, r, d, v)
	}
	if v.kind == visitAdmin {
		return t.askAdmin(w, r, d, v)
	}
	lacking, no := d.lacking(client, v, p)
	if no != nil {
		return &sendBack{to: v, no: no}
	}
	if len(lacking) > 0 || v.prompt == "consent" && !v.agreed {
		return t.askConsent(w, r, d, v, lacking)
	}
	return t.finish(w, r, d, v)
}

func (d *Directory) mustBeAssigned(p *Person, a *App) *refusal {
	if d.mayUse(p, a) {
		return nil
	}
	return refuse(50105, a.ClientID, a.Name, p.Address)
}

// approve receives the second factor's page.
func (t *Tenant) approve(w http.ResponseWriter, r *http.Request) error {
	v, err := t.takeVisit(r)
	if err != nil {
		return err
	}
	if v.person == "" {
		return refuse(9002313)
	}
	v.mfa = true
	t.remember(func(s *state) {
		if a := s.sessions[v.session].account(v.person); a != nil {
			a.mfa = true
		}
	})
	t.saveVisit(v)
	return t.proceed(w, r, t.directory(), v)
}

// finish gives the code, and the ID token where an implicit application asked for one.
func (t *Tenant) finish(w http.ResponseWriter, r *http.Request, d *Directory, v *visit) error {
	if v.kind == visitDevice {
		return t.confirmDevice(w, d, v)
	}
	t.remember(func(s *state) {
		delete(s.visits, v.id)
		if kept := s.sessions[v.session]; kept != nil && !slices.Contains(kept.clients, v.client) {
			kept.clients = append(kept.clients, v.client)
		}
	})
	answer := []pair{}
	if slices.Contains(v.types, "code") {
		value := "1.A" + t.opaque(64)
		t.remember(func(s *state) {
			now := t.clock().Add(t.offset)
			maps.DeleteFunc(s.codes, func(_ string, old *code) bool { return now.Sub(old.expires) > codeLife })
			s.codes[value] = &code{
				signedIn: v.signedIn, redirect: v.redirect, challenge: v.challenge, method: v.method,
				expires: now.Add(codeLife),
			}
		})
		answer = append(answer, pair{"code", value})
	}
	p := d.person(v.person)
	if slices.Contains(v.types, "id_token") {
		client := d.client(v.client)
		set, no := d.readScopes(client, v.scope)
		if no != nil {
			return no
		}
		token, err := t.idToken(d, t.base(r), award{client: client, person: p, signedIn: v.signedIn, v2: v.v2}, set)
		if err != nil {
			return err
		}
		answer = append(answer, pair{"id_token", token})
	}
	if v.info {
		answer = append(answer, pair{"client_info", t.clientInfo(p)})
	}
	if v.state != "" {
		answer = append(answer, pair{"state", v.state})
	}
	return t.answer(w, v, append(answer, pair{"session_state", derivedID("session", v.session)}))
}

// codeLife is how long a code can be redeemed.
const codeLife = 10 * time.Minute
