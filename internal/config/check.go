package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// checker gathers mistakes, and knows on which line each key stands.
type checker struct {
	root *yaml.Node
	list []Mistake
}

func (cfg *Config) fillDefaults() {
	setDefault(&cfg.Listen, "127.0.0.1:8080")
	setDefault(&cfg.Data, "data")
	setDefault(&cfg.Entra.Cloud, "public")
	setDefault(&cfg.Log.Level, "info")
	setDefault(&cfg.Log.Format, "json")
	for name, server := range cfg.Servers {
		setDefault(&server.Title, name)
		setDefault(&server.Path, "/"+name+"/mcp")
		setDefault(&server.Credential, "none")
		cfg.Servers[name] = server
	}
}

func setDefault(value *string, otherwise string) {
	if *value == "" {
		*value = otherwise
	}
}

func (c *checker) check(cfg *Config) {
	c.checkAddresses(cfg)
	c.checkEntra(cfg.Entra)
	c.oneOf("log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", cfg.Log.Format, "json", "text")
	if len(cfg.Servers) == 0 {
		c.mistake("servers", "there is no server", "name at least one MCP server with its url and rules")
	}
	paths := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Servers)) {
		c.checkServer(name, cfg.Servers[name], paths)
	}
}

func (c *checker) checkAddresses(cfg *Config) {
	u, err := url.Parse(cfg.PublicURL)
	switch {
	case cfg.PublicURL == "":
		c.mistake("public_url", "it is missing", "say the address that clients will use, such as https://mcp.contoso.com")
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		c.mistake("public_url", "it is no web address", "write it like https://mcp.contoso.com")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		c.mistake("public_url", "it has more than a scheme, a host and a port", "leave out the path, a trailing slash, the query and user names")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		c.mistake("public_url", "http is only for loopback", "use https: tokens must not travel in the clear")
	case strings.ToLower(u.Host) != u.Host:
		c.mistake("public_url", "the host has capital letters", "write the host in lower case: clients compare addresses letter by letter")
	}
	c.checkListen("listen", cfg.Listen)
	if cfg.Metrics.Listen != "" {
		c.checkListen("metrics.listen", cfg.Metrics.Listen)
	}
}

func (c *checker) checkListen(key, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		c.mistake(key, fmt.Sprintf("%q is no address to listen on", address), "write host:port, such as 127.0.0.1:8080 or :8080")
	}
}

func (c *checker) checkEntra(e Entra) {
	c.guid("entra.tenant", e.Tenant, "the directory (tenant) ID from the Entra portal's overview page")
	c.guid("entra.client_id", e.ClientID, "the application (client) ID of Genkan's app registration")
	c.oneOf("entra.cloud", e.Cloud, "public", "us_government", "china")
	if e.Authority != "" {
		u, err := url.Parse(e.Authority)
		if err != nil || u.Host == "" || u.Path != "" || !loopback(u.Hostname()) {
			c.mistake("entra.authority", "it is no loopback address", "use it for the dev tenant only, such as http://localhost:8081; for a real tenant leave it out")
		}
	}
	given := 0
	for _, set := range []bool{!e.Credential.Secret.IsZero(), e.Credential.Certificate != "", e.Credential.ManagedIdentity != "", e.Credential.WorkloadIdentity != ""} {
		if set {
			given++
		}
	}
	switch {
	case given == 0:
		c.mistake("entra.credential", "there is none", "give one of managed_identity, workload_identity, certificate or secret")
	case given > 1:
		c.mistake("entra.credential", fmt.Sprintf("there are %d", given), "give exactly one of managed_identity, workload_identity, certificate or secret")
	}
}

func (c *checker) checkServer(name string, s Server, paths map[string]string) {
	key := "servers." + name
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name) {
		c.mistake(key, "the name can't stand in an address", "use lower-case letters, digits and dashes, at most 63")
	}
	u, err := url.Parse(s.URL)
	switch {
	case s.URL == "":
		c.mistake(key+".url", "it is missing", "say where the MCP server listens, such as http://weather:8080/mcp")
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Fragment != "":
		c.mistake(key+".url", "it is no web address", "write it like http://weather:8080/mcp, without user name or fragment")
	}
	if !regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`).MatchString(s.Path) || strings.Contains(s.Path, "/.") {
		c.mistake(key+".path", fmt.Sprintf("%q is no plain path", s.Path), "start with a slash, end without one, and use letters, digits, dots and dashes")
	}
	if other, taken := paths[s.Path]; taken {
		c.mistake(key+".path", "the server "+other+" has the same path", "give each server a path of its own")
	}
	paths[s.Path] = name
	for _, reserved := range reservedPaths() {
		if s.Path == reserved || strings.HasPrefix(s.Path, reserved+"/") {
			c.mistake(key+".path", reserved+" is Genkan's own", "choose another path")
		}
	}
	c.oneOf(key+".credential", s.Credential, "none", "identity")
	for scope := range s.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			c.mistake(key+".scopes", fmt.Sprintf("%q is no scope", scope), "use printable ASCII without spaces, quotes and backslashes")
		}
	}
	c.checkRules(key, s.Rules)
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

func (c *checker) guid(key, value, where string) {
	if value == "" {
		c.mistake(key, "it is missing", "it is "+where)
		return
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(value) {
		c.mistake(key, "it is no GUID in lower case", "it is "+where)
	}
}

func (c *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.mistake(key, fmt.Sprintf("%q is not known", value), "use one of "+strings.Join(allowed, ", "))
	}
}

func (c *checker) mistake(key, what, remedy string) {
	c.list = append(c.list, Mistake{Line: c.line(key), Key: key, What: what, Remedy: remedy})
}

// line finds where a key stands, or its nearest parent that is there. A key is a path such as servers.weather.rules[1].allow.
func (c *checker) line(key string) int {
	node, line := c.root, 0
	for _, part := range strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next *yaml.Node
		switch node.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == part {
					line, next = node.Content[i].Line, node.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i < len(node.Content) {
				line, next = node.Content[i].Line, node.Content[i]
			}
		default: // nothing below
		}
		if next == nil {
			return line
		}
		node = next
	}
	return line
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
