package gateway

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/policy"
)

// decide holds the message against the rules. Everything that it uses must be allowed.
func (x *exchange) decide() error {
	if x.message.Kind() == mcpwire.Response {
		// The client answers what the server behind asked it. That goes on an open session, which is the caller's own.
		if x.session == "" {
			return x.badRequest("an answer to the server belongs to a session: send its Mcp-Session-Id")
		}
		return nil
	}
	uses := x.message.Uses()
	call := policy.Call{Server: x.server.Name}
	for i, use := range uses {
		call.Target, call.Name = policy.Target(use.Thing), use.Name
		if i == 0 && x.server.usesArguments {
			call.Arguments = x.message.Arguments()
		}
		if use.Thing != mcpwire.Method {
			x.event.Target = use.Name
		}
		d := x.server.Rules.Decide(x.caller.Identity, call)
		x.note(d)
		if !d.Allowed {
			return x.refuse(use, d)
		}
	}
	if len(uses) == 0 {
		return x.badRequest("the message asks for nothing")
	}
	if x.server.RecordArguments {
		x.event.Arguments, _ = x.message.Param("arguments")
	}
	return nil
}

// note keeps which rule decided, and what rules in observe mode would have refused.
func (x *exchange) note(d policy.Decision) {
	x.event.Rule = d.Rule.Name
	for _, o := range d.Observed {
		x.event.Decision, x.event.Refusal, x.event.Rule = audit.Observed, o.Refusal, o.Rule.Name
		x.g.Logger.LogAttrs(x.ctx, slog.LevelInfo, "a rule in observe mode would have refused",
			slog.String("server", x.server.Name), slog.String("rule", o.Rule.Name), slog.String("refusal", o.Refusal.Error()))
	}
}

// refuse answers a request that the rules don't allow. What the caller may not even know of is answered as the
// server behind answers for what it doesn't have.
func (x *exchange) refuse(use mcpwire.Use, d policy.Decision) error {
	refusal := d.Refusal
	if refusal == nil {
		refusal = &policy.Refusal{Check: policy.CheckRule, Wanted: "a rule that allows it", Got: "none"}
	}
	if len(d.MissingScopes) > 0 && !d.Hidden {
		return x.insufficientScope(d.MissingScopes)
	}
	if x.message.Kind() == mcpwire.Notification {
		return &problem{status: http.StatusForbidden, message: "notifications of this kind are not accepted", refusal: refusal}
	}
	p := &problem{status: http.StatusOK, code: codeRefused, message: refusal.Error(), refusal: refusal}
	if d.Hidden || use.Thing == mcpwire.Method {
		p = x.unknown(use)
		p.refusal = refusal
	}
	return p
}

// codeRefused is the code of a request that names something visible, with arguments or under conditions that are
// not allowed. It is of the range that JSON-RPC 2.0 §5.1 leaves to servers, outside of what MCP defines.
const codeRefused = -32010

// unknown is how a server of the go-sdk answers for what it doesn't have. Revisions that give errors a status of
// their own get it.
func (x *exchange) unknown(use mcpwire.Use) *problem {
	stateless := x.stateless()
	p := &problem{status: http.StatusOK, code: mcpwire.CodeInvalidParams}
	if stateless {
		p.status = http.StatusBadRequest
	}
	switch use.Thing {
	case mcpwire.Tool:
		p.message = "unknown tool " + strconv.Quote(use.Name)
	case mcpwire.Prompt:
		p.message = "unknown prompt " + strconv.Quote(use.Name)
	case mcpwire.Method:
		p.code = mcpwire.CodeMethodNotFound
		p.message = "method not found: " + strconv.Quote(use.Name)
		if stateless {
			p.status = http.StatusNotFound
		}
	default:
		p.message = "Resource not found"
		p.data, _ = json.Marshal(map[string]string{"uri": use.Name}) // a string always marshals
	}
	return p
}
