package entratest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// claims are the payload of a token.
type claims map[string]any

// overage is how many groups a token can carry; one more, and it says where to ask instead.
const overage = 200

// award is what a token endpoint decided to give.
type award struct {
	client   *App
	proof    proof
	person   *Person // nil when the application acts for itself
	resource *App
	as       string   // how the request named the resource
	scopes   []string // of the resource, for a person
	signedIn signedIn
	// challenges: the client understands claims challenges (xms_cc=cp1), so its tokens live long and
	// end early.
	challenges bool
	// v2: the ID token comes from a v2.0 endpoint.
	v2 bool
}

// accessToken makes the access token of an award, in the version that the resource's manifest wants.
func (t *Tenant) accessToken(d *Directory, base string, a award, life time.Duration) (string, error) {
	c, headers := t.accessClaims(d, base, a, life)
	t.noteIssued(c, a)
	return t.signFor(a.resource, c, headers)
}

func (t *Tenant) accessClaims(d *Directory, base string, a award, life time.Duration) (claims, map[string]any) {
	c := t.times(life)
	c["tid"], c["rh"], c["aio"] = t.TenantID, "1.A"+t.opaque(24), t.opaque(48)
	c["uti"] = t.opaque(16)
	if a.person == nil {
		c["oid"], c["sub"] = a.client.PrincipalID, a.client.PrincipalID
		c.set("roles", d.appRolesOf(a.client, a.resource))
	} else {
		c["oid"], c["sub"] = a.person.ID, t.pairwise(a.person, a.resource)
		c["scp"] = strings.Join(a.scopes, " ")
		c["name"] = a.person.Name
		c.set("roles", d.rolesOf(a.person, a.resource))
		if a.resource.GroupClaims {
			c.groups(d, base, a.person)
		}
	}
	headers := map[string]any{}
	if a.resource.TokenVersion == 2 {
		t.versionTwo(c, base, a)
	} else {
		t.versionOne(c, a)
		headers["x5t"] = t.currentKey().kid
	}
	if a.challenges {
		c["xms_cc"] = []string{"cp1"}
	}
	c.optional(a.resource.OptionalClaims.Access, a)
	return c, headers
}

// noteIssued remembers the sign-in behind a token, for on-behalf-of and for claims challenges.
func (t *Tenant) noteIssued(c claims, a award) {
	now, expires := t.now(), time.Unix(c["exp"].(int64), 0)
	t.remember(func(s *state) {
		if len(s.issued) >= s.sweepAt {
			maps.DeleteFunc(s.issued, func(_ string, old *issued) bool { return old.expires.Before(now) })
			s.sweepAt = max(issuedKept, 2*len(s.issued))
		}
		s.issued[c["uti"].(string)] = &issued{signedIn: a.signedIn, expires: expires, challenges: a.challenges}
	})
}

// issuedKept is how many tokens are remembered before expired ones are forgotten.
const issuedKept = 10_000

func (t *Tenant) versionTwo(c claims, base string, a award) {
	c["ver"], c["iss"], c["aud"] = "2.0", issuerV2(base, t.TenantID), a.resource.ClientID
	c["azp"], c["azpacr"] = a.client.ClientID, string(a.proof)
	if a.person != nil {
		c["preferred_username"] = a.person.Address
	}
}

func (t *Tenant) versionOne(c claims, a award) {
	c["ver"], c["iss"] = "1.0", issuerV1(t.TenantID)
	c["aud"] = orElse(a.as, a.resource.ClientID)
	c["appid"], c["appidacr"] = a.client.ClientID, string(a.proof)
	if a.person == nil {
		c["idp"] = issuerV1(t.TenantID)
		if a.resource.Microsoft {
			c["idtyp"] = "app"
		}
		return
	}
	c["acr"], c["amr"], c["ipaddr"] = "1", a.signedIn.methods(), "127.0.0.1"
	c["upn"], c["unique_name"] = a.person.Address, a.person.Address
	c.set("given_name", a.person.GivenName)
	c.set("family_name", a.person.Surname)
	if a.resource.Microsoft {
		c["idtyp"] = "user"
	}
}

// idToken makes the ID token that goes with a sign-in. The endpoint decides its version.
func (t *Tenant) idToken(d *Directory, base string, a award, set scopeSet) (string, error) {
	c := t.times(time.Hour)
	c["aud"], c["tid"], c["sub"] = a.client.ClientID, t.TenantID, t.pairwise(a.person, a.client)
	c["uti"], c["rh"] = t.opaque(16), "1.A"+t.opaque(24)
	c.set("nonce", a.signedIn.nonce)
	c.set("roles", d.rolesOf(a.person, a.client))
	if a.client.GroupClaims {
		c.groups(d, base, a.person)
	}
	if set.wants("email") {
		c["email"] = a.person.Address
	}
	if a.v2 {
		c["ver"], c["iss"] = "2.0", issuerV2(base, t.TenantID)
		if set.wants("profile") {
			c["name"], c["preferred_username"], c["oid"] = a.person.Name, a.person.Address, a.person.ID
		}
	} else {
		c["ver"], c["iss"] = "1.0", issuerV1(t.TenantID)
		c["name"], c["unique_name"], c["upn"], c["oid"] = a.person.Name, a.person.Address, a.person.Address, a.person.ID
		c["amr"] = a.signedIn.methods()
	}
	c.optional(a.client.OptionalClaims.ID, a)
	return t.signFor(a.client, c, map[string]any{})
}

// times are the claims that say how long. Entra dates its tokens five minutes back.
func (t *Tenant) times(life time.Duration) claims {
	now := t.now()
	from := now.Add(-5 * time.Minute).Unix()
	return claims{"iat": from, "nbf": from, "exp": now.Add(life).Unix()}
}

// lifetime is at random between 60 and 90 minutes, as for every access token of Entra, and between 20
// and 28 hours for clients that understand claims challenges.
func (t *Tenant) lifetime(d demand) time.Duration {
	n := binary.BigEndian.Uint32(t.randomBytes(4))
	if d.challenges {
		return 20*time.Hour + time.Duration(n%(8*3600))*time.Second
	}
	return time.Hour + time.Duration(n%1800)*time.Second
}

// pairwise is the subject by which one application knows a person: another one knows another.
func (t *Tenant) pairwise(p *Person, audience *App) string {
	h := sha256.Sum256([]byte(t.TenantID + "\x00" + p.ID + "\x00" + audience.ClientID))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func (s signedIn) methods() []string {
	if s.mfa {
		return []string{"pwd", "mfa"}
	}
	return []string{"pwd"}
}

// set adds a claim unless it is empty.
func (c claims) set(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	}
	c[name] = value
}

// groups adds the person's groups, or where to ask for them when they are too many.
func (c claims) groups(d *Directory, base string, p *Person) {
	ids := d.groupsOf(p)
	if len(ids) <= overage {
		c.set("groups", ids)
		return
	}
	c["_claim_names"] = map[string]string{"groups": "src1"}
	c["_claim_sources"] = map[string]any{
		"src1": map[string]string{"endpoint": base + "/v1.0/users/" + p.ID + "/getMemberObjects"},
	}
}

// optional adds what a manifest asks for beyond the usual.
func (c claims) optional(names []string, a award) {
	for _, name := range names {
		switch {
		case name == "idtyp" && a.person == nil:
			c["idtyp"] = "app"
		case a.person == nil:
		case name == "email" || name == "upn":
			c[name] = a.person.Address
		case name == "given_name":
			c.set(name, a.person.GivenName)
		case name == "family_name":
			c.set(name, a.person.Surname)
		case name == "auth_time":
			c[name] = a.signedIn.at.Unix()
		case name == "sid":
			c.set(name, derivedID("session", a.signedIn.session)) // as the front channel names it, and not the cookie
		case name == "login_hint":
			c[name] = base64.RawURLEncoding.EncodeToString([]byte(a.person.Address))
		case name == "acct":
			c[name] = 0
		case name == "acrs":
			c.set(name, acrsOf(a.signedIn))
		}
	}
}

func acrsOf(s signedIn) []string {
	if !s.mfa {
		return nil
	}
	return []string{"c1", "p1"}
}

func (t *Tenant) currentKey() *signingKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[len(t.keys)-1]
}

// signFor signs a payload for an audience. Tokens for Microsoft Graph carry a nonce in the header that
// was hashed when they were signed, so that nobody but Graph can verify them.
func (t *Tenant) signFor(audience *App, c claims, headers map[string]any) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	if audience.ClientID != GraphID {
		return t.currentKey().sign(payload, headers)
	}
	nonce := t.opaque(32)
	headers["nonce"] = hashedNonce(nonce)
	token, err := t.currentKey().sign(payload, headers)
	if err != nil {
		return "", err
	}
	return swapNonce(token, nonce)
}

func hashedNonce(nonce string) string {
	h := sha256.Sum256([]byte(nonce))
	return hex.EncodeToString(h[:])
}

// swapNonce puts another nonce in the header of a compact token and leaves its signature alone.
func swapNonce(token, nonce string) (string, error) {
	head, rest, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", fmt.Errorf("read a token's header: %w", err)
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil {
		return "", fmt.Errorf("read a token's header: %w", err)
	}
	header["nonce"] = nonce
	raw, err = json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("write a token's header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw) + "." + rest, nil
}

// granted are the scopes that end up in a token: everything consented at that resource, not only what
// was asked, in the order of the registration.
func (d *Directory) granted(client *App, a ask, p *Person) []string {
	have := d.consented(client, a.resource, p)
	var names []string
	for _, s := range a.resource.Scopes {
		if slices.Contains(have, s.Name) && s.Name != "offline_access" {
			names = append(names, s.Name)
		}
	}
	return names
}
