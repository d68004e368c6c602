package config

import "github.com/genkan-mcp/genkan/internal/secret"

// Client is an MCP client that the configuration knows. Without a secret hash or keys it is public.
type Client struct {
	ID           string   `yaml:"id"`
	Name         string   `yaml:"name"`
	RedirectURIs []string `yaml:"redirect_uris"`
	// SecretHash is the SHA-256 of its secret, in hexadecimal. The secret must be drawn at random.
	SecretHash string `yaml:"secret_hash"`
	// Keys is a file with its public keys (a JWK set), for private_key_jwt.
	Keys string `yaml:"keys"`
	// Application is the object ID that the client has when it acts for itself; its roles stand beside it.
	Application string   `yaml:"application"`
	Roles       []string `yaml:"roles"`
	// Introspects is the name of the server that this client is, if it may introspect tokens.
	Introspects string `yaml:"introspects"`
}

// Registration says how clients that the configuration does not know become known.
type Registration struct {
	// Dynamic is "open" (default), "token" or "off" (RFC 7591).
	Dynamic string `yaml:"dynamic"`
	// Token must be shown to register, where Dynamic is "token".
	Token secret.Text `yaml:"token"`
	// Documents says which client ID metadata documents are believed.
	Documents Documents `yaml:"documents"`
}

// Documents says which client ID metadata documents are believed.
type Documents struct {
	// Off: none is.
	Off bool `yaml:"off"`
	// Allow are domains, each with all below it; empty: every domain.
	Allow []string `yaml:"allow"`
	// Deny are domains that are never believed.
	Deny []string `yaml:"deny"`
}
