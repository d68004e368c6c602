package samples

import (
	"context"
	"errors"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// userInfo is what get_user_info answers: who calls, and how that was checked.
type userInfo struct {
	Name     string    `json:"name"`
	Username string    `json:"username"`
	Tenant   string    `json:"tenant"`
	Object   string    `json:"object"`
	Client   string    `json:"client"`
	Roles    []string  `json:"roles"`
	Scope    string    `json:"scope"`
	Checks   []verdict `json:"checks" jsonschema:"the eight checks of the signed identity"`
}

type pong struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Profile is an MCP server that tells people what Genkan says about them. It verifies the signed identity
// by itself, as any server behind the door can.
func Profile(door Door) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "profile", Title: "Profile", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{
		Name: "secure_ping", Title: "Ping", Description: "Answers when the caller's identity was verified.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, securePing)
	mcp.AddTool(server, &mcp.Tool{
		Name: "get_user_info", Title: "About me", Description: "Tells who you are: your name, roles and client, and the eight checks of your identity.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, getUserInfo)
	v := &verifier{door: door}
	return auth.RequireBearerToken(v.verify, &auth.RequireBearerTokenOptions{Scopes: []string{door.Scope}})(handler(server))
}

func securePing(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, pong, error) {
	if _, err := caller(req); err != nil {
		return nil, pong{}, err
	}
	return nil, pong{OK: true, Message: "your identity was verified"}, nil
}

func getUserInfo(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, userInfo, error) {
	v, err := caller(req)
	if err != nil {
		return nil, userInfo{}, err
	}
	roles := v.claims.Roles
	if roles == nil {
		roles = []string{}
	}
	return nil, userInfo{
		Name: v.claims.Name, Username: v.claims.Username, Tenant: v.claims.Tenant, Object: v.claims.Object,
		Client: v.claims.Client, Roles: roles, Scope: v.claims.Scope, Checks: v.verdicts,
	}, nil
}

// caller is whose request this is. Every request was checked on its own: sessions carry no identity.
func caller(req *mcp.CallToolRequest) (verified, error) {
	if req.Extra == nil || req.Extra.TokenInfo == nil {
		return verified{}, errors.New("the request carries no verified identity")
	}
	v, ok := req.Extra.TokenInfo.Extra["verified"].(verified)
	if !ok {
		return verified{}, errors.New("the request carries no verified identity")
	}
	return v, nil
}
