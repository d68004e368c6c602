// Package config turns a YAML file and the environment into one validated value. Every mistake is
// reported at once, each with its line, its key and what to do about it; an unknown key is a mistake.
package config

import (
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// Config is everything that a user may say. Load returns it with all defaults filled in.
type Config struct {
	// PublicURL is the address that clients and browsers use, and the OAuth issuer.
	PublicURL string `yaml:"public_url"`
	// Listen is the address to listen on, host:port. Default: 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// TLS says how https is served. Without it http is, and only on loopback or behind a proxy.
	TLS TLS `yaml:"tls"`
	// Proxies says which proxies stand in front.
	Proxies Proxies `yaml:"proxies"`
	// Data is the folder for the store, the key file and the audit log. Default: "data".
	Data string `yaml:"data"`
	// Store says where sessions are kept. Default: SQLite in Data.
	Store Store `yaml:"store"`
	// Keys says what wraps the keys under which tokens are sealed. Default: a key file in Data.
	Keys Keys `yaml:"keys"`
	// Entra says which tenant vouches for people, and as whom Genkan asks it.
	Entra Entra `yaml:"entra"`
	// OIDC is another identity provider in place of Entra.
	OIDC OIDC `yaml:"oidc"`
	// Tokens says how long sessions and their tokens live.
	Tokens Tokens `yaml:"tokens"`
	// Clients are MCP clients that need not register.
	Clients []Client `yaml:"clients"`
	// Registration says how other clients become known.
	Registration Registration `yaml:"registration"`
	// Servers are the MCP servers behind the door, by name.
	Servers map[string]Server `yaml:"servers"`
	// Console is the web pages for people and administrators.
	Console Console `yaml:"console"`
	// Audit says where events are written.
	Audit Audit `yaml:"audit"`
	// Log shapes the log on standard error.
	Log Log `yaml:"log"`
	// Metrics serves Prometheus metrics on a listener of its own.
	Metrics Metrics `yaml:"metrics"`
	// Traces sends OpenTelemetry traces.
	Traces Traces `yaml:"traces"`
}

// TLS says how https is served.
type TLS struct {
	// Certificate and Key are PEM files, read anew when they change.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ACME gets certificates for the host of PublicURL, in place of files. Genkan must be reached on port 443.
	ACME ACME `yaml:"acme"`
}

// Encrypted says whether https is served.
func (t TLS) Encrypted() bool { return t.Certificate != "" || t.ACME.Email != "" }

// ACME says where certificates come from.
type ACME struct {
	// Email is where the authority writes to; with it ACME is on.
	Email string `yaml:"email"`
	// Directory is the authority's directory URL. Default: Let's Encrypt.
	Directory string `yaml:"directory"`
}

// Proxies says which proxies stand in front, and what they do.
type Proxies struct {
	// EndTLS says that a proxy serves https in front of Genkan, which then listens for http anywhere.
	EndTLS bool `yaml:"end_tls"`
	// Trusted are the addresses (CIDR) whose X-Forwarded-For is believed.
	Trusted []string `yaml:"trusted"`
	// Hosts are further Host headers that lead here.
	Hosts []string `yaml:"hosts"`
	// Origins are web pages elsewhere that may call servers, as scheme://host[:port].
	Origins []string `yaml:"origins"`
}

// Store holds at most one place.
type Store struct {
	// SQLite is a file. Default: genkan.db in the data folder.
	SQLite string `yaml:"sqlite"`
	// Redis is a Redis or Valkey that several replicas share.
	Redis Redis `yaml:"redis"`
}

// Redis says where Redis is.
type Redis struct {
	Addresses []string    `yaml:"addresses"` // one server, nodes of a cluster, or sentinels
	Username  string      `yaml:"username"`
	Password  secret.Text `yaml:"password"`
	DB        int         `yaml:"db"`
	TLS       bool        `yaml:"tls"`
	Prefix    string      `yaml:"prefix"` // of every key; "genkan"
	Cluster   bool        `yaml:"cluster"`
	Master    string      `yaml:"master"`   // its name, behind sentinels
	Replicas  int         `yaml:"replicas"` // how many must have a change before it counts
}

// Keys says what wraps the keys under which tokens are sealed.
type Keys struct {
	// File is a file that only Genkan can read. Default: genkan.key in the data folder.
	File string `yaml:"file"`
	// Vault is the address of a key in Azure Key Vault: https://NAME.vault.azure.net/keys/KEY.
	Vault string `yaml:"vault"`
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

// OIDC is any OpenID Connect provider in place of Entra. Entra's tokens for other APIs, and the console, need Entra.
type OIDC struct {
	// Issuer is the provider's issuer URL.
	Issuer string `yaml:"issuer"`
	// ClientID and Secret are of Genkan's registration there.
	ClientID string      `yaml:"client_id"`
	Secret   secret.Text `yaml:"secret"`
	// Name is what people call the provider. Default: its host.
	Name string `yaml:"name"`
	// Scopes are asked for beside openid, profile and offline_access.
	Scopes []string `yaml:"scopes"`
	// Parameters are added to the authorization request.
	Parameters map[string]string `yaml:"parameters"`
	// Roles and Groups are the claims that hold them; dots lead into objects. Default: roles, groups.
	Roles  string `yaml:"roles"`
	Groups string `yaml:"groups"`
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

// Tokens says how long sessions and their tokens live.
type Tokens struct {
	// Access is the life of an access token. Default: 1h.
	Access time.Duration `yaml:"access"`
	// Session is the absolute end of a session. Default: 720h (30 days).
	Session time.Duration `yaml:"session"`
	// Idle ends a session that nobody refreshes for so long. Default: Session.
	Idle time.Duration `yaml:"idle"`
}

// Console is the web pages for people and administrators.
type Console struct {
	// Off serves none.
	Off bool `yaml:"off"`
	// AdminRole is the app role of those who administer Genkan. Empty: nobody does.
	AdminRole string `yaml:"admin_role"`
	// Model answers in the chat. Without one the built-in responder does, which is no model.
	Model Model `yaml:"model"`
}

// Model is a chat model that speaks OpenAI's chat completions.
type Model struct {
	// Endpoint is its address, such as https://api.openai.com/v1 or https://NAME.openai.azure.com.
	Endpoint string `yaml:"endpoint"`
	// Name is the model's; at Azure the deployment's.
	Name string `yaml:"name"`
	// Key is its API key.
	Key secret.Text `yaml:"key"`
	// AzureVersion makes the endpoint an Azure OpenAI resource, and says which API version is spoken.
	AzureVersion string `yaml:"azure_version"`
	// ManagedIdentity gets tokens for Azure OpenAI in place of a key: "system" or a client ID.
	ManagedIdentity string `yaml:"managed_identity"`
}

// Audit says where events are written, beside the file in the data folder.
type Audit struct {
	// Stdout also writes events to standard output, for a log collector.
	Stdout bool `yaml:"stdout"`
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

// Traces says where OpenTelemetry traces go.
type Traces struct {
	// Endpoint is where a collector takes OTLP over HTTP; empty: no traces are sent.
	Endpoint string `yaml:"endpoint"`
	// Ratio is the part of requests that is traced, 0 to 1. Default: 0.1.
	Ratio float64 `yaml:"ratio"`
}

// ShutdownGrace is how long a drain waits for requests that are under way.
const ShutdownGrace = 10 * time.Second
