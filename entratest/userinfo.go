package entratest

import "net/http"

// userinfo is OpenID Connect's endpoint, which Microsoft Graph hosts.
func (t *Tenant) userinfo(w http.ResponseWriter, r *http.Request, b *bearer) error {
	d, p, err := t.self(r, b)
	if err != nil {
		return err
	}
	if !b.may("openid") {
		return forbidden()
	}
	client := d.client(b.client())
	if client == nil {
		return t.invalidToken(r, "The application of the token is unknown.")
	}
	c := claims{"sub": t.pairwise(p, client), "picture": GraphURI + "/v1.0/me/photo/$value"}
	if b.may("profile") {
		c["name"] = p.Name
		c.set("given_name", p.GivenName)
		c.set("family_name", p.Surname)
	}
	if b.may("email") {
		c["email"] = p.Address
	}
	writeJSON(w, http.StatusOK, c)
	return nil
}
