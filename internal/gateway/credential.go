package gateway

import (
	"context"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// Credential is what the door shows a server behind in place of the client's token. It is safe for concurrent use.
type Credential interface {
	// Show gives it for a caller.
	Show(ctx context.Context, c Caller) (upstream.Credential, error)
	// Renew gives another one, after the server behind did not accept the last.
	Renew(ctx context.Context, c Caller) (upstream.Credential, error)
}

var (
	_ Credential = None{}
	_ Credential = Header{}
	_ Credential = (*SignedIdentity)(nil)
)

// None shows nothing.
type None struct{}

// Show shows nothing.
func (None) Show(context.Context, Caller) (upstream.Credential, error) {
	return upstream.Credential{}, nil
}

// Renew shows nothing again.
func (None) Renew(context.Context, Caller) (upstream.Credential, error) {
	return upstream.Credential{}, nil
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

// Renew has no other to show.
func (h Header) Renew(ctx context.Context, c Caller) (upstream.Credential, error) {
	return h.Show(ctx, c)
}

// bearerCredential shows a token in the Authorization header.
func bearerCredential(token string) upstream.Credential {
	return upstream.Credential{Value: secret.NewText("Bearer " + token)}
}

// reuse is for how much of its life a credential is shown again before a new one is made.
func reuse(life time.Duration) time.Duration { return life / 2 }
