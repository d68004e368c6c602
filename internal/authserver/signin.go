package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	signInKind = "signin"
	// signInLife bounds one step of a sign-in. People look for their phone in between.
	signInLife = 20 * time.Minute
	// handleLength is 260 bits: who has a handle was given it.
	handleLength = 52
)

// stage is where a sign-in stands. A record is good for its stage only.
type stage string

const (
	asking   stage = "asking"   // the consent page is open, nobody has signed in yet
	visiting stage = "visiting" // the browser is at the identity provider
	again    stage = "again"    // somebody else came back than was expected, and is asked for consent
)

// signIn is one pass from /authorize to the client's redirect, between two requests of the browser. It lies in
// the store sealed, under the hash of a handle that only the browser knows.
type signIn struct {
	Stage   stage         `json:"stage"`
	Browser secret.Digest `json:"browser"` // of the cookie of the browser that began

	// What the client asked for.
	Client      string   `json:"client"`
	ClientName  string   `json:"client_name"`
	Redirect    string   `json:"redirect"`     // as registered
	RedirectURI string   `json:"redirect_uri"` // as requested
	State       string   `json:"state"`
	Challenge   string   `json:"challenge"`
	Server      string   `json:"server"`
	Scopes      []string `json:"scopes"`
	Prompts     []string `json:"prompts"`
	LoginHint   string   `json:"login_hint"`
	MaxAge      *int     `json:"max_age,omitempty"` // seconds

	// What the person said. The consent page told apart what is new and what the consent Known allowed before;
	// an answer to that is good for the person of Known only.
	CSRF      string `json:"csrf,omitempty"`
	Consented bool   `json:"consented,omitempty"`
	Known     string `json:"known,omitempty"`

	// The visit to the identity provider, and what came of it.
	Nonce    string          `json:"nonce,omitempty"`
	Verifier string          `json:"verifier,omitempty"`
	Demanded bool            `json:"demanded,omitempty"` // the visit carries what the provider demanded before
	Identity policy.Identity `json:"identity,omitzero"`
	Upstream []byte          `json:"upstream,omitempty"`
}

// errNoSignIn is what a browser is told that brings a handle which is used up, too old or invented.
var errNoSignIn = &problemError{
	title:  "This page is no longer valid",
	text:   "The sign-in was finished already, or it took too long.",
	remedy: "Go back to your app and start again from there.",
	cause:  oauth.Refuse(oauth.InvalidRequest, "the sign-in is over or was never begun"),
}

// errOtherBrowser is what a browser is told that continues what another one began.
var errOtherBrowser = &problemError{
	title:  "This was started in another browser",
	text:   "For your safety a sign-in must end in the browser in which it began. If somebody sent you this link, they may be trying to use your account.",
	remedy: "Start from your own app. If cookies are blocked for this site, allow them.",
	cause:  &oauth.Error{Code: oauth.AccessDenied, HTTPStatus: http.StatusForbidden, Description: "the browser is not the one that began the sign-in"},
}

func handleID(handle string) string {
	digest, _ := secret.Hash(handle).MarshalText()
	return string(digest)
}

func signInBinding(handle string) secret.Binding {
	return secret.Binding{Kind: signInKind, Key: handleID(handle)}
}

// keep stores a sign-in for its next step and returns the handle that leads back to it.
func (a *AuthServer) keep(ctx context.Context, s signIn) (handle string, err error) {
	if handle, err = secret.Random(a.Rand, handleLength); err != nil {
		return "", err
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("keep sign-in: %w", err)
	}
	sealed, err := a.Ring.Seal(signInBinding(handle), plain)
	if err != nil {
		return "", fmt.Errorf("keep sign-in: %w", err)
	}
	err = a.Store.Create(ctx, store.Record{Kind: signInKind, ID: handleID(handle), Value: sealed, Expires: a.Now().Add(signInLife)})
	if err != nil {
		return "", fmt.Errorf("keep sign-in: %w: %w", errStore, err)
	}
	return handle, nil
}

// look reads a sign-in without using it up, for the browser that it belongs to and at one of the stages that
// fit. A stranger's request must not end it.
func (a *AuthServer) look(r *http.Request, handle string, fits ...stage) (signIn, error) {
	if !secret.IsRandom(handle, handleLength) {
		return signIn{}, errNoSignIn
	}
	stored, err := a.Store.Get(r.Context(), signInKind, handleID(handle))
	if errors.Is(err, store.ErrNotFound) {
		return signIn{}, errNoSignIn
	}
	if err != nil {
		return signIn{}, fmt.Errorf("find sign-in: %w: %w", errStore, err)
	}
	s, err := a.open(handle, stored)
	if err != nil {
		return signIn{}, err
	}
	if !secret.Hash(a.browser(r)).Equal(s.Browser) {
		return signIn{}, errOtherBrowser
	}
	for _, fit := range fits {
		if s.Stage == fit {
			return s, nil
		}
	}
	return signIn{}, errNoSignIn
}

// use ends this step of a sign-in. Of two requests that come at once, one wins.
func (a *AuthServer) use(ctx context.Context, handle string) error {
	_, err := a.Store.Take(ctx, signInKind, handleID(handle))
	if errors.Is(err, store.ErrNotFound) {
		return errNoSignIn
	}
	if err != nil {
		return fmt.Errorf("use sign-in: %w: %w", errStore, err)
	}
	return nil
}

func (a *AuthServer) open(handle string, stored store.Record) (signIn, error) {
	if !a.Now().Before(stored.Expires) {
		return signIn{}, errNoSignIn
	}
	plain, err := a.Ring.Open(signInBinding(handle), stored.Value)
	if errors.Is(err, secret.ErrUnknownKey) { // another replica sealed it with a key that comes here in a moment
		return signIn{}, fmt.Errorf("open sign-in: %w: %w", errStore, err)
	}
	if err != nil {
		return signIn{}, fmt.Errorf("open sign-in: %w", err)
	}
	var s signIn
	if err := json.Unmarshal(plain, &s); err != nil {
		return signIn{}, fmt.Errorf("read sign-in: %w", err)
	}
	return s, nil
}
