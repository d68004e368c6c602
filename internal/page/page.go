// Package page is what every web page of the house has in common: the layout, the style sheet, the headers
// that keep a page from being framed or injected into, and the page that says what went wrong.
//
// Nothing on a page comes from another host, and no script runs on it.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// AssetsPath is where Assets must be mounted.
const AssetsPath = "/assets/"

//go:embed assets templates
var files embed.FS //nolint:gochecknoglobals // go:embed knows no other place

// Config shapes the pages.
type Config struct {
	// HTTPS says that browsers come over https, so that they may be told to stay there.
	HTTPS bool
	// Place is the host that people should see in their address bar.
	Place string
}

// Pages makes pages in one look. It is safe for concurrent use.
type Pages struct {
	config  Config
	assets  map[string]asset // by file name with the hash of its content
	style   string
	logo    string
	problem *Page
	onward  *Page
}

type asset struct {
	contentType string
	content     []byte
}

// Page is one page, ready to be filled in.
type Page struct {
	pages    *Pages
	template *template.Template
}

// New prepares the pages.
func New(c Config) (*Pages, error) {
	p := &Pages{config: c, assets: map[string]asset{}}
	var err error
	if p.style, err = p.addAsset("genkan.css", "text/css; charset=utf-8"); err != nil {
		return nil, err
	}
	if p.logo, err = p.addAsset("genkan.svg", "image/svg+xml"); err != nil {
		return nil, err
	}
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, fmt.Errorf("open the templates: %w", err)
	}
	if p.problem, err = p.Parse(templates, "problem.html"); err != nil {
		return nil, err
	}
	if p.onward, err = p.Parse(templates, "onward.html"); err != nil {
		return nil, err
	}
	return p, nil
}

// Parse reads a page. Its file defines the templates "title" and "main", and may define "head", "width" (which
// is "narrow" or "wide") and "foot"; each of them gets the data that Render is given.
func (p *Pages) Parse(fsys fs.FS, name string) (*Page, error) {
	t, err := template.ParseFS(files, "templates/layout.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	if t, err = t.ParseFS(fsys, name); err != nil {
		return nil, fmt.Errorf("parse page %s: %w", name, err)
	}
	return &Page{pages: p, template: t.Lookup("layout.html")}, nil
}

// Render writes the page with its headers. When it returns an error, nothing was written.
func (pg *Page) Render(w http.ResponseWriter, status int, data any) error {
	return pg.render(w, status, data, "'self'")
}

func (pg *Page) render(w http.ResponseWriter, status int, data any, formAction string) error {
	var b bytes.Buffer
	frame := struct {
		Style, Logo, Place string
		Data               any
	}{pg.pages.style, pg.pages.logo, pg.pages.config.Place, data}
	if err := pg.template.Execute(&b, frame); err != nil {
		return fmt.Errorf("fill in page: %w", err)
	}
	h := w.Header()
	pg.pages.secure(h, formAction)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return nil //nolint:nilerr // the browser went away; there is nobody to tell
	}
	return nil
}

// Assets serves the style sheet and the logo. Their names change with their content, so that browsers may keep
// them for ever.
func (p *Pages) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, found := p.assets[strings.TrimPrefix(r.URL.Path, AssetsPath)]
		if !found || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		p.secure(h, "'none'")
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(a.content)
	})
}

// Secure sets the headers that every answer to a browser should carry, pages or not.
func (p *Pages) Secure(h http.Header) { p.secure(h, "'self'") }

// secure sets the headers. Chromium applies form-action to where a form's answer redirects, too: what leads
// away from the house after a form was sent must be an Onward page.
func (p *Pages) secure(h http.Header, formAction string) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action "+formAction+
		"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY") // for browsers that don't know frame-ancestors
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// No Cross-Origin-Opener-Policy: a web client opens the sign-in in a window and is told by that window,
	// after it came back, that it is over. The policy would cut the two apart.
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if p.config.HTTPS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func (p *Pages) addAsset(name, contentType string) (address string, err error) {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		return "", fmt.Errorf("read asset: %w", err)
	}
	sum := sha256.Sum256(content)
	extension := path.Ext(name)
	named := strings.TrimSuffix(name, extension) + "-" + hex.EncodeToString(sum[:6]) + extension
	p.assets[named] = asset{contentType, content}
	return AssetsPath + named, nil
}
