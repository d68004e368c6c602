package entratest

import (
	"fmt"
	"time"
)

// mustBe stops a test that names somebody or something the tenant does not have: a hard day that
// strikes nobody would let every test pass.
func mustBe[T any](found *T, kind, name string) *T {
	if found == nil {
		panic(unknownName(fmt.Sprintf("entratest: no %s is called %q", kind, name)))
	}
	return found
}

// Disable turns a person's account off: their next sign-in shows AADSTS50057, and so does their next
// refresh. Tokens that are out stay valid, but for those of clients that understand claims challenges.
func (t *Tenant) Disable(who string) {
	t.change(func(d *Directory) { mustBe(d.person(who), "person", who).Disabled = true })
	t.end(who)
}

// Enable turns a person's account on again. What ended by Disable stays ended.
func (t *Tenant) Enable(who string) {
	t.change(func(d *Directory) { mustBe(d.person(who), "person", who).Disabled = false })
}

// SignOut ends all of a person's sessions everywhere, as an administrator's "revoke sessions" does:
// refresh tokens answer AADSTS50173, browsers have to sign in again.
func (t *Tenant) SignOut(who string) {
	now := t.now()
	t.change(func(d *Directory) { mustBe(d.person(who), "person", who).SignedOutAt = now })
	t.end(who)
}

// end marks what a person has. Marks, not times, so that a stopped clock makes no difference.
func (t *Tenant) end(who string) {
	id, now := t.directory().person(who).ID, t.now()
	t.remember(func(s *state) {
		for _, kept := range s.sessions {
			for i := len(kept.accounts) - 1; i >= 0; i-- {
				if kept.accounts[i].person == id {
					kept.accounts = append(kept.accounts[:i:i], kept.accounts[i+1:]...)
				}
			}
		}
		for _, c := range s.codes {
			c.end(id, now)
		}
		for _, r := range s.refresh {
			r.end(id, now)
		}
		for _, i := range s.issued {
			i.end(id, now)
		}
	})
}

func (s *signedIn) end(person string, now time.Time) {
	if s.person == person && s.ended.IsZero() {
		s.ended = now
	}
}

// Change edits the directory while the tenant runs, for everything that has no method of its own.
func (t *Tenant) Change(edit func(*Directory)) { t.change(edit) }

// Assign gives a person, group or application a role at an application.
func (t *Tenant) Assign(app, to, role string) {
	t.change(func(d *Directory) {
		a := mustBe(d.app(app), "application", app)
		mustBe(a.role(role), "role", role)
		a.Assignments = append(a.Assignments, Assignment{To: to, Role: role})
	})
}

// Unassign takes a role away again; it is missing from the next token.
func (t *Tenant) Unassign(app, to, role string) {
	t.change(func(d *Directory) {
		a := mustBe(d.app(app), "application", app)
		kept := a.Assignments[:0]
		for _, as := range a.Assignments {
			if as.Role != role || as.To != to && (d.person(as.To) == nil || d.person(as.To) != d.person(to)) {
				kept = append(kept, as)
			}
		}
		a.Assignments = kept
	})
}

// Consent lets a client use scopes of a resource for everybody, as an administrator's consent does.
func (t *Tenant) Consent(client, resource string, scopes ...string) {
	t.grantConsent(Consent{Client: client, Resource: resource, Person: everybody, Scopes: scopes})
}

// WithdrawConsent takes back everything that a client was allowed at a resource: AADSTS65001.
func (t *Tenant) WithdrawConsent(client, resource string) {
	t.change(func(d *Directory) {
		c := mustBe(d.app(client), "application", client)
		r := mustBe(d.resource(resource), "resource", resource)
		kept := d.Consents[:0]
		for _, old := range d.Consents {
			if d.app(old.Client) != c || d.resource(old.Resource) != r {
				kept = append(kept, old)
			}
		}
		d.Consents = kept
		pre := r.PreAuthorized[:0]
		for _, p := range r.PreAuthorized {
			if d.app(p.ClientID) != c {
				pre = append(pre, p)
			}
		}
		r.PreAuthorized = pre
	})
}

// ExpireSecrets makes an application's secrets and certificates a thing of the past: AADSTS7000222.
func (t *Tenant) ExpireSecrets(client string) {
	past := t.now().Add(-time.Second)
	t.change(func(d *Directory) {
		a := mustBe(d.app(client), "application", client)
		for i := range a.Secrets {
			a.Secrets[i].NotAfter = past
		}
		for i := range a.Certificates {
			a.Certificates[i].NotAfter = past
		}
	})
}

// Require puts a Conditional Access policy in force. A person who does not meet it gets
// interaction_required with a claims challenge.
func (t *Tenant) Require(p Policy) {
	t.change(func(d *Directory) {
		if d.resource(p.Resource) == nil {
			mustBe(d.app(p.Resource), "resource", p.Resource)
		}
		d.Policies = append(d.Policies, p)
	})
}

// LiftPolicies ends all Conditional Access policies.
func (t *Tenant) LiftPolicies() { t.change(func(d *Directory) { d.Policies = nil }) }

// RotateKeys signs with a new key from now on. The old ones stay published.
func (t *Tenant) RotateKeys() {
	key, err := newSigningKey(t.now())
	if err != nil {
		panic(fmt.Sprintf("entratest: %v", err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = append(t.keys, key)
}

// ForgetOldKeys stops publishing all keys but the one that signs.
func (t *Tenant) ForgetOldKeys() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = t.keys[len(t.keys)-1:]
}

// Advance moves the tenant's clock, by less than nothing if need be. Nobody else's clock moves.
func (t *Tenant) Advance(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset += by
}
