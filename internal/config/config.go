// Package config turns a YAML file and the environment into one validated value. Every mistake is
// reported at once, each with its line, its key and what to do about it; an unknown key is a mistake.
package config

import (
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// Config is everything that a user may say. Load returns it with all defaults filled in.
type Config struct {
	// PublicURL is the address that clients and browsers use, and the OAuth issuer.
	PublicURL string `yaml:"public_url"`
	// Listen is the address to listen on, host:port. Default: 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Data is the folder for the store, the key file and the audit log. Default: "data".
	Data string `yaml:"data"`
	// Entra says which tenant vouches for people, and as whom Genkan asks it.
	Entra Entra `yaml:"entra"`
	// Servers are the MCP servers behind the door, by name.
	Servers map[string]Server `yaml:"servers"`
	// Log shapes the log on standard error.
	Log Log `yaml:"log"`
	// Metrics serves Prometheus metrics on a listener of its own.
	Metrics Metrics `yaml:"metrics"`
}

// Entra is the app registration that stands for Genkan in one tenant.
type Entra struct {
	// Tenant is the tenant's GUID.
	Tenant string `yaml:"tenant"`
	// ClientID is the application (client) ID of the app registration, a GUID.
	ClientID string `yaml:"client_id"`
	// Credential proves to Entra that Genkan is that application.
	Credential Credential `yaml:"credential"`
	// Cloud is "public" (default), "us_government" or "china".
	Cloud string `yaml:"cloud"`
	// Authority replaces the cloud's sign-in address by a dev tenant on loopback. For development only.
	Authority string `yaml:"authority"`
}

// Credential holds exactly one way to prove who Genkan is.
type Credential struct {
	// Secret is a client secret. Microsoft advises against it in production.
	Secret secret.Text `yaml:"secret"`
	// Certificate is a PEM file with a certificate and its private key, read anew when it changes.
	Certificate string `yaml:"certificate"`
	// ManagedIdentity is "system", or the client ID of a user-assigned managed identity, which is a
	// federated credential of the app registration.
	ManagedIdentity string `yaml:"managed_identity"`
	// WorkloadIdentity is the file with a Kubernetes service account token.
	WorkloadIdentity string `yaml:"workload_identity"`
}

// Server is one MCP server behind the door.
type Server struct {
	// Title is what people read on the consent page. Default: the server's name.
	Title string `yaml:"title"`
	// Description is one sentence for the consent page.
	Description string `yaml:"description"`
	// URL is the upstream's streamable HTTP address.
	URL string `yaml:"url"`
	// Path is where the server stands under PublicURL. Default: "/NAME/mcp".
	Path string `yaml:"path"`
	// Scopes are the scopes of the server beside "mcp", each with a sentence for the consent page.
	Scopes map[string]string `yaml:"scopes"`
	// Credential is what the door shows the upstream: "none" (default) or "identity".
	Credential string `yaml:"credential"`
	// Rules say who may use what. Without a rule that allows it, nothing may be used.
	Rules []policy.Rule `yaml:"rules"`
}

// Log shapes the log.
type Log struct {
	// Level is "debug", "info" (default), "warn" or "error".
	Level string `yaml:"level"`
	// Format is "json" (default) or "text".
	Format string `yaml:"format"`
}

// Metrics says where Prometheus may scrape.
type Metrics struct {
	// Listen is host:port; empty: no metrics are served.
	Listen string `yaml:"listen"`
}

// ShutdownGrace is how long a drain waits for requests that are under way.
const ShutdownGrace = 10 * time.Second
