package gateway

import (
	"context"
	"errors"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// Credential is what the door shows a server behind in place of the client's token. It is safe for concurrent use.
type Credential interface {
	// Show gives it for a caller.
	Show(ctx context.Context, c Caller) (upstream.Credential, error)
	// Renew gives another one, after the server behind did not accept the last; challenge is its
	// WWW-Authenticate. ErrNothingNew means that there is no other.
	Renew(ctx context.Context, c Caller, challenge []string) (upstream.Credential, error)
}

// ErrNothingNew means that a credential which was not accepted is the only one.
var ErrNothingNew = errors.New("gateway: there is no other credential to show")

var (
	_ Credential = None{}
	_ Credential = Header{}
	_ Credential = (*SignedIdentity)(nil)
	_ Credential = (*OnBehalfOf)(nil)
	_ Credential = (*Application)(nil)
)

// None shows nothing.
type None struct{}

// Show shows nothing.
func (None) Show(context.Context, Caller) (upstream.Credential, error) {
	return upstream.Credential{}, nil
}

// Renew has nothing else.
func (None) Renew(context.Context, Caller, []string) (upstream.Credential, error) {
	return upstream.Credential{}, ErrNothingNew
}

// Header shows the same secret for every caller: an API key.
type Header struct {
	Name  string // empty: Authorization
	Value secret.Text
}

// Show shows the secret.
func (h Header) Show(context.Context, Caller) (upstream.Credential, error) {
	return upstream.Credential{Header: h.Name, Value: h.Value}, nil
}

// Renew has no other.
func (Header) Renew(context.Context, Caller, []string) (upstream.Credential, error) {
	return upstream.Credential{}, ErrNothingNew
}

// bearerCredential shows a token in the Authorization header.
func bearerCredential(token string) upstream.Credential {
	return upstream.Credential{Value: secret.NewText("Bearer " + token)}
}
