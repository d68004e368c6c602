// Package idp is the identity provider as the authorization server sees it: somewhere to send a browser,
// somebody who comes back, and a way to ask later whether that somebody is still welcome.
package idp

import (
	"context"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/policy"
)

// Request is one visit to the identity provider. State, Nonce and Verifier are Genkan's own, never the
// client's.
type Request struct {
	State       string
	Nonce       string
	Verifier    string // PKCE code verifier; the provider sends its S256 challenge
	RedirectURI string
	Prompt      string        // "", "login", "select_account" or "consent"
	LoginHint   string        // the address the person will probably use
	MaxAge      time.Duration // how old an earlier sign-in may be; negative: any
	Claims      string        // a claims challenge to satisfy, as JSON
}

// Callback is what the browser brought back, and what Request had sent along.
type Callback struct {
	Code        string
	Nonce       string
	Verifier    string
	RedirectURI string
}

// SignIn is the outcome: who came, and the provider's tokens, opaque to everybody but the provider.
// Upstream is secret: it is stored sealed and never leaves the building.
type SignIn struct {
	Identity policy.Identity
	Upstream []byte
}

// Provider is an identity provider.
type Provider interface {
	// AuthorizeURL says where to send the browser.
	AuthorizeURL(ctx context.Context, r Request) (string, error)
	// Redeem exchanges the code of a callback for the person and the provider's tokens.
	Redeem(ctx context.Context, c Callback) (SignIn, error)
	// Refresh asks again who the person is and whether they may come: roles and groups are read anew.
	Refresh(ctx context.Context, upstream []byte) (SignIn, error)
}

// Problem says what to do about a failure of the provider.
type Problem string

// The problems that the authorization server tells apart.
const (
	Denied      Problem = "denied"      // the person or the provider said no: access_denied
	Interaction Problem = "interaction" // the person must sign in again, with Claims if there are any
	Ended       Problem = "ended"       // the grant is gone (revoked, disabled, expired): invalid_grant
	Unavailable Problem = "unavailable" // ask again later: 503, nothing ends
	Misuse      Problem = "misuse"      // Genkan's own registration or request is wrong: server_error
)

// Error is a failure of the provider, sorted. Description is safe to show to the client; the cause is
// for the log.
type Error struct {
	Problem     Problem
	Description string
	Claims      string        // a claims challenge (JSON) to carry into the next sign-in
	RetryAfter  time.Duration // when Unavailable and known
	Cause       error
}

// Error describes the failure and its cause, for the log.
func (e *Error) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("identity provider: %s: %s", e.Problem, e.Description)
	}
	return fmt.Sprintf("identity provider: %s: %s: %v", e.Problem, e.Description, e.Cause)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }
