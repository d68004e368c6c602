package page

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Onward leads a browser out of the house after it sent a form. A redirect can't: Chromium holds the form's page
// to its form-action through every redirect that follows, through the identity provider's too, and nobody
// knows all of those hosts. A page ends that chain. It goes on by itself and has a button for those that don't.
type Onward struct {
	// Target is where to go: the identity provider, or a client's redirect URI that passed registration.
	Target string
	Title  string
	Text   string
}

// Onward writes the page that leads out of the house.
func (p *Pages) Onward(w http.ResponseWriter, o Onward) error {
	u, err := url.Parse(o.Target)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("lead onward: the target is no absolute address")
	}
	query := u.Query()
	bare := *u
	bare.RawQuery, bare.ForceQuery = "", false
	type field struct{ Name, Value string }
	var fields []field
	for name, values := range query {
		for _, value := range values {
			fields = append(fields, field{name, value})
		}
	}
	slices.SortFunc(fields, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	data := struct {
		Target, Action template.URL
		Title, Text    string
		Fields         []field
	}{
		// An app's own scheme is allowed here, which html/template can't know: the address was judged when the
		// client registered.
		Target: template.URL(o.Target),      //nolint:gosec // see above
		Action: template.URL(bare.String()), //nolint:gosec // see above
		Title:  o.Title, Text: o.Text, Fields: fields,
	}
	return p.onward.render(w, http.StatusOK, data, formTarget(u))
}

// formTarget is a source expression for an address (CSP level 3 §2.3.1), which knows no IPv6 addresses.
func formTarget(u *url.URL) string {
	odd := strings.ContainsFunc(u.Host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-:", r)
	})
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || odd {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
