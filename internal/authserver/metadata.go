package authserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// Where the metadata stands (RFC 8414 §3, OpenID Connect Discovery §4).
const (
	metadataPath = "/.well-known/oauth-authorization-server"
	openIDPath   = "/.well-known/openid-configuration"
)

// serveMetadata answers at both well-known paths, and for clients that take a server's address for the issuer
// (those of 2025-03-26) at the server's path below them. Such a client can't name the server by a resource
// parameter either, so its authorize address does.
func (a *AuthServer) serveMetadata(w http.ResponseWriter, r *http.Request) error {
	m := a.metadata()
	if path := r.PathValue("path"); path != "" {
		i := slices.IndexFunc(a.Servers, func(s Server) bool { return pathOf(s.Resource) == "/"+path })
		if i < 0 {
			return &oauth.Error{Code: oauth.InvalidRequest, HTTPStatus: http.StatusNotFound, Description: "there is no server at this path"}
		}
		m.AuthorizationEndpoint += "?server=" + url.QueryEscape(a.Servers[i].Name)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return writeJSON(w, http.StatusOK, m)
}

func (a *AuthServer) metadata() oauth.ServerMetadata {
	secrets := []string{oauth.AuthBasic, oauth.AuthPost, oauth.AuthPrivateKeyJWT}
	everybody := append([]string{oauth.AuthNone}, secrets...)
	m := oauth.ServerMetadata{
		Issuer:                          a.Issuer,
		AuthorizationEndpoint:           a.Issuer + "/authorize",
		TokenEndpoint:                   a.Issuer + "/token",
		JWKSURI:                         a.Issuer + "/jwks",
		RevocationEndpoint:              a.Issuer + "/revoke",
		IntrospectionEndpoint:           a.Issuer + "/introspect",
		ScopesSupported:                 a.allScopes(),
		ResponseTypesSupported:          []string{"code"},
		ResponseModesSupported:          []string{"query"},
		GrantTypesSupported:             []string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantClientCredentials},
		PromptValuesSupported:           []string{"login", "consent", "select_account"},
		CodeChallengeMethodsSupported:   []string{oauth.S256},
		TokenAuthMethodsSupported:       everybody,
		TokenAuthSigningAlgsSupported:   assertionAlgorithms(),
		RevocationAuthMethodsSupported:  everybody,
		RevocationAuthAlgsSupported:     assertionAlgorithms(),
		IntrospectAuthMethodsSupported:  secrets,
		IntrospectAuthAlgsSupported:     assertionAlgorithms(),
		SubjectTypesSupported:           []string{"public"},
		IDTokenSigningAlgsSupported:     []string{"ES256"},
		IssParameterSupported:           true,
		ClientIDMetadataDocumentSupport: !a.Documents.Off,
	}
	if !a.Registration.Off {
		m.RegistrationEndpoint = a.Issuer + "/register"
	}
	for _, s := range a.Servers {
		m.ProtectedResources = append(m.ProtectedResources, s.Resource)
	}
	return m
}

func (a *AuthServer) allScopes() []string {
	var all []string
	for _, s := range a.Servers {
		for _, name := range s.scopeNames() {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// serveKeys shows the public keys with which servers behind check the identities that the gateway signs.
func (a *AuthServer) serveKeys(w http.ResponseWriter, _ *http.Request) error {
	set := a.Keys()
	if set.Keys == nil {
		set.Keys = []jwk{}
	}
	for _, key := range set.Keys {
		if !key.IsPublic() {
			return oauth.Refuse(oauth.ServerError, "the keys can't be shown")
		}
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return writeJSON(w, http.StatusOK, set)
}

func pathOf(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}
