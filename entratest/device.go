package entratest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// grantDevice is RFC 8628's grant type.
const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// deviceLife and deviceInterval are what Entra tells a device.
const (
	deviceLife     = 15 * time.Minute
	deviceInterval = 5 * time.Second
)

// device is a device code on its way.
type device struct {
	signedIn
	userCode string
	expires  time.Time
	approved bool
	declined bool
	redeemed bool
}

// deviceCode begins the grant: a code for the device, another for the person.
func (t *Tenant) deviceCode(w http.ResponseWriter, r *http.Request) error {
	if no := t.knownTenant(r); no != nil {
		return no
	}
	if err := r.ParseForm(); err != nil {
		return refuse(9002313)
	}
	q := &tokenRequest{Request: r, dir: t.directory(), base: t.base(r), v2: v2(r)}
	if no := t.identify(q); no != nil {
		return no
	}
	scope := q.scope()
	if scope == "" {
		return refuse(900144, "scope")
	}
	set, no := q.dir.readScopes(q.client, scope)
	if no != nil {
		return no
	}
	if no := t.checkResource(q.indicator(), set); no != nil {
		return no
	}
	secret := "1.A" + t.opaque(64)
	made := &device{
		signedIn: signedIn{client: q.client.ClientID, scope: scope, platform: platformPublic},
		userCode: t.userCode(), expires: t.now().Add(deviceLife),
	}
	t.remember(func(s *state) {
		maps.DeleteFunc(s.devices, func(_ string, old *device) bool { return made.expires.Sub(old.expires) > 24*time.Hour })
		s.devices[secret] = made
	})
	page := q.base + "/devicelogin"
	writeJSON(w, http.StatusOK, map[string]any{
		"user_code": made.userCode, "device_code": secret, "verification_uri": page,
		"expires_in": int(deviceLife.Seconds()), "interval": int(deviceInterval.Seconds()),
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.",
			page, made.userCode),
	})
	return nil
}

// userCode has no letters that look like digits, nor vowels that make words.
func (t *Tenant) userCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ23456789"
	var b strings.Builder
	for _, n := range t.randomBytes(9) {
		b.WriteByte(letters[int(n)%len(letters)])
	}
	return b.String()
}

// deviceGrant is the device's question whether somebody has signed in by now.
func (t *Tenant) deviceGrant(q *tokenRequest) (*tokenResponse, error) {
	value := orElse(q.param("device_code"), q.param("code"))
	if value == "" {
		return nil, refuse(900144, "device_code")
	}
	if no := t.identify(q); no != nil {
		return nil, no
	}
	if no := t.authenticateDevice(q); no != nil {
		return nil, no
	}
	var got device
	var found, won bool
	t.remember(func(s *state) {
		kept := s.devices[value]
		if kept == nil {
			return
		}
		got, found = *kept, true
		if kept.approved && !kept.redeemed {
			kept.redeemed, won = true, true
		}
	})
	switch {
	case !found || !strings.EqualFold(got.client, q.client.ClientID):
		return nil, refuse(70018)
	case got.declined:
		return nil, refuse(70017)
	case got.redeemed:
		return nil, refuse(54005)
	case t.now().After(got.expires):
		return nil, refuse(70020)
	case !won:
		return nil, refuse(70016)
	}
	set, no := q.dir.readScopes(q.client, got.scope)
	if no != nil {
		return nil, no
	}
	a, no := q.dir.oneAsk(set)
	if no != nil {
		return nil, no
	}
	if no := t.welcome(q, a, got.signedIn); no != nil {
		return nil, no
	}
	return t.respond(q, got.signedIn, set, a, nil)
}

// authenticateDevice lets public clients pass whose registration allows public client flows; others
// have to prove themselves.
func (t *Tenant) authenticateDevice(q *tokenRequest) *refusal {
	if q.client.PublicFlows {
		return t.authenticate(q, platformPublic)
	}
	return t.authenticate(q, platformWeb)
}

// deviceLogin is the page where a person types the code that the device shows.
func (t *Tenant) deviceLogin(w http.ResponseWriter, r *http.Request) error {
	return t.render(w, http.StatusOK, "device", map[string]any{
		"Action": "/devicelogin", "Code": r.FormValue("otc"), "Wrong": false,
	})
}

// deviceEnter receives the code and goes on as any sign-in does.
func (t *Tenant) deviceEnter(w http.ResponseWriter, r *http.Request) error {
	typed := strings.ToUpper(strings.TrimSpace(r.FormValue("otc")))
	now := t.now()
	var secret string
	var got device
	t.remember(func(s *state) {
		for key, d := range s.devices {
			if d.userCode == typed && now.Before(d.expires) && !d.approved && !d.declined {
				secret, got = key, *d
			}
		}
	})
	if secret == "" {
		return t.render(w, http.StatusBadRequest, "device", map[string]any{
			"Action": "/devicelogin", "Code": typed, "Wrong": true,
		})
	}
	d := t.directory()
	v := &visit{id: t.opaque(24), signedIn: got.signedIn, begun: now, v2: true, maxAge: -1, kind: visitDevice, device: secret}
	t.saveVisit(v)
	return t.pickerPage(w, r, d, v)
}

// confirmDevice asks whether the person really means the device in front of them.
func (t *Tenant) confirmDevice(w http.ResponseWriter, d *Directory, v *visit) error {
	return t.render(w, http.StatusOK, "confirm", map[string]any{
		"App": d.client(v.client).Name, "Address": d.person(v.person).Address, "Visit": v.id,
		"Action": "/" + t.TenantID + "/device",
	})
}

// deviceAnswer receives the confirmation.
func (t *Tenant) deviceAnswer(w http.ResponseWriter, r *http.Request) error {
	v, err := t.takeVisit(r)
	if err != nil {
		return err
	}
	if v.kind != visitDevice || v.person == "" {
		return refuse(9002313)
	}
	if r.PostForm.Get("answer") != "accept" {
		return &sendBack{to: v, no: refuse(65004)}
	}
	t.remember(func(s *state) {
		delete(s.visits, v.id)
		if d := s.devices[v.device]; d != nil {
			d.signedIn, d.approved = v.signedIn, true
		}
	})
	return t.done(w, "You have signed in", "You can close this window and go back to your device.")
}

// declineDevice tells the device, which hears it at its next question.
func (t *Tenant) declineDevice(v *visit) {
	t.remember(func(s *state) {
		if d := s.devices[v.device]; d != nil {
			d.declined = true
		}
	})
}

// done is a page that says only that it is over.
func (t *Tenant) done(w http.ResponseWriter, title, text string) error {
	return t.render(w, http.StatusOK, "done", map[string]any{"Title": title, "Text": text})
}
