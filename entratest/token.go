package entratest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// tokenRequest is a request to the token endpoint, with what all grants need.
type tokenRequest struct {
	*http.Request
	dir    *Directory
	base   string
	v2     bool
	client *App
	proof  proof
	demand demand // from the claims parameter
}

func (q *tokenRequest) param(name string) string { return q.PostForm.Get(name) }

// indicator is RFC 8707's resource parameter. At the v1 endpoint it is Entra's own.
func (q *tokenRequest) indicator() string {
	if q.v2 {
		return q.param("resource")
	}
	return ""
}

// need is a parameter without which the grant makes no sense.
func (q *tokenRequest) need(name string) (string, *refusal) {
	if value := q.param(name); value != "" {
		return value, nil
	}
	return "", refuse(900144, name)
}

// scope is the scope parameter. The v1 endpoint has a resource in its place.
func (q *tokenRequest) scope() string {
	if resource := q.param("resource"); !q.v2 && resource != "" {
		return scopeOfResource(resource)
	}
	return q.param("scope")
}

// scopeOfResource says in scopes what a v1 request says by its resource.
func scopeOfResource(resource string) string {
	const always = "openid profile offline_access"
	if resource == "" {
		return always
	}
	return strings.TrimSuffix(resource, "/") + "/.default " + always
}

// tokenResponse is Entra's answer. MSAL insists on client_info, and on every asked scope in scope.
type tokenResponse struct {
	Type         string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// token is the token endpoint of all grants.
func (t *Tenant) token(w http.ResponseWriter, r *http.Request) error {
	allowOrigin(w, r)
	if no := t.knownTenant(r); no != nil {
		return no
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return refuse(900144, "grant_type")
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return refuse(9002313)
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return refuse(9000411, name)
		}
	}
	q := &tokenRequest{Request: r, dir: t.directory(), base: t.base(r), v2: v2(r)}
	kind, no := q.need("grant_type")
	if no != nil {
		return no
	}
	var err error
	if q.demand, err = readDemand(q.param("claims")); err != nil {
		return refuse(90100, "claims")
	}
	grant, known := t.grants()[kind]
	if !known {
		return refuse(70003, kind)
	}
	answer, err := grant(q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// grants are the grant types that the token endpoint knows.
func (t *Tenant) grants() map[string]func(*tokenRequest) (*tokenResponse, error) {
	return map[string]func(*tokenRequest) (*tokenResponse, error){
		"authorization_code": t.redeem,
		"refresh_token":      t.refresh,
		"client_credentials": t.clientCredentials,
		grantOnBehalfOf:      t.onBehalfOf,
		grantDevice:          t.deviceGrant,
		"device_code":        t.deviceGrant, // what MSAL for Go sends
	}
}

// allowOrigin lets single-page applications read the answer, as Entra does for every origin.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
}

// redeem is the authorization code grant. A refusal leaves the code as it was.
func (t *Tenant) redeem(q *tokenRequest) (*tokenResponse, error) {
	value, no := q.need("code")
	if no != nil {
		return nil, no
	}
	if no := t.identify(q); no != nil {
		return nil, no
	}
	var c code
	var found bool
	t.remember(func(s *state) {
		if kept := s.codes[value]; kept != nil {
			c, found = *kept, true
		}
	})
	if !found || !strings.EqualFold(c.client, q.client.ClientID) {
		return nil, refuse(70000)
	}
	if no := t.authenticate(q, c.platform); no != nil {
		return nil, no
	}
	if no := t.checkCode(q, c); no != nil {
		return nil, no
	}
	set, a, no := t.codeScopes(q, c)
	if no != nil {
		return nil, no
	}
	if no := t.welcome(q, a, c.signedIn); no != nil {
		return nil, no
	}
	var won bool
	t.remember(func(s *state) {
		if kept := s.codes[value]; !kept.redeemed {
			kept.redeemed, won = true, true
		}
	})
	if !won {
		return nil, refuse(54005)
	}
	return t.respond(q, c.signedIn, set, a, nil)
}

func (t *Tenant) checkCode(q *tokenRequest, c code) *refusal {
	switch {
	case c.redeemed:
		return refuse(54005)
	case t.now().After(c.expires):
		return refuse(70008)
	}
	if redirect := q.param("redirect_uri"); redirect != c.redirect {
		if redirect == "" {
			return refuse(900144, "redirect_uri")
		}
		return refuse(500112, redirect, c.redirect)
	}
	return checkVerifier(c, q.param("code_verifier"))
}

// codeScopes are the scopes of the token request, or those of the sign-in when it names none.
func (t *Tenant) codeScopes(q *tokenRequest, c code) (scopeSet, ask, *refusal) {
	set, no := q.dir.readScopes(q.client, orElse(q.scope(), c.scope))
	if no != nil {
		return set, ask{}, no
	}
	if no := t.checkResource(q.indicator(), set); no != nil {
		return set, ask{}, no
	}
	a, no := q.dir.oneAsk(set)
	return set, a, no
}

// refresh is the refresh token grant. The old token stays valid beside the new one, and neither is
// bound to a resource.
func (t *Tenant) refresh(q *tokenRequest) (*tokenResponse, error) {
	value, no := q.need("refresh_token")
	if no != nil {
		return nil, no
	}
	if no := t.identify(q); no != nil {
		return nil, no
	}
	var old refreshToken
	var found bool
	t.remember(func(s *state) {
		if kept := s.refresh[value]; kept != nil {
			old, found = *kept, true
		}
	})
	if !found {
		return nil, refuse(70000)
	}
	if !strings.EqualFold(old.client, q.client.ClientID) {
		return nil, refuse(70000).because("client_mismatch")
	}
	if no := t.authenticate(q, old.platform); no != nil {
		return nil, no
	}
	if no := t.checkRefresh(old); no != nil {
		return nil, no
	}
	set, a, no := t.refreshScopes(q)
	if no != nil {
		return nil, no
	}
	if no := t.welcome(q, a, old.signedIn); no != nil {
		return nil, no
	}
	now := t.now()
	t.remember(func(s *state) {
		if kept := s.refresh[value]; kept != nil {
			kept.used = now
		}
	})
	return t.respond(q, old.signedIn, set, a, &old)
}

// refreshScopes knows what a refresh means: without scope, or with the client's own ID URI, it asks for
// the client itself, which Entra refuses.
func (t *Tenant) refreshScopes(q *tokenRequest) (scopeSet, ask, *refusal) {
	raw := q.scope()
	if raw == "" {
		return scopeSet{}, ask{}, refuse(90009, q.client.ClientID, q.client.Name)
	}
	set, no := q.dir.readScopes(q.client, raw)
	if no != nil {
		return set, ask{}, no
	}
	if no := t.checkResource(q.indicator(), set); no != nil {
		return set, ask{}, no
	}
	a, no := q.dir.oneAsk(set)
	if no != nil {
		return set, a, no
	}
	if a.resource == q.client && !strings.EqualFold(a.as, q.client.ClientID) {
		return set, a, refuse(90009, q.client.ClientID, q.client.Name)
	}
	return set, a, nil
}

// Entra's lives of refresh tokens.
const (
	refreshLife    = 90 * 24 * time.Hour
	refreshLifeSPA = 24 * time.Hour
)

func (t *Tenant) checkRefresh(old refreshToken) *refusal {
	now := t.now()
	if old.platform == platformSPA && now.Sub(old.first) > refreshLifeSPA {
		return refuse(700084, stamp(old.first))
	}
	if now.Sub(old.issued) > refreshLife {
		return refuse(700082, stamp(old.issued), "90.00:00:00")
	}
	return nil
}

// welcome asks whether the person may still have a token: each time anew, so that a disabled account
// ends at its next refresh.
func (t *Tenant) welcome(q *tokenRequest, a ask, in signedIn) *refusal {
	p := q.dir.person(in.person)
	switch {
	case p == nil:
		return refuse(50034, in.person, q.dir.Name)
	case p.Disabled:
		return refuse(50057)
	case !in.ended.IsZero():
		return refuse(50173, stamp(in.at), stamp(in.ended))
	case in.at.Before(p.SignedOutAt):
		return refuse(50173, stamp(in.at), stamp(p.SignedOutAt))
	}
	for _, app := range []*App{q.client, a.resource} {
		if no := q.dir.mustBeAssigned(p, app); no != nil {
			return no
		}
	}
	if no := t.enforce(q, a, in, p); no != nil {
		return no
	}
	if len(q.dir.missing(q.client, a, p)) > 0 {
		return refuse(65001, q.client.ClientID, q.client.Name)
	}
	if a.isDefault() && len(q.dir.consented(q.client, a.resource, p)) == 0 {
		return refuse(65001, q.client.ClientID, q.client.Name)
	}
	return nil
}

// enforce applies the Conditional Access policies of the resource.
func (t *Tenant) enforce(q *tokenRequest, a ask, in signedIn, p *Person) *refusal {
	policy := q.dir.policyFor(p, []*App{q.client, a.resource})
	age := t.now().Sub(in.at)
	switch {
	case policy.Block:
		return refuse(53003).with(challenge(policy))
	case policy.MFA && !in.mfa:
		return refuse(50076, a.resource.ClientID).with(challenge(policy))
	case q.demand.mfa && !in.mfa:
		return refuse(50076, a.resource.ClientID).with(q.param("claims"))
	case policy.SignInFrequency > 0 && age > policy.SignInFrequency:
		return refuse(70043, stamp(in.at), int(policy.SignInFrequency.Seconds())).with(challenge(policy))
	}
	return nil
}

// respond makes the tokens of a grant for a person.
func (t *Tenant) respond(q *tokenRequest, in signedIn, set scopeSet, a ask, old *refreshToken) (*tokenResponse, error) {
	p := q.dir.person(in.person)
	life := t.lifetime(q.demand)
	give := award{
		challenges: q.demand.challenges, v2: q.v2,
		client: q.client, proof: q.proof, person: p, resource: a.resource, as: a.as,
		scopes: q.dir.granted(q.client, a, p), signedIn: in,
	}
	access, err := t.accessToken(q.dir, q.base, give, life)
	if err != nil {
		return nil, err
	}
	answer := &tokenResponse{
		Type: "Bearer", AccessToken: access, ExpiresIn: int(life.Seconds()), ExtExpiresIn: int(life.Seconds()),
		Scope: answerScope(set, a, give.scopes), ClientInfo: t.clientInfo(p),
	}
	if set.wants("openid") {
		if answer.IDToken, err = t.idToken(q.dir, q.base, give, set); err != nil {
			return nil, err
		}
	}
	if set.wants("offline_access") {
		answer.RefreshToken = t.newRefreshToken(in, old)
	}
	return answer, nil
}

// answerScope writes the granted scopes in the form that the request used. Of OpenID Connect's only
// those of a Graph token come back, and offline_access never does.
func answerScope(set scopeSet, a ask, granted []string) string {
	var scopes []string
	for _, name := range granted {
		if oidcScope(name) {
			scopes = append(scopes, name)
			continue
		}
		scopes = append(scopes, a.qualified(name))
	}
	if a.isDefault() {
		scopes = append(scopes, a.qualified(".default"))
	}
	if a.resource.ClientID == GraphID {
		for _, name := range set.oidc {
			if name != "offline_access" && !slices.Contains(scopes, name) {
				scopes = append(scopes, name)
			}
		}
	}
	return strings.Join(scopes, " ")
}

func (t *Tenant) newRefreshToken(in signedIn, old *refreshToken) string {
	value, now := "1.A"+t.opaque(96), t.now()
	next := &refreshToken{signedIn: in, issued: now, used: now, first: now}
	if old != nil {
		next.first = old.first
	}
	t.remember(func(s *state) { s.refresh[value] = next })
	return value
}
