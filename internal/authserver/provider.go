package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/policy"
)

// visit sends the browser to the identity provider with a state, a nonce and a verifier of our own. Nothing that
// the client sent goes there but a hint of who it may be: above all not its resource, which Entra refuses. If
// person is known, the visit carries what the provider demanded of that person before.
func (a *AuthServer) visit(w http.ResponseWriter, r *http.Request, s signIn, person string) error {
	var wanted demand
	if person != "" {
		var err error
		if wanted, err = a.demandOf(r.Context(), person, s.Server); err != nil {
			return err
		}
	}
	return a.visitWith(w, r, s, wanted)
}

func (a *AuthServer) visitWith(w http.ResponseWriter, r *http.Request, s signIn, wanted demand) error {
	var err error
	s.Stage, s.Identity, s.Upstream, s.Demanded = visiting, policy.Identity{}, nil, wanted.made()
	if s.Nonce, err = a.newSecret(); err != nil {
		return err
	}
	if s.Verifier, err = a.newSecret(); err != nil {
		return err
	}
	state, err := a.keep(r.Context(), s)
	if err != nil {
		return err
	}
	request := idp.Request{
		State: state, Nonce: s.Nonce, Verifier: s.Verifier, RedirectURI: a.callbackURI(),
		Prompt: promptFor(s.Prompts, wanted), LoginHint: s.LoginHint, MaxAge: -1, Claims: wanted.Claims,
	}
	if s.MaxAge != nil {
		request.MaxAge = time.Duration(*s.MaxAge) * time.Second
	}
	target, err := a.Provider.AuthorizeURL(r.Context(), request)
	if err != nil {
		a.logRefusal(r.Context(), r, explain(err), err)
		return a.leave(w, r, s, a.errorAddress(s, err))
	}
	if r.Method == http.MethodPost {
		return a.pages.Onward(w, pageToProvider(target, a.ProviderName))
	}
	redirectTo(w, target)
	return nil
}

// promptFor is what the provider is asked for. A client's wish for consent is ours to fulfil.
func promptFor(prompts []string, wanted demand) string {
	switch {
	case slices.Contains(prompts, "login"), wanted.Login:
		return "login"
	case slices.Contains(prompts, "select_account"):
		return "select_account"
	default:
		return ""
	}
}

func (a *AuthServer) callbackURI() string { return a.Issuer + "/callback" }

// callback takes the browser back from the identity provider. It works in the browser that began, and once.
func (a *AuthServer) callback(w http.ResponseWriter, r *http.Request) error {
	params, err := oauth.ParseCallback(r.URL.RawQuery)
	if err != nil {
		return err
	}
	state := params.Get("state")
	s, err := a.look(r, state, visiting)
	if err != nil {
		return err
	}
	if !params.Has("code") && !params.Has("error") {
		return oauth.Refuse(oauth.InvalidRequest, "the identity provider sent neither a code nor an error")
	}
	if err := a.use(r.Context(), state); err != nil {
		return err
	}
	if params.Has("error") {
		return a.failVisit(w, r, s, providerError(params))
	}
	came, err := a.Provider.Redeem(r.Context(), idp.Callback{
		Code: params.Get("code"), Nonce: s.Nonce, Verifier: s.Verifier, RedirectURI: a.callbackURI(),
	})
	if err != nil {
		return a.failVisit(w, r, s, err)
	}
	if came.Identity.Key() == "" || came.Identity.Kind != policy.Person {
		return a.failVisit(w, r, s, errors.New("the identity provider did not say which person it is"))
	}
	s.Identity, s.Upstream = came.Identity, came.Upstream
	s.Identity.Client, s.Identity.Scopes = s.Client, s.Scopes
	return a.welcome(w, r, s)
}

// providerError sorts the error of an authorization response. Its description is a text that anybody could have
// put into a link: it goes to the log only.
func providerError(params oauth.Params) error {
	told := fmt.Errorf("%s: %s", oauth.PlainText(params.Get("error")), oauth.PlainText(params.Get("error_description")))
	problem := &idp.Error{Problem: idp.Misuse, Cause: told}
	switch oauth.Code(params.Get("error")) {
	case oauth.AccessDenied, oauth.ConsentRequired:
		problem.Problem, problem.Description = idp.Denied, "the sign-in was declined"
	case oauth.LoginRequired, oauth.InteractionRequired:
		problem.Problem, problem.Description = idp.Denied, "the sign-in was not finished"
	case oauth.TemporarilyUnavailable:
		problem.Problem = idp.Unavailable
	default:
	}
	return problem
}

// failVisit tells the client that nobody came back. The person has been through the identity provider or has
// consented before, so that the redirect may be followed. If the provider demands more of the person, they go
// there once more.
func (a *AuthServer) failVisit(w http.ResponseWriter, r *http.Request, s signIn, err error) error {
	problem, sorted := errors.AsType[*idp.Error](err)
	if sorted && problem.Problem == idp.Interaction && !s.Demanded {
		return a.visitWith(w, r, s, demandFrom(problem))
	}
	refusal := explain(err)
	a.logRefusal(r.Context(), r, refusal, err, "client", s.Client)
	a.record(r, audit.Event{
		Kind: audit.SignIn, Decision: audit.Refused, Client: s.Client, Server: s.Server, Detail: refusal.Description,
	})
	return a.leave(w, r, s, a.errorAddress(s, err))
}

// welcome decides whether the person who came back has consented: on the page just now, or in this browser
// before. Anybody else is asked.
func (a *AuthServer) welcome(w http.ResponseWriter, r *http.Request, s signIn) error {
	if s.Consented && (s.Known == "" || s.Known == s.consentOf(s.Identity.Key())) {
		return a.finish(w, r, s)
	}
	s.Consented = false
	recalled, err := a.recalls(r, s, s.Identity)
	if err != nil {
		return err
	}
	if recalled && !slices.Contains(s.Prompts, "consent") {
		return a.finish(w, r, s)
	}
	return a.ask(w, r, s, again)
}

// finish gives the client its code.
func (a *AuthServer) finish(w http.ResponseWriter, r *http.Request, s signIn) error {
	ctx := r.Context()
	c, server, err := a.parties(r, s)
	if err != nil {
		return err
	}
	if _, _, ok := c.redirect(s.RedirectURI); !ok {
		return errNoSignIn // the client changed its redirects meanwhile
	}
	if !s.Demanded {
		wanted, err := a.demandOf(ctx, s.Identity.Key(), s.Server)
		if err != nil {
			return err
		}
		if wanted.made() {
			// What was consented to stays so for this person, and for nobody who comes instead.
			s.Known = s.consentOf(s.Identity.Key())
			return a.visitWith(w, r, s, wanted)
		}
	}
	if err := a.Audit.Ready(); err != nil {
		return a.leave(w, r, s, a.errorAddress(s, oauth.Refuse(oauth.TemporarilyUnavailable, "try again later").Because(err)))
	}
	if s.Consented {
		if err := a.noteConsent(ctx, s, s.Identity); err != nil {
			return err
		}
		if err := a.remember(w, r, rememberedConsent{What: s.wanted(), Consent: s.consentOf(s.Identity.Key())}); err != nil {
			return err
		}
		a.record(r, a.about(s, audit.Consent, "allowed "+oauth.JoinScope(s.Scopes)))
	}
	code, err := a.openGrant(ctx, s, server)
	if err != nil {
		a.logRefusal(ctx, r, explain(err), err, "client", s.Client)
		return a.leave(w, r, s, a.errorAddress(s, err))
	}
	a.settle(ctx, s)
	a.record(r, a.about(s, audit.SignIn, "signed in"))
	return a.leave(w, r, s, a.answerAddress(s, url.Values{"code": {code}}))
}

// openGrant begins a session. If the person only allows more to the one session that the client has with the
// server already, that session is widened instead.
func (a *AuthServer) openGrant(ctx context.Context, s signIn, server Server) (code string, err error) {
	opening := grant.Opening{
		Client: s.Client, ClientName: s.ClientName, Server: server.Name, Resource: server.Resource,
		RedirectURI: s.RedirectURI, Scopes: s.Scopes, Challenge: s.Challenge, Identity: s.Identity, Upstream: s.Upstream,
	}
	narrower, err := a.narrowerGrant(ctx, s)
	if err != nil {
		return "", err
	}
	if narrower != "" {
		code, err = a.Grants.Widen(ctx, narrower, opening)
		if !errors.Is(err, grant.ErrNotFound) {
			return code, err
		}
	}
	return a.Grants.Open(ctx, opening)
}

// narrowerGrant finds the only session of this person, client and server, if it has a part of the scopes. With
// several, nobody knows which window asks, and the client gets a new one.
func (a *AuthServer) narrowerGrant(ctx context.Context, s signIn) (id string, err error) {
	if len(s.Scopes) < 2 {
		return "", nil // nothing is narrower than the base scope
	}
	query := grant.Query{Owner: s.Identity.Key(), Client: s.Client, Server: s.Server}
	for {
		page, err := a.Grants.List(ctx, query)
		if err != nil {
			return "", err
		}
		for _, g := range page.Grants {
			wider := slices.ContainsFunc(s.Scopes, func(scope string) bool { return !slices.Contains(g.Scopes, scope) })
			inside := !slices.ContainsFunc(g.Scopes, func(scope string) bool { return !slices.Contains(s.Scopes, scope) })
			if id != "" || !wider || !inside {
				return "", nil
			}
			id = g.ID
		}
		if page.Next == "" {
			return id, nil
		}
		query.After = page.Next
	}
}

// leave goes out of the house: by a redirect where the browser followed a link, by a page where it sent a form.
func (a *AuthServer) leave(w http.ResponseWriter, r *http.Request, s signIn, target string) error {
	if r.Method == http.MethodPost {
		return a.onward(w, s, target)
	}
	redirectTo(w, target)
	return nil
}

func (a *AuthServer) about(s signIn, kind audit.Kind, detail string) audit.Event {
	e := audit.Event{Kind: kind, Decision: audit.Allowed, Detail: detail}
	e.Who(s.Identity)
	e.Client, e.Server = s.Client, s.Server
	return e
}

// record writes an event down. What was decided before Ready said yes stands; a failure is told to the log.
func (a *AuthServer) record(r *http.Request, e audit.Event) {
	e.Time, e.Address, e.RequestID = a.Now(), a.Address(r), telemetry.RequestID(r.Context())
	if err := a.Audit.Record(r.Context(), e); err != nil {
		a.Logger.ErrorContext(r.Context(), "an event could not be written down", "kind", string(e.Kind), "error", err)
	}
}

func (a *AuthServer) newSecret() (string, error) { return secret.Random(a.Rand, handleLength) }
