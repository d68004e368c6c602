package guard

import (
	"context"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/policy"
)

// codeRefused is the code of a request that names something visible, with arguments or under conditions that are
// not allowed. The gateway answers with the same.
const codeRefused = -32010

// Middleware holds every message to the rules. Give it to the server's AddReceivingMiddleware. It refuses what
// did not come through Handler.
func (g *Guard) Middleware() mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
			v := visitOf(request)
			if v == nil || v.message == nil || v.message.Method() != method {
				return nil, &jsonrpc.Error{Code: codeRefused, Message: "refused: the request did not come through the guard"}
			}
			if !v.decision.Allowed {
				return nil, v.refusal()
			}
			result, err := next(context.WithValue(ctx, visitKey{}, v), method, request)
			if err != nil {
				return nil, err
			}
			return g.filter(v.identity, result), nil
		}
	}
}

// visitOf finds the visit that the go-sdk carried along.
func visitOf(request mcp.Request) *visit {
	extra := request.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil
	}
	v, _ := extra.TokenInfo.Extra[visitName].(*visit)
	return v
}

// refusal is the answer to what the rules don't allow. What the caller may not even know of is answered as the
// go-sdk answers for what it doesn't have.
func (v *visit) refusal() error {
	if !v.decision.Hidden && v.refused.Thing != mcpwire.Method {
		return &jsonrpc.Error{Code: codeRefused, Message: v.decision.Refusal.Error()}
	}
	switch v.refused.Thing {
	case mcpwire.Tool:
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown tool %q", v.refused.Name)}
	case mcpwire.Prompt:
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown prompt %q", v.refused.Name)}
	case mcpwire.Resource, mcpwire.Template:
		return mcp.ResourceNotFoundError(v.refused.Name)
	default:
		return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method not found: %q", v.refused.Name)}
	}
}

// private is the cache scope of what depends on who asks (2026-07-28, Caching).
const private = "private"

// filter takes from lists what the identity may not use. Lists are copied: the server may keep its own.
func (g *Guard) filter(id policy.Identity, result mcp.Result) mcp.Result {
	visible := func(target policy.Target, name string) bool { return g.rules.Visible(id, target, name) }
	switch r := result.(type) {
	case *mcp.ListToolsResult:
		c := *r
		c.CacheScope = private
		c.Tools = only(r.Tools, func(t *mcp.Tool) bool { return t != nil && visible(policy.Tool, t.Name) })
		return &c
	case *mcp.ListPromptsResult:
		c := *r
		c.CacheScope = private
		c.Prompts = only(r.Prompts, func(p *mcp.Prompt) bool { return p != nil && visible(policy.Prompt, p.Name) })
		return &c
	case *mcp.ListResourcesResult:
		c := *r
		c.CacheScope = private
		c.Resources = only(r.Resources, func(r *mcp.Resource) bool { return r != nil && visible(policy.Resource, r.URI) })
		return &c
	case *mcp.ListResourceTemplatesResult:
		c := *r
		c.CacheScope = private
		c.ResourceTemplates = only(r.ResourceTemplates, func(t *mcp.ResourceTemplate) bool { return t != nil && visible(policy.Template, t.URITemplate) })
		return &c
	case *mcp.ReadResourceResult:
		c := *r
		c.CacheScope = private
		return &c
	case *mcp.DiscoverResult:
		c := *r
		c.CacheScope = private
		return &c
	}
	return result
}

// only keeps some of a list; what is left is never null in JSON.
func only[T any](all []T, keep func(T) bool) []T {
	return slices.DeleteFunc(append(make([]T, 0, len(all)), all...), func(one T) bool { return !keep(one) })
}
