package entratest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// pair is one parameter of an authorization response; their order is Entra's.
type pair struct{ Name, Value string }

// answer sends parameters to the application in the response mode that it asked for.
func (t *Tenant) answer(w http.ResponseWriter, v *visit, params []pair) error {
	w.Header().Set("Cache-Control", "no-store, no-cache")
	if v.mode == "form_post" {
		to := template.URL(v.redirect) //nolint:gosec // registered, so whatever scheme an administrator trusts
		return t.render(w, http.StatusOK, "formpost", formPost{To: to, Params: params})
	}
	encoded := make([]string, 0, len(params))
	for _, p := range params {
		encoded = append(encoded, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	joint := "?"
	switch {
	case v.mode == "fragment":
		joint = "#"
	case strings.Contains(v.redirect, "?"):
		joint = "&"
	}
	w.Header().Set("Location", v.redirect+joint+strings.Join(encoded, "&"))
	w.WriteHeader(http.StatusFound)
	return nil
}

// formPost is the page that carries an answer by POST.
type formPost struct {
	To     template.URL
	Params []pair
}

// refuseTo tells the application why not.
func (t *Tenant) refuseTo(w http.ResponseWriter, r *http.Request, back *sendBack) error {
	tr := t.traces(r)
	no := back.no
	params := []pair{{"error", no.oauth}, {"error_description", tr.describe(no)}}
	if no.code == 65004 {
		params = append(params, pair{"error_subcode", "cancel"})
	}
	params = append(params, pair{"error_uri", fmt.Sprintf("%s/error?code=%d", t.base(r), no.code)})
	if no.claims != "" {
		params = append(params, pair{"claims", no.claims})
	}
	if back.to.state != "" {
		params = append(params, pair{"state", back.to.state})
	}
	return t.answer(w, back.to, params)
}

// clientInfo is how MSAL learns whose account it is.
func (t *Tenant) clientInfo(p *Person) string {
	raw, err := json.Marshal(map[string]string{"uid": p.ID, "utid": t.TenantID})
	if err != nil {
		panic(fmt.Sprintf("entratest: two strings are JSON: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
