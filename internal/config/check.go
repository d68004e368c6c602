package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
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
	setDefault(&cfg.Registration.Dynamic, "open")
	setDefault(&cfg.Log.Level, "info")
	setDefault(&cfg.Log.Format, "json")
	if cfg.Traces.Ratio == 0 {
		cfg.Traces.Ratio = 0.1
	}
	if cfg.Keys.Vault == "" {
		setDefault(&cfg.Keys.File, filepath.Join(cfg.Data, "genkan.key"))
	}
	if len(cfg.Store.Redis.Addresses) == 0 {
		setDefault(&cfg.Store.SQLite, filepath.Join(cfg.Data, "genkan.db"))
	}
	for name, server := range cfg.Servers {
		setDefault(&server.Title, name)
		setDefault(&server.Mode, "facade")
		setDefault(&server.Path, "/"+name+"/mcp")
		setDefault(&server.Credential.Kind, "none")
		setDefault(&server.Resource.ClientID, cfg.Entra.ClientID)
		setDefault(&server.Resource.Scope, "access_as_user")
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
	c.checkProxies(cfg.Proxies)
	c.checkState(cfg)
	c.checkProvider(cfg)
	c.checkTokens(cfg.Tokens)
	c.checkClients(cfg)
	c.checkModel(cfg.Console.Model)
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
	if r := cfg.Traces.Ratio; r < 0 || r > 1 {
		c.mistake("traces.ratio", "it is no part of all requests", "give a number from 0 to 1")
	}
	c.checkTLS(cfg)
}

// checkTLS keeps tokens from travelling in the clear: http is served on loopback only, unless a proxy ends TLS.
func (c *checker) checkTLS(cfg *Config) {
	if (cfg.TLS.Certificate != "") != (cfg.TLS.Key != "") {
		c.mistake("tls", "a certificate and its key belong together", "give both tls.certificate and tls.key")
	}
	if cfg.TLS.Certificate != "" && cfg.TLS.ACME.Email != "" {
		c.mistake("tls", "there are two certificates", "give files, or acme")
	}
	encrypted := cfg.TLS.Encrypted()
	host, _, err := net.SplitHostPort(cfg.Listen)
	switch {
	case encrypted && cfg.Proxies.EndTLS:
		c.mistake("proxies.end_tls", "TLS ends in two places", "leave out tls, or end_tls")
	case encrypted && strings.HasPrefix(cfg.PublicURL, "http:"):
		c.mistake("public_url", "https is served, but the public address is http", "write https://")
	case !encrypted && !cfg.Proxies.EndTLS && err == nil && !loopback(host):
		c.mistake("listen", "http would be served to others in the clear", "give tls.certificate and tls.key, or say proxies.end_tls: true when a proxy ends TLS, or listen on 127.0.0.1")
	}
}

func (c *checker) checkProxies(p Proxies) {
	for i, cidr := range p.Trusted {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			c.mistake(fmt.Sprintf("proxies.trusted[%d]", i), fmt.Sprintf("%q is no range of addresses", cidr), "write it like 10.0.0.0/8 or 192.0.2.7/32")
		}
	}
	for i, origin := range p.Origins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			c.mistake(fmt.Sprintf("proxies.origins[%d]", i), fmt.Sprintf("%q is no origin", origin), "write scheme://host[:port], and nothing after it")
		}
	}
}

// checkState looks at where sessions and keys lie.
func (c *checker) checkState(cfg *Config) {
	if cfg.Store.SQLite != "" && len(cfg.Store.Redis.Addresses) > 0 {
		c.mistake("store", "there are two stores", "give sqlite or redis")
	}
	if len(cfg.Store.Redis.Addresses) == 0 && cfg.Store.Redis.Username+cfg.Store.Redis.Prefix+cfg.Store.Redis.Master != "" {
		c.mistake("store.redis.addresses", "it is missing", "say where Redis is, such as [redis:6379]")
	}
	if cfg.Keys.File != "" && cfg.Keys.Vault != "" {
		c.mistake("keys", "there are two", "give file or vault")
	}
	if u, err := url.Parse(cfg.Keys.Vault); cfg.Keys.Vault != "" && (err != nil || !vaultKey(u)) {
		c.mistake("keys.vault", "it is no key of a Key Vault", "write it like https://NAME.vault.azure.net/keys/KEY")
	}
}

func vaultKey(u *url.URL) bool {
	secure := u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
	return secure && regexp.MustCompile(`^/keys/[0-9A-Za-z-]{1,127}$`).MatchString(u.Path)
}

func (c *checker) checkTokens(t Tokens) {
	for key, d := range map[string]time.Duration{"access": t.Access, "session": t.Session, "idle": t.Idle} {
		if d < 0 || d > 0 && d < time.Minute {
			c.mistake("tokens."+key, "it is too short", "give at least 1m")
		}
	}
	if t.Access > 24*time.Hour {
		c.mistake("tokens.access", "a stolen token would live for days", "give at most 24h: clients refresh by themselves")
	}
}

func (c *checker) checkListen(key, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		c.mistake(key, fmt.Sprintf("%q is no address to listen on", address), "write host:port, such as 127.0.0.1:8080 or :8080")
	}
}

// checkProvider wants exactly one identity provider.
func (c *checker) checkProvider(cfg *Config) {
	o := cfg.OIDC
	if o.Issuer == "" {
		c.checkEntra(cfg.Entra)
		return
	}
	if cfg.Entra.Tenant != "" || cfg.Entra.ClientID != "" {
		c.mistake("oidc", "there are two identity providers", "give entra or oidc")
	}
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.RawQuery != "" || (u.Scheme != "https" && !loopback(u.Hostname())) {
		c.mistake("oidc.issuer", "it is no https address", "write the issuer as the provider's discovery document says it")
	}
	if o.ClientID == "" || o.Secret.IsZero() {
		c.mistake("oidc", "the client ID or the secret is missing", "register Genkan at the provider as a web application, with PUBLIC_URL/callback")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Servers)) {
		s := cfg.Servers[name]
		if s.Mode == "resource" || s.Credential.Kind == "on_behalf_of" || s.Credential.Kind == "application" {
			c.mistake("servers."+name, "it needs Entra, and oidc is the identity provider", "use mode facade, and credential none, identity or header")
		}
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

func (c *checker) checkModel(m Model) {
	if m == (Model{}) {
		return
	}
	if u, err := url.Parse(m.Endpoint); err != nil || u.Host == "" || (u.Scheme != "https" && !loopback(u.Hostname())) {
		c.mistake("console.model.endpoint", "it is no https address", "write it like https://api.openai.com/v1; http only on loopback")
	}
	if m.Name == "" {
		c.mistake("console.model.name", "it is missing", "name the model, or at Azure the deployment")
	}
	if m.ManagedIdentity != "" && m.AzureVersion == "" {
		c.mistake("console.model.azure_version", "it is missing", "say which API version of Azure OpenAI is spoken, such as 2024-10-21")
	}
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
