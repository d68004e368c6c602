package app

import (
	"context"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/telemetry"
)

// counting is the audit log of the authorization server, with its events counted on their way.
type counting struct {
	log     *audit.Log
	metrics *telemetry.Metrics
}

var _ authserver.Audit = counting{}

// Ready is that of the log.
func (c counting) Ready() error { return c.log.Ready() }

// Record counts sign-ins, tokens and unusual activity.
func (c counting) Record(ctx context.Context, e audit.Event) error {
	switch e.Kind {
	case audit.SignIn:
		c.metrics.SignIn(outcomeOf(e.Decision))
	case audit.Token:
		c.metrics.Token(grantOf(e.Method), outcomeOf(e.Decision))
	case audit.Unusual:
		c.metrics.Unusual("session ended")
	default: // the gateway counts its own
	}
	return c.log.Record(ctx, e)
}

func outcomeOf(d audit.Decision) string {
	switch d {
	case audit.Allowed:
		return "ok"
	case audit.Refused:
		return "refused"
	default:
		return "failed"
	}
}

// grantOf bounds what a stranger can make a label of.
func grantOf(method string) string {
	switch method {
	case "authorization_code", "refresh_token", "client_credentials", "revoke":
		return method
	default:
		return "other"
	}
}
