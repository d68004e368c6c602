package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// visit is one pass through the sign-in pages, from the authorize endpoint to the answer.
type visit struct {
	id       string
	signedIn          // person, at and mfa are filled on the way
	redirect string   // where the answer goes
	mode     string   // response_mode: query, fragment or form_post
	types    []string // response_type, taken apart
	state    string   // given back untouched
	prompt   string   // none, login, select_account, consent or nothing
	hint     string   // login_hint
	maxAge   time.Duration
	demand   demand // from the claims parameter
	begun    time.Time
	v2       bool
	info     bool // client_info=1: say who it is beside the code
	// challenge and method are PKCE's, RFC 7636 §4.3.
	challenge, method string
	// kind says what the answer will be: a redirect, an approved device, an administrator's consent.
	kind visitKind
	// device is the device code, when that is what the sign-in is for.
	device string
	// agreed: the person has just consented, so prompt=consent is done with.
	agreed bool
}

// visitKind is what a sign-in is for.
type visitKind int

const (
	visitCode visitKind = iota
	visitDevice
	visitAdmin
)

// visitLife is how long a sign-in page can be left open.
const visitLife = 15 * time.Minute

// sendBack is a refusal that the application is to hear, by way of its redirect URI.
type sendBack struct {
	to *visit
	no *refusal
}

func (s *sendBack) Error() string { return s.no.Error() }
func (s *sendBack) Unwrap() error { return s.no }

// readVisit checks an authorize request in Entra's order: what must not lead to a redirect comes first.
func (t *Tenant) readVisit(r *http.Request, d *Directory) (*visit, error) {
	if no := t.knownTenant(r); no != nil {
		return nil, no
	}
	if err := r.ParseForm(); err != nil {
		return nil, refuse(9002313)
	}
	for name, values := range r.Form {
		if len(values) > 1 {
			return nil, refuse(9000411, name)
		}
	}
	client, redirect, kind, no := readClient(d, r.Form)
	if no != nil {
		return nil, no
	}
	v := &visit{
		id: t.opaque(24), redirect: redirect, state: r.Form.Get("state"), v2: v2(r), begun: t.now(),
		prompt: r.Form.Get("prompt"), hint: r.Form.Get("login_hint"), mode: r.Form.Get("response_mode"),
		info: r.Form.Get("client_info") == "1", challenge: r.Form.Get("code_challenge"),
		method: r.Form.Get("code_challenge_method"), types: strings.Fields(r.Form.Get("response_type")),
	}
	v.client, v.platform, v.nonce = client.ClientID, kind, r.Form.Get("nonce")
	v.scope = r.Form.Get("scope")
	if !v.v2 && v.scope == "" {
		v.scope = scopeOfResource(r.Form.Get("resource"))
	}
	if no := t.checkVisit(d, client, v, r.Form); no != nil {
		return nil, &sendBack{to: v, no: no}
	}
	return v, nil
}

// readClient finds the application and the redirect URI. Nothing that fails here is told to a
// redirect URI, because none is known to be the application's.
func readClient(d *Directory, form url.Values) (*App, string, platform, *refusal) {
	id := form.Get("client_id")
	if id == "" {
		return nil, "", "", refuse(900144, "client_id")
	}
	client := d.client(id)
	if client == nil || client.Managed {
		return nil, "", "", refuse(700016, id, d.Name)
	}
	if client.Disabled {
		return nil, "", "", refuse(7000112, client.ClientID, client.Name)
	}
	redirect, kind, no := client.redirect(form.Get("redirect_uri"))
	return client, redirect, kind, no
}

func (t *Tenant) checkVisit(d *Directory, client *App, v *visit, form url.Values) *refusal {
	if len(v.types) == 0 {
		return refuse(900144, "response_type")
	}
	for _, kind := range v.types {
		switch {
		case kind == "id_token" && !client.Implicit:
			return refuse(700054)
		case kind == "token":
			return refuse(700051)
		case kind != "code" && kind != "id_token":
			return refuse(70007, kind)
		}
	}
	if no := v.checkMode(); no != nil {
		return no
	}
	if v.scope == "" {
		return refuse(900144, "scope")
	}
	if !slices.Contains([]string{"", "none", "login", "select_account", "consent", "create"}, v.prompt) {
		return refuse(90023, v.prompt)
	}
	if no := v.checkChallenge(); no != nil {
		return no
	}
	set, no := d.readScopes(client, v.scope)
	if no != nil {
		return no
	}
	if v.v2 {
		if no := t.checkResource(form.Get("resource"), set); no != nil {
			return no
		}
	}
	var err error
	if v.maxAge, err = maxAge(form.Get("max_age")); err != nil {
		return refuse(90100, "max_age")
	}
	if v.demand, err = readDemand(form.Get("claims")); err != nil {
		return refuse(90100, "claims")
	}
	return nil
}

// checkMode applies the default response_mode and refuses to put tokens in a query.
func (v *visit) checkMode() *refusal {
	implicit := slices.Contains(v.types, "id_token")
	if v.mode == "" {
		v.mode = "query"
		if implicit {
			v.mode = "fragment"
		}
		return nil
	}
	if v.mode != "query" && v.mode != "fragment" && v.mode != "form_post" || v.mode == "query" && implicit {
		no := refuse(70007, v.mode)
		v.mode = "query"
		return no
	}
	return nil
}

// checkChallenge applies RFC 7636 §4.3: no method means plain.
func (v *visit) checkChallenge() *refusal {
	if v.challenge == "" {
		if v.platform == platformSPA {
			return refuse(9002325)
		}
		return nil
	}
	if v.method == "" {
		v.method = "plain"
	}
	if v.method != "S256" && v.method != "plain" {
		return refuse(50149)
	}
	if len(v.challenge) < 43 || len(v.challenge) > 128 {
		return refuse(501491)
	}
	return nil
}

// checkResource is Entra's answer to RFC 8707 at the v2.0 endpoints.
func (t *Tenant) checkResource(resource string, set scopeSet) *refusal {
	if resource == "" {
		return nil
	}
	if t.resource == ResourceUnsupported {
		return refuse(901002)
	}
	for _, a := range set.asks {
		if resource != orElse(a.as, GraphURI) {
			return refuse(9010010)
		}
	}
	if len(set.asks) == 0 {
		return refuse(9010010)
	}
	return nil
}

func (t *Tenant) saveVisit(v *visit) {
	t.remember(func(s *state) {
		for id, old := range s.visits {
			if v.begun.Sub(old.begun) > visitLife {
				delete(s.visits, id)
			}
		}
		s.visits[v.id] = v
	})
}

// takeVisit finds the sign-in that a submitted page belongs to. It is a copy: save it to keep changes.
func (t *Tenant) takeVisit(r *http.Request) (*visit, error) {
	if err := r.ParseForm(); err != nil {
		return nil, refuse(9002313)
	}
	now := t.now()
	var v *visit
	t.remember(func(s *state) {
		if kept := s.visits[r.PostForm.Get("visit")]; kept != nil && now.Sub(kept.begun) <= visitLife {
			same := *kept
			v = &same
		}
	})
	if v == nil {
		no := refuse(90100, "ctx")
		no.page, no.text = true, "The sign-in that this page belongs to has ended. Start again at the application."
		return nil, no
	}
	return v, nil
}
