package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// view is one page to be shown.
type view struct {
	Name   string // of the template
	Title  string
	Status int // zero: 200
	Script string
	Data   any
}

// frame is what the layout knows.
type frame struct {
	Title, Style, Logo, Place    string
	ConsoleStyle, Shared, Script string
	Person                       *person
	Form                         string // the token against forged forms
	Nav                          []navigation
	Now                          time.Time
	Data                         any
}

type person struct {
	Name, Username, Initials string
	Administers              bool
}

// navigation is a group of links.
type navigation struct {
	Title string
	Items []navItem
}

type navItem struct {
	Title, Href, Icon string
	Current           bool
}

// parseViews reads every page with the layout around it.
func (k *Console) parseViews() (map[string]*template.Template, error) {
	base, err := template.New("layout.html").Funcs(k.functions()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("find templates: %w", err)
	}
	views := map[string]*template.Template{}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := base.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy the layout: %w", err)
		}
		if views[short], err = t.ParseFS(files, name); err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
	}
	return views, nil
}

// functions are what templates can do beside printing.
func (k *Console) functions() template.FuncMap {
	return template.FuncMap{
		"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"stamp":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"moment":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago":     func(t time.Time) string { return ago(k.Now(), t) },
		"short":   func(d time.Duration) string { return shortDuration(d) },
		"asset":   func(name string) string { return k.assets.address[name] },
		"pretty":  pretty,
		"join":    strings.Join,
		"plural":  plural,
		"segment": segment,
		"query":   url.QueryEscape,
		"clean":   clean,
		"icon":    icon,
		"words":   func(all ...string) []string { return all },
	}
}

// render writes a page with its headers; when it returns an error, nothing was written.
func (k *Console) render(w http.ResponseWriter, r *http.Request, s *session, v view) error {
	f := frame{
		Title: v.Title, Style: k.Pages.Style(), Logo: k.Pages.Logo(), Place: k.Pages.Place(), Data: v.Data, Now: k.Now(),
		ConsoleStyle: k.assets.address["console.css"], Shared: k.assets.address["console.js"], Script: k.assets.address[v.Script],
	}
	if s != nil {
		f.Form, f.Nav = s.csrf, k.navigation(r, s)
		f.Person = &person{Name: s.Identity.Name, Username: s.Identity.Username, Initials: initials(s.Identity.Name), Administers: k.administers(s)}
	}
	var b bytes.Buffer
	if err := k.views[v.Name].Execute(&b, f); err != nil {
		return fmt.Errorf("make page %s: %w", v.Name, err)
	}
	h := w.Header()
	k.secure(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	if v.Status == 0 {
		v.Status = http.StatusOK
	}
	w.WriteHeader(v.Status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// secure sets the headers of a page on which scripts of ours run, and no others. Trusted Types forbid even ours to
// make markup of text.
func (k *Console) secure(h http.Header) {
	k.Pages.Secure(h)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

func (k *Console) navigation(r *http.Request, s *session) []navigation {
	groups := []navigation{{Items: []navItem{
		{Title: "Home", Href: Root, Icon: "home"},
		{Title: "Tokens", Href: Root + "tokens", Icon: "key"},
		{Title: "Tools", Href: Root + "tools", Icon: "tool"},
		{Title: "Chat", Href: Root + "chat", Icon: "chat"},
		{Title: "Sessions", Href: Root + "sessions", Icon: "door"},
		{Title: "Install", Href: Root + "install", Icon: "plug"},
	}}}
	if k.administers(s) {
		groups = append(groups, navigation{Title: "Administration", Items: []navItem{
			{Title: "Overview", Href: Root + "admin", Icon: "chart"},
			{Title: "All sessions", Href: Root + "admin/sessions", Icon: "people"},
			{Title: "Audit", Href: Root + "admin/audit", Icon: "list"},
			{Title: "Refusals", Href: Root + "admin/refusals", Icon: "no"},
			{Title: "Policy", Href: Root + "admin/policy", Icon: "rule"},
		}})
	}
	for _, g := range groups {
		for i := range g.Items {
			item := &g.Items[i]
			item.Current = r.URL.Path == item.Href || strings.HasPrefix(r.URL.Path, item.Href+"/") && item.Href != Root && item.Href != Root+"admin"
		}
	}
	return groups
}

func initials(name string) string {
	var b strings.Builder
	for _, word := range strings.Fields(name) {
		if b.Len() < 8 {
			for _, r := range word {
				b.WriteRune(r)
				break
			}
		}
	}
	text := []rune(b.String())
	return string(text[:min(len(text), 2)])
}

// pretty writes a value as indented JSON.
func pretty(value any) string {
	if raw, ok := value.(json.RawMessage); ok {
		var b bytes.Buffer
		if json.Indent(&b, raw, "", "  ") == nil {
			return b.String()
		}
		return string(raw)
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}

// ago says how long ago something was, roughly.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	d := now.Sub(then)
	switch {
	case d < 0:
		return "in " + shortDuration(-d)
	case d < 10*time.Second:
		return "just now"
	}
	return shortDuration(d) + " ago"
}

func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}
