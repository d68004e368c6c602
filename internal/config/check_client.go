package config

import (
	"encoding/hex"
	"fmt"
)

// checkClients looks at the clients that the configuration knows, and at how others become known.
func (c *checker) checkClients(cfg *Config) {
	seen := map[string]bool{}
	for i, client := range cfg.Clients {
		key := fmt.Sprintf("clients[%d]", i)
		if client.ID == "" || seen[client.ID] {
			c.mistake(key+".id", "it is missing or given twice", "give each client an ID of its own")
		}
		seen[client.ID] = true
		c.checkClient(key, client, cfg.Servers)
	}
	c.oneOf("registration.dynamic", cfg.Registration.Dynamic, "open", "token", "off")
	if (cfg.Registration.Dynamic == "token") == cfg.Registration.Token.IsZero() {
		c.mistake("registration.token", "dynamic: token and a token belong together", "give both, or neither")
	}
}

func (c *checker) checkClient(key string, client Client, servers map[string]Server) {
	if hash, err := hex.DecodeString(client.SecretHash); client.SecretHash != "" && (err != nil || len(hash) != 32) {
		c.mistake(key+".secret_hash", "it is no SHA-256 in hexadecimal", "compute it: printf %s SECRET | sha256sum")
	}
	if client.SecretHash != "" && client.Keys != "" {
		c.mistake(key, "it has a secret and keys", "give one of secret_hash and keys")
	}
	if client.Application != "" {
		c.guid(key+".application", client.Application, "the object ID that rules know the client by")
		if client.SecretHash == "" && client.Keys == "" {
			c.mistake(key, "a client that acts for itself must prove who it is", "give secret_hash or keys")
		}
	}
	if _, known := servers[client.Introspects]; client.Introspects != "" && !known {
		c.mistake(key+".introspects", "there is no such server", "name one of servers")
	}
}
