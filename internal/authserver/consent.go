package authserver

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

//go:embed templates
var templates embed.FS //nolint:gochecknoglobals // go:embed knows no other place

func (a *AuthServer) preparePages() error {
	var err error
	if a.pages == nil {
		a.own = true
		place := strings.TrimPrefix(strings.TrimPrefix(a.Issuer, "https://"), "http://")
		if a.pages, err = page.New(page.Config{HTTPS: a.secure, Place: place}); err != nil {
			return err
		}
	}
	sub, err := fs.Sub(templates, "templates")
	if err != nil {
		return fmt.Errorf("open the templates: %w", err)
	}
	a.consent, err = a.pages.Parse(sub, "consent.html")
	return err
}

// consentPage is what the page says. Whatever a client says of itself is marked as such.
type consentPage struct {
	Client, ClientID string
	Badge, BadgeTone string
	BadgeText        string
	Server           Server
	New, Already     []string // what will be allowed, and what is
	Redirect         oauth.Redirect
	Warning          bool
	Provider         string
	Person           *policy.Identity // who is signed in already
	SignIn, CSRF     string
}

// showConsent shows the consent page. It may be loaded again as often as one likes.
func (a *AuthServer) showConsent(w http.ResponseWriter, r *http.Request) error {
	params, err := oauth.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	handle := params.Get("sign_in")
	s, err := a.look(r, handle, asking, again)
	if err != nil {
		return err
	}
	c, server, err := a.parties(r, s)
	if err != nil {
		return err
	}
	redirect, _, ok := c.redirect(s.RedirectURI)
	if !ok {
		return errNoSignIn // the client changed its redirects meanwhile
	}
	p := consentPage{
		Client: c.name, ClientID: c.id, Server: server, Redirect: redirect, Provider: a.ProviderName,
		SignIn: handle, CSRF: s.CSRF,
		// On loopback anybody on the computer can pretend to be the client (RFC 8252 §8.6).
		Warning: redirect.Kind != oauth.WebRedirect && c.origin != configured,
	}
	p.Badge, p.BadgeTone, p.BadgeText = badge(c)
	if err := a.describeScopes(r, &p, s); err != nil {
		return err
	}
	if s.Stage == again {
		p.Person = &s.Identity
	}
	return a.consent.Render(w, http.StatusOK, p)
}

// describeScopes says what will be allowed in plain words, and what the same person allowed before.
func (a *AuthServer) describeScopes(r *http.Request, p *consentPage, s signIn) error {
	id := s.Known
	if s.Stage == again {
		id = s.consentOf(s.Identity.Key())
	}
	before, err := a.consentRecord(r.Context(), id)
	if err != nil {
		return err
	}
	for _, scope := range s.Scopes {
		text := p.Server.textOf(scope)
		if slices.Contains(before.Scopes, scope) {
			p.Already = append(p.Already, text)
		} else {
			p.New = append(p.New, text)
		}
	}
	if len(p.New) == 0 { // the client wants the person to be asked again
		p.New, p.Already = p.Already, nil
	}
	return nil
}

// textOf says what a scope means to a person.
func (s Server) textOf(scope string) string {
	for _, known := range s.Scopes {
		if known.Name == scope && known.Text != "" {
			return known.Text
		}
	}
	if scope == BaseScope {
		return "use " + s.Title + " as you, within what you are allowed to do there"
	}
	return "use the permission " + scope
}

func badge(c *client) (word, tone, text string) {
	switch c.origin {
	case configured:
		return "Approved", "good", "Your administrator set this app up."
	case document:
		return c.domain, "", "The app's description was found at this address. Nobody here has checked the app itself."
	default:
		return "Unverified", "warn", "The app chose this name itself. Nobody has checked it."
	}
}

// parties are the client and the server of a sign-in, if both are still there.
func (a *AuthServer) parties(r *http.Request, s signIn) (*client, Server, error) {
	server, found := a.named(s.Server)
	if !found {
		return nil, Server{}, errNoSignIn
	}
	c, err := a.client(r.Context(), s.Client)
	return c, server, err
}

// decideConsent takes the answer of the consent page. Its token belongs to this sign-in, the sign-in to this
// browser, and an answer counts once.
func (a *AuthServer) decideConsent(w http.ResponseWriter, r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return oauth.Refuse(oauth.InvalidRequest, "the form was sent from another site").Because(err)
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	handle := form.Get("sign_in")
	s, err := a.look(r, handle, asking, again)
	if err != nil {
		return err
	}
	if !secret.NewText(s.CSRF).Equal(form.Get("csrf")) {
		return oauth.Refuse(oauth.InvalidRequest, "the form is not the one that was shown")
	}
	decision := form.Get("decision")
	if decision != "allow" && decision != "deny" {
		return oauth.Refuse(oauth.InvalidRequest, "the form holds no decision")
	}
	if _, _, err := a.parties(r, s); err != nil {
		return err
	}
	if err := a.use(r.Context(), handle); err != nil {
		return err
	}
	s.CSRF = ""
	if decision == "deny" {
		return a.deny(w, r, s)
	}
	s.Consented = true
	if s.Stage == again {
		return a.finish(w, r, s)
	}
	return a.visit(w, r, s, "")
}

// deny tells the client that the person said no (RFC 6749 §4.1.2.1).
func (a *AuthServer) deny(w http.ResponseWriter, r *http.Request, s signIn) error {
	refusal := oauth.Refuse(oauth.AccessDenied, "the person declined")
	a.record(r, audit.Event{
		Kind: audit.Consent, Decision: audit.Refused, Client: s.Client, Server: s.Server,
		Tenant: s.Identity.Tenant, Object: s.Identity.Object, Name: s.Identity.Name, Detail: "the person declined",
	})
	return a.onward(w, s, a.errorAddress(s, refusal))
}

// onward leads back to the client after a form.
func (a *AuthServer) onward(w http.ResponseWriter, s signIn, target string) error {
	return a.pages.Onward(w, page.Onward{
		Target: target, Title: "Back to " + s.ClientName, Text: "You can close this window once your app says that it is connected.",
	})
}
