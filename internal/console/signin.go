package console

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

const kindSignIn = "console_sign_in"

// pending is a sign-in on its way: what was sent to Entra, and in which browser it began.
type pending struct {
	Browser  string // hash of the browser's cookie
	Nonce    string
	Verifier string
	Return   string
}

// startSignIn sends the browser to Entra. State, nonce and PKCE verifier are fresh each time, and bound to the
// browser by a cookie (RFC 9700 §4.7).
func (k *Console) startSignIn(w http.ResponseWriter, r *http.Request) error {
	prompt := ""
	if r.URL.Query().Get("account") == "other" {
		prompt = "select_account"
	}
	return k.toEntra(w, r, prompt, r.URL.Query().Get("return"), "")
}

// toEntra redirects the browser to a fresh sign-in.
func (k *Console) toEntra(w http.ResponseWriter, r *http.Request, prompt, back, claims string) error {
	browser := k.cookies.get(r, k.cookies.signIn)
	if browser == "" {
		var err error
		if browser, err = secret.Random(k.Rand, tokenLen); err != nil {
			return err
		}
	}
	target, err := k.beginSignIn(r.Context(), browser, prompt, back, claims)
	if err != nil {
		return err
	}
	k.cookies.set(w, k.cookies.signIn, browser, signInLife)
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // to Entra, as package entra says
	return nil
}

func (k *Console) beginSignIn(ctx context.Context, browser, prompt, back, claims string) (string, error) {
	random := make([]string, 3)
	for i := range random {
		var err error
		if random[i], err = secret.Random(k.Rand, tokenLen); err != nil {
			return "", err
		}
	}
	state := random[0]
	p := pending{Browser: sessionID(browser), Nonce: random[1], Verifier: random[2], Return: localPath(back)}
	id := sessionID(state)
	sealed, err := k.seal(kindSignIn, id, p)
	if err != nil {
		return "", err
	}
	err = k.Store.Create(ctx, store.Record{Kind: kindSignIn, ID: id, Value: sealed, Expires: k.Now().Add(signInLife)})
	if err != nil {
		return "", err
	}
	return k.Entra.AuthCodeURL(ctx, entra.SignInRequest{
		RedirectURI: k.redirectURI(), State: state, Nonce: p.Nonce, Verifier: p.Verifier, Prompt: prompt, Claims: claims,
	})
}

func (k *Console) redirectURI() string { return k.address(CallbackPath) }

// address makes an absolute address of a path of the house.
func (k *Console) address(path string) string {
	return k.PublicURL.Scheme + "://" + k.PublicURL.Host + path
}

// localPath lets a browser be sent to pages of the console, and nowhere else.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(p, Root) ||
		strings.ContainsAny(p, "\\\r\n\t") || strings.Contains(p, "//") || strings.Contains(u.Path, "..") {
		return Root
	}
	return p
}

// callback takes the browser back from Entra: a state is good once, in the browser that began (RFC 6749 §10.12).
func (k *Console) callback(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if !query.Has("state") && !query.Has("code") && !query.Has("error") {
		http.Redirect(w, r, Root+"signed-out", http.StatusSeeOther) // from a sign-out at Entra
		return nil
	}
	p, err := k.takePending(r, query)
	if err != nil {
		return err
	}
	if code := query.Get("error"); code != "" {
		return k.cameBackRefused(r, code)
	}
	if len(query["code"]) != 1 {
		return badRequest("Entra sent no code.", "Start the sign-in again.")
	}
	signIn, err := k.Entra.Redeem(r.Context(), entra.RedeemRequest{
		Code: query.Get("code"), RedirectURI: k.redirectURI(), Nonce: p.Nonce, Verifier: p.Verifier,
	})
	if err != nil {
		return err
	}
	if err := k.open(w, r, signIn); err != nil {
		return err
	}
	http.Redirect(w, r, p.Return, http.StatusSeeOther)
	return nil
}

func (k *Console) takePending(r *http.Request, query url.Values) (pending, error) {
	stale := badRequest("This sign-in did not begin in this browser, or it is over.", "Start the sign-in again.")
	state, browser := query.Get("state"), k.cookies.get(r, k.cookies.signIn)
	if len(query["state"]) != 1 || !secret.IsRandom(state, tokenLen) || browser == "" {
		return pending{}, stale
	}
	id := sessionID(state)
	record, err := k.Store.Get(r.Context(), kindSignIn, id)
	if errors.Is(err, store.ErrNotFound) {
		return pending{}, stale
	}
	if err != nil {
		return pending{}, err
	}
	var p pending
	if err := k.unseal(kindSignIn, id, record.Value, &p); err != nil {
		return pending{}, stale
	}
	// Compared before it is taken: another browser must not spoil the sign-in of this one.
	if subtle.ConstantTimeCompare([]byte(p.Browser), []byte(sessionID(browser))) != 1 || !k.Now().Before(record.Expires) {
		return pending{}, stale
	}
	if _, err := k.Store.Take(r.Context(), kindSignIn, id); errors.Is(err, store.ErrNotFound) {
		return pending{}, stale
	} else if err != nil {
		return pending{}, err
	}
	return p, nil
}

// cameBackRefused says in our own words why Entra sent no code: its description may be somebody's bait.
func (k *Console) cameBackRefused(r *http.Request, code string) error {
	k.Logger.LogAttrs(r.Context(), slog.LevelInfo, "a sign-in came back refused", slog.String("error", printable(code)))
	if code == "access_denied" {
		return &notice{Status: http.StatusForbidden, Title: "You did not sign in", Text: "You, or your organization, declined the sign-in.", Remedy: "If that was a mistake, start again."}
	}
	return &notice{Status: http.StatusBadGateway, Title: "Entra did not sign you in", Text: "Microsoft Entra ID refused the request.", Remedy: "Start again. If it happens again, tell your administrator the time."}
}

// open begins a session under a name that nobody knew before (threat: session fixation), and ends the one that the
// browser had.
func (k *Console) open(w http.ResponseWriter, r *http.Request, signIn *entra.SignIn) error {
	ctx := r.Context()
	if signIn.Identity.Kind != policy.Person {
		return badRequest("Only people can use the console.", "Sign in as a person.")
	}
	if old, err := k.find(ctx, k.cookies.get(r, k.cookies.session)); err == nil {
		if err := k.end(ctx, old); err != nil {
			return err
		}
	}
	cookie, err := secret.Random(k.Rand, tokenLen)
	if err != nil {
		return err
	}
	now := k.Now()
	s := &session{
		id: sessionID(cookie), Identity: signIn.Identity, State: signIn.State.Reveal(), Ends: signIn.Token.Expires(),
		Began: now, Used: now,
	}
	if claims, err := payload(signIn.IDToken.Reveal()); err == nil {
		s.IDClaims, s.Sid = claims, sidOf(claims)
	}
	record, err := k.record(s)
	if err != nil {
		return err
	}
	if err := k.Store.Create(ctx, record); err != nil {
		return err
	}
	if s.Sid != "" {
		if err := k.rememberSid(ctx, s); err != nil {
			return err
		}
	}
	k.cookies.clear(w, k.cookies.signIn)
	k.cookies.set(w, k.cookies.session, cookie, absoluteLife)
	return nil
}

func sidOf(claims json.RawMessage) string {
	var c struct{ Sid string }
	if json.Unmarshal(claims, &c) != nil || len(c.Sid) > 200 {
		return ""
	}
	return c.Sid
}

// rememberSid lets the front channel find the session. Several browsers never share a sid; a new sign-in of one
// takes the place of the old.
func (k *Console) rememberSid(ctx context.Context, s *session) error {
	id := sessionID(s.Sid)
	if _, err := k.Store.Take(ctx, kindSid, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	err := k.Store.Create(ctx, store.Record{Kind: kindSid, ID: id, Owner: s.Identity.Key(), Value: []byte(s.id), Expires: s.Began.Add(absoluteLife)})
	if errors.Is(err, store.ErrExists) {
		return nil // two windows at once: either is good
	}
	return err
}

// signOut ends the session here, and goes on to Entra if the person wants to be signed out there too.
func (k *Console) signOut(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := k.end(r.Context(), s); err != nil {
		return err
	}
	k.cookies.clear(w, k.cookies.session)
	if r.PostFormValue("everywhere") == "" || k.SignOutURL == "" {
		http.Redirect(w, r, Root+"signed-out", http.StatusSeeOther)
		return nil
	}
	return k.leaveForEntra(w)
}

// signedOutElsewhere is the front channel: Entra tells, in a frame of its own page, that the browser's session
// there ended. The cookie is not sent in such a frame, so the sid is what counts; nobody can guess one.
func (k *Console) signedOutElsewhere(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	k.mayBeFramed(w.Header())
	sid, issuer := query.Get("sid"), query.Get("iss")
	if sid == "" || len(sid) > 200 || (k.Issuer != "" && issuer != k.Issuer) {
		return badRequest("This is where Entra tells that somebody signed out.", "Sign out in the console instead.")
	}
	record, err := k.Store.Take(r.Context(), kindSid, sessionID(sid))
	if errors.Is(err, store.ErrNotFound) {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err != nil {
		return err
	}
	if s, err := k.load(r.Context(), string(record.Value)); err == nil {
		if err := k.end(r.Context(), s); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// mayBeFramed lets Entra, and nobody else, put the empty answer of the front channel into a frame.
func (k *Console) mayBeFramed(h http.Header) {
	k.Pages.Secure(h)
	h.Set("Cache-Control", "no-store")
	if u, err := url.Parse(k.Issuer); err == nil && u.Host != "" {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+u.Scheme+"://"+u.Host)
		h.Del("X-Frame-Options") // it knows no single origin
	}
}

// signedOut is the page after a sign-out.
func (k *Console) signedOut(w http.ResponseWriter, r *http.Request) error {
	return k.render(w, r, nil, view{Name: "signed-out", Title: "Signed out"})
}

// leaveForEntra goes on to Entra's own sign-out by a page, because the answer to a form may not lead out of the house.
func (k *Console) leaveForEntra(w http.ResponseWriter) error {
	target, err := url.Parse(k.SignOutURL)
	if err != nil {
		return err
	}
	query := target.Query()
	// Entra goes back to a registered redirect URI only, so that this one serves for both ways.
	query.Set("post_logout_redirect_uri", k.redirectURI())
	target.RawQuery = query.Encode()
	return k.Pages.Onward(w, page.Onward{Target: target.String(), Title: "Signing you out", Text: "You are signed out of Genkan. Microsoft Entra ID signs you out too."})
}
