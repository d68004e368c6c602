package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

func (c *checker) checkServer(name string, s Server, paths map[string]string) {
	key := "servers." + name
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name) {
		c.mistake(key, "the name can't stand in an address", "use lower-case letters, digits and dashes, at most 63")
	}
	c.oneOf(key+".mode", s.Mode, "facade", "resource")
	c.checkUpstream(key, s)
	c.checkPath(key, name, s.Path, paths)
	c.checkServerCredential(key, s)
	for scope := range s.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			c.mistake(key+".scopes", fmt.Sprintf("%q is no scope", scope), "use printable ASCII without spaces, quotes and backslashes")
		}
	}
	if s.Mode == "resource" {
		c.checkResource(key, s.Resource)
	}
	c.checkRules(key, s.Rules)
}

// checkUpstream wants exactly one way to reach the server.
func (c *checker) checkUpstream(key string, s Server) {
	ways := 0
	for _, address := range []struct{ key, value string }{{".url", s.URL}, {".sse", s.SSE}} {
		if address.value == "" {
			continue
		}
		ways++
		u, err := url.Parse(address.value)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Fragment != "" {
			c.mistake(key+address.key, "it is no web address", "write it like http://weather:8080/mcp, without user name or fragment")
		}
	}
	if len(s.Command.Run) > 0 {
		ways++
	}
	switch {
	case ways == 0:
		c.mistake(key+".url", "it is missing", "say where the MCP server listens, such as http://weather:8080/mcp (or give sse, or command)")
	case ways > 1:
		c.mistake(key, "the server is reached in two ways", "give one of url, sse and command")
	}
}

func (c *checker) checkPath(key, name, path string, paths map[string]string) {
	if !regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`).MatchString(path) || strings.Contains(path, "/.") {
		c.mistake(key+".path", fmt.Sprintf("%q is no plain path", path), "start with a slash, end without one, and use letters, digits, dots and dashes")
	}
	if other, taken := paths[path]; taken {
		c.mistake(key+".path", "the server "+other+" has the same path", "give each server a path of its own")
	}
	paths[path] = name
	for _, reserved := range reservedPaths() {
		if path == reserved || strings.HasPrefix(path, reserved+"/") {
			c.mistake(key+".path", reserved+" is Genkan's own", "choose another path")
		}
	}
}

func (c *checker) checkServerCredential(key string, s Server) {
	credential := s.Credential
	c.oneOf(key+".credential", credential.Kind, "none", "identity", "on_behalf_of", "application", "header")
	if credential.Kind == "header" && (credential.Header.Name == "" || credential.Header.Value.IsZero()) {
		c.mistake(key+".credential.header", "it needs a name and a value", `write {header: {name: X-Api-Key, value: "${API_KEY}"}}`)
	}
	if credential.Kind == "on_behalf_of" && len(credential.OnBehalfOf) == 0 {
		c.mistake(key+".credential.on_behalf_of", "it names no scope", "write scopes with their full name, such as [https://graph.microsoft.com/User.Read]")
	}
	if credential.Kind == "application" && credential.Application == "" {
		c.mistake(key+".credential.application", "it names no API", "write the application ID URI, such as https://search.azure.com")
	}
	if len(s.Command.Run) > 0 && credential.Kind != "none" {
		c.mistake(key+".credential", "a command can't be shown a credential", "use none; command.identity_variable tells a process whose it is")
	}
}

func (c *checker) checkResource(key string, r Resource) {
	c.guid(key+".resource.client_id", r.ClientID, "the application (client) ID of the API that the tokens are for")
	if len(r.Clients) == 0 {
		c.mistake(key+".resource.clients", "no client may call", "list the client IDs that may, or vscode and azure-cli by name")
	}
	for i, client := range r.Clients {
		if _, known := KnownClients()[client]; !known {
			c.guid(fmt.Sprintf("%s.resource.clients[%d]", key, i), client, "a client ID, vscode or azure-cli")
		}
	}
}

// KnownClients are Microsoft's public clients that have a name here.
func KnownClients() map[string]string {
	return map[string]string{"vscode": "aebc6443-996d-45c2-90f0-388ff96faa56", "azure-cli": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"}
}

func (c *checker) checkRules(key string, rules []policy.Rule) {
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		c.mistake(key+".rules", "conditions can't be compiled: "+err.Error(), "report it: this is a mistake of Genkan's")
		return
	}
	_, err = policy.Compile(rules, compiler.Compile)
	var mistakes policy.Mistakes
	if !errors.As(err, &mistakes) {
		return
	}
	for _, m := range mistakes {
		at := fmt.Sprintf("%s.rules[%d]", key, m.Rule)
		if m.Field != "" {
			at += "." + m.Field
		}
		c.mistake(at, m.Problem, m.Remedy)
	}
}

// reservedPaths are the addresses that no server may take.
func reservedPaths() []string {
	return []string{"/authorize", "/consent", "/callback", "/token", "/register", "/revoke", "/introspect", "/jwks",
		"/.well-known", "/console", "/healthz", "/readyz", "/assets"}
}
