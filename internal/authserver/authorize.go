package authserver

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// The bounds of what a client may have carried through a sign-in.
const (
	maxState     = 4096
	maxLoginHint = 320
)

// authorize begins a sign-in (OAuth 2.1 §4.1.1). Until the client and its redirect are certain, a mistake is told to
// the person; afterwards to the client.
func (a *AuthServer) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := a.limits.authorize.take(addressKey(a.Address(r)), a.Now()); err != nil {
		return err
	}
	params, err := oauth.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	c, err := a.client(r.Context(), params.Get("client_id"))
	if err != nil {
		return err
	}
	redirect, requested, ok := c.redirect(params.Get("redirect_uri"))
	if !ok {
		return oauth.Refuse(oauth.InvalidRequest, "the redirect_uri is not one that the client registered")
	}
	if len(params.Get("state")) > maxState {
		return oauth.Refuse(oauth.InvalidRequest, "state is longer than %d bytes", maxState)
	}
	s := signIn{
		Client: c.id, ClientName: c.name, Redirect: redirect.URI, RedirectURI: requested, State: params.Get("state"),
	}
	if err := a.readRequest(&s, params); err != nil {
		return a.refuseAuthorize(w, r, c, redirect, s, err)
	}
	if s.Browser, err = a.knowBrowser(w, r); err != nil {
		return err
	}
	return a.begin(w, r, c, redirect, s)
}

// readRequest reads what a client asks for, once it is certain where the answer may go.
func (a *AuthServer) readRequest(s *signIn, params oauth.Params) error {
	switch {
	case params.Has("request") || params.Has("request_uri"):
		return oauth.Refuse(oauth.InvalidRequest, "request objects are not supported")
	case !params.Has("response_type"):
		return oauth.Refuse(oauth.InvalidRequest, "response_type is missing")
	case params.Get("response_type") != "code":
		return oauth.Refuse(oauth.UnsupportedResponseType, "response_type must be code")
	case params.Has("response_mode") && params.Get("response_mode") != "query":
		return oauth.Refuse(oauth.InvalidRequest, "response_mode must be query")
	case len(params.Get("login_hint")) > maxLoginHint:
		return oauth.Refuse(oauth.InvalidRequest, "login_hint is too long")
	}
	if err := oauth.CheckChallenge(params.Get("code_challenge"), params.Get("code_challenge_method")); err != nil {
		return err
	}
	server, err := a.serverOf(params.Get("resource"), params.Get("server"))
	if err != nil {
		return err
	}
	asked, err := oauth.ParseScope(params.Get("scope"))
	if err != nil {
		return err
	}
	s.Challenge, s.LoginHint = params.Get("code_challenge"), params.Get("login_hint")
	s.Server, s.Scopes = server.Name, server.grantable(asked)
	if s.Prompts, err = readPrompt(params.Get("prompt")); err != nil {
		return err
	}
	s.MaxAge, err = readMaxAge(params.Get("max_age"))
	return err
}

// serverOf finds the server that a client means: by resource (RFC 8707 §2), by the hint that the metadata at a
// server's path gave, or, if there is but one, without a word.
func (a *AuthServer) serverOf(resource, hint string) (Server, error) {
	if resource != "" {
		server, found := a.server(resource)
		if !found || (hint != "" && hint != server.Name) {
			return Server{}, oauth.Refuse(oauth.InvalidTarget, "the resource is none of the servers here")
		}
		return server, nil
	}
	if hint != "" {
		if server, found := a.named(hint); found {
			return server, nil
		}
	}
	if len(a.Servers) == 1 {
		return a.Servers[0], nil
	}
	return Server{}, oauth.Refuse(oauth.InvalidTarget, "resource is missing, and there is more than one server here; send the server's URL as resource (RFC 8707)")
}

// readPrompt reads the prompts of OpenID Connect Core §3.1.2.1. One that asks for no page at all can't be
// satisfied: the identity provider's own session is not ours to look at.
func readPrompt(raw string) ([]string, error) {
	prompts := strings.Fields(raw)
	for _, prompt := range prompts {
		switch prompt {
		case "login", "consent", "select_account":
		case "none":
			return nil, oauth.Refuse(oauth.LoginRequired, "the person must be asked")
		default:
			return nil, oauth.Refuse(oauth.InvalidRequest, "prompt holds an unknown value")
		}
	}
	return prompts, nil
}

func readMaxAge(raw string) (*int, error) {
	if raw == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseUint(raw, 10, 31)
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "max_age must be a number of seconds")
	}
	age := int(seconds)
	return &age, nil
}

// begin asks for consent, or, where it is remembered, goes straight to the identity provider.
func (a *AuthServer) begin(w http.ResponseWriter, r *http.Request, c *client, redirect oauth.Redirect, s signIn) error {
	known, err := a.recall(r, s)
	if err != nil {
		return err
	}
	if known.id != "" && known.covers(s.Scopes) && mayRemember(c, redirect) && !slices.Contains(s.Prompts, "consent") {
		return a.visit(w, r, s, known.person) // who comes back is compared with who is remembered
	}
	s.Known = known.id
	return a.ask(w, r, s, asking)
}

// ask keeps the sign-in and shows the consent page.
func (a *AuthServer) ask(w http.ResponseWriter, r *http.Request, s signIn, at stage) error {
	var err error
	s.Stage = at
	if s.CSRF, err = a.newSecret(); err != nil {
		return err
	}
	handle, err := a.keep(r.Context(), s)
	if err != nil {
		return err
	}
	redirectTo(w, a.Issuer+"/consent?sign_in="+handle)
	return nil
}

// refuseAuthorize tells a mistake to the client if the redirect may be followed without a person's consent, and
// else to the person: whoever registers an address must not get a redirector to it (RFC 9700 §4.11.2).
func (a *AuthServer) refuseAuthorize(w http.ResponseWriter, r *http.Request, c *client, redirect oauth.Redirect, s signIn, err error) error {
	if redirect.Kind == oauth.WebRedirect && c.origin != configured {
		return err
	}
	a.logRefusal(r.Context(), r, explain(err), err, "client", c.id)
	redirectTo(w, a.errorAddress(s, err))
	return nil
}

// answerAddress is where the browser goes with the answer (RFC 6749 §4.1.2, RFC 9207 §2).
func (a *AuthServer) answerAddress(s signIn, answer url.Values) string {
	if s.State != "" {
		answer.Set("state", s.State)
	}
	answer.Set("iss", a.Issuer)
	separator := "?"
	if strings.Contains(s.RedirectURI, "?") {
		separator = "&"
	}
	return s.RedirectURI + separator + answer.Encode()
}

func (a *AuthServer) errorAddress(s signIn, err error) string {
	refusal := explain(err)
	answer := url.Values{"error": {string(authorizeCode(refusal.Code))}}
	if refusal.Description != "" {
		answer.Set("error_description", oauth.PlainText(refusal.Description))
	}
	return a.answerAddress(s, answer)
}

// authorizeCode keeps codes that only the token endpoint gives out of a redirect (RFC 6749 §4.1.2.1).
func authorizeCode(code oauth.Code) oauth.Code {
	switch code {
	case oauth.InvalidGrant, oauth.InvalidClient, oauth.InvalidToken:
		return oauth.AccessDenied
	default:
		return cmp.Or(code, oauth.ServerError)
	}
}

// redirectTo answers with a redirect that nobody keeps and that always becomes a GET.
func redirectTo(w http.ResponseWriter, target string) {
	h := w.Header()
	h.Set("Location", target)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}
