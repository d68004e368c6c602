// Package console is the web pages of the house: people sign in with Entra, see what their tokens say, try the
// tools that they may use, talk to a model that uses them, and end what they granted; administrators see
// who did what, and why not.
//
// Everything is rendered here on the server. A token of Entra, of this house, or a part of one, never reaches a
// page, a model or the browser's storage: pages show decoded claims. What runs on a page is a little JavaScript
// of our own, from our own address, and every page but the chat works without it.
package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// Root is the path under which everything of the console lives; mount its handler there.
const Root = "/console/"

// CallbackPath is where Entra sends browsers back to: register PublicURL + CallbackPath as a redirect URI.
const CallbackPath = Root + "callback"

// FrontChannelPath is the front-channel logout URL to register in Entra (OpenID Connect Front-Channel Logout 1.0 §2).
const FrontChannelPath = Root + "signed-out-elsewhere"

// ClientID is the client that the console's own sessions belong to.
const ClientID = "genkan-console"

const (
	idleLife     = 30 * time.Minute
	absoluteLife = 8 * time.Hour
	signInLife   = 10 * time.Minute
)

// Config is what a console is made of. PublicURL, Pages, Store, Ring, Entra, Servers, Door and Grants are required.
type Config struct {
	PublicURL *url.URL // the address that browsers use
	Pages     *page.Pages
	Store     store.Store
	Ring      *secret.Ring
	Entra     Entra
	// SignOutURL is Entra's end_session_endpoint; empty: people are signed out here only.
	SignOutURL string
	// Issuer is Entra's v2 issuer, which a front-channel sign-out must name.
	Issuer string
	// Downstream are the services for which people can get a token on their behalf. Nil: those of the public cloud.
	Downstream []Downstream

	// Servers are those behind the door, as configured now.
	Servers func() []Server
	// Door is the gateway. The console calls tools through it as any client does, within the process.
	Door   http.Handler
	Grants Grants
	// Chat says which model answers in the chat. Zero: the built-in responder, which is no model.
	Chat Chat

	// AdminRole is the app role of those who administer Genkan; empty: nobody does.
	AdminRole string
	Admin     Admin
	// Record writes down what people do here: audit.Log.Record. Nil: nothing is written down.
	Record func(ctx context.Context, e audit.Event) error

	Logger *slog.Logger
	Now    func() time.Time // time.Now
	Rand   io.Reader        // crypto/rand; safe for concurrent use
}

// Console serves the pages. It is safe for concurrent use, and any number of processes may serve the same store.
type Console struct {
	Config
	views     map[string]*template.Template
	assets    assets
	cookies   cookies
	origins   *http.CrossOriginProtection
	model     model
	samples   samples
	exchanges map[string]*entra.OnBehalfOf // by the name of the downstream service
	handler   http.Handler
}

// New checks the configuration and says every mistake in it.
func New(c Config) (*Console, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.fillDefaults()
	k := &Console{Config: c, cookies: newCookies(c.PublicURL.Scheme), origins: http.NewCrossOriginProtection()}
	var err error
	if k.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if k.views, err = k.parseViews(); err != nil {
		return nil, err
	}
	if k.model, err = newModel(c.Chat); err != nil {
		return nil, err
	}
	if k.exchanges, err = c.makeExchanges(); err != nil {
		return nil, err
	}
	k.handler = k.routes()
	return k, nil
}

func (c *Config) check() error {
	var mistakes []error
	need := func(ok bool, what string) {
		if !ok {
			mistakes = append(mistakes, errors.New("console: "+what))
		}
	}
	need(c.PublicURL != nil && c.PublicURL.Host != "", "a public address is needed")
	need(c.Pages != nil, "pages are needed")
	need(c.Store != nil && c.Ring != nil, "a store and a ring of keys are needed")
	need(c.Entra != nil, "Entra is needed")
	need(c.Servers != nil, "servers are needed")
	need(c.Door != nil && c.Grants != nil, "a door to the servers and grants are needed")
	for _, d := range c.Downstream {
		need(d.Name != "" && d.Scope != "", fmt.Sprintf("downstream service %q needs a name and a scope", d.Title))
	}
	return errors.Join(mistakes...)
}

func (c *Config) makeExchanges() (map[string]*entra.OnBehalfOf, error) {
	exchanges := map[string]*entra.OnBehalfOf{}
	for _, d := range c.Downstream {
		exchange, err := c.Entra.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: []string{d.Scope}})
		if err != nil {
			return nil, fmt.Errorf("console: downstream service %q: %w", d.Name, err)
		}
		exchanges[d.Name] = exchange
	}
	return exchanges, nil
}

func (c *Config) fillDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Downstream == nil {
		c.Downstream = PublicDownstream()
	}
}

// ServeHTTP serves everything under Root.
func (k *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.handler.ServeHTTP(w, r) }
