package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// metadataPrefix is where protected resources describe themselves (RFC 9728 §3).
const metadataPrefix = "/.well-known/oauth-protected-resource"

// metadataPath puts the well-known part between host and path (RFC 9728 §3.1).
func metadataPath(resource string) string {
	if resource == "/" {
		resource = ""
	}
	return metadataPrefix + resource
}

func metadataURL(resource *url.URL) string {
	return resource.Scheme + "://" + resource.Host + metadataPath(resource.EscapedPath())
}

// describe makes the metadata of a server at one of its addresses.
func describe(s Server, at *url.URL) (*address, error) {
	scopes := slices.Clone(s.AskScopes)
	for _, scope := range s.Rules.Scopes() {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	document, err := json.Marshal(oauth.ResourceMetadata{
		Resource:               at.String(),
		AuthorizationServers:   s.AuthorizationServers,
		ScopesSupported:        scopes,
		BearerMethodsSupported: []string{"header"},
		ResourceName:           s.Title,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: server %q: metadata: %w", s.Name, err)
	}
	return &address{resource: at.String(), metadataURL: metadataURL(at), metadata: document}, nil
}

// serveMetadata answers with the protected resource metadata. It is public, and any web page may read it.
func (x *exchange) serveMetadata() error {
	x.quiet = true
	h := x.w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch x.r.Method {
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Mcp-Protocol-Version")
		x.writeHead(http.StatusNoContent)
		return nil
	case http.MethodGet, http.MethodHead:
	default:
		return x.methodNotAllowed()
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	x.writeHead(http.StatusOK)
	if x.r.Method == http.MethodGet {
		_, _ = x.w.Write(x.at.metadata) //nolint:gosec // JSON of our own, and nosniff
	}
	return nil
}
