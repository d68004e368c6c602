package entratest

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assets embed.FS

// render writes one of the pages. Each is a plain form; only the page that carries a form_post answer
// has a line of script, as Entra's has, and a button for browsers without it.
func (t *Tenant) render(w http.ResponseWriter, status int, name string, data any) error {
	page, err := template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html")
	if err != nil {
		return fmt.Errorf("read page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src http: https:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	d := t.directory()
	return page.ExecuteTemplate(w, "layout.html", struct {
		Organization, Domain string
		Page                 any
	}{d.Name, d.Domain, data})
}

// page renders refusals for people, and sends back those that are for the application.
func (t *Tenant) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if back, ok := asSendBack(err); ok {
			err = t.tell(w, r, back)
			if err == nil {
				return
			}
		}
		no := asRefusal(err)
		tr := t.traces(r)
		_ = t.render(w, http.StatusBadRequest, "error", map[string]any{ // a broken connection is the browser's to notice
			"Code": no.code, "Text": no.text, "Trace": tr.trace, "Correlation": tr.correlation, "Timestamp": tr.timestamp,
		})
	})
}

// tell gives a refusal to the application, or to the device that waits for it.
func (t *Tenant) tell(w http.ResponseWriter, r *http.Request, back *sendBack) error {
	if back.to.kind != visitDevice {
		return t.refuseTo(w, r, back)
	}
	if back.no.code != 65004 {
		return back.no
	}
	t.declineDevice(back.to)
	return t.done(w, "You have declined", "The device was not signed in. You can close this window.")
}

// pickerPage asks who it is.
func (t *Tenant) pickerPage(w http.ResponseWriter, _ *http.Request, d *Directory, v *visit) error {
	people := slices.Clone(d.People)
	if i := slices.IndexFunc(people, func(p Person) bool { return d.person(v.hint) == d.person(p.ID) }); i > 0 {
		hinted := people[i]
		people = slices.Insert(slices.Delete(people, i, i+1), 0, hinted)
	}
	return t.render(w, http.StatusOK, "picker", map[string]any{
		"App": d.client(v.client).Name, "People": people, "Visit": v.id,
		"Action": "/" + t.TenantID + "/login", "Hint": v.hint,
	})
}

// approvePage stands for the second factor.
func (t *Tenant) approvePage(w http.ResponseWriter, _ *http.Request, d *Directory, v *visit) error {
	p := d.person(v.person)
	return t.render(w, http.StatusOK, "approve", map[string]any{
		"App": d.client(v.client).Name, "Address": p.Address, "Visit": v.id,
		"Action": "/" + t.TenantID + "/approve",
	})
}

// permission is a line of the consent page.
type permission struct{ Resource, Name, Description string }

// consentPage asks for what is missing.
func (t *Tenant) consentPage(w http.ResponseWriter, _ *http.Request, d *Directory, v *visit, lacking []lack) error {
	var lines []permission
	for _, l := range lacking {
		for _, name := range l.names {
			line := permission{Resource: l.ask.resource.Name, Name: name, Description: name}
			if s := l.ask.resource.scope(name); s != nil && s.Description != "" {
				line.Description = s.Description
			}
			lines = append(lines, line)
		}
	}
	p := d.person(v.person)
	return t.render(w, http.StatusOK, "consent", map[string]any{
		"App": d.client(v.client).Name, "Address": p.Address, "Admin": p.Admin, "Permissions": lines,
		"Visit": v.id, "Action": "/" + t.TenantID + "/consent",
	})
}

// explain is the page that error_uri names.
func (t *Tenant) explain(w http.ResponseWriter, r *http.Request) error {
	code, err := strconv.Atoi(r.FormValue("code"))
	if err != nil {
		return refuse(90100, "code")
	}
	row, known := refusals[code]
	if !known {
		return t.done(w, "Unknown error", "This tenant knows no error of that number.")
	}
	return t.done(w, "AADSTS"+strconv.Itoa(code), row.text)
}
