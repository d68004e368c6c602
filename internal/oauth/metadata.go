package oauth

// ServerMetadata describes an authorization server (RFC 8414 §2, RFC 9207 §3, and the drafts that MCP
// names). It is served at both well-known paths, so it also holds the members that OpenID Connect Discovery
// §3 requires.
type ServerMetadata struct {
	Issuer                          string   `json:"issuer"`
	AuthorizationEndpoint           string   `json:"authorization_endpoint"`
	TokenEndpoint                   string   `json:"token_endpoint"`
	JWKSURI                         string   `json:"jwks_uri,omitempty"`
	RegistrationEndpoint            string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint              string   `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint           string   `json:"introspection_endpoint,omitempty"`
	ScopesSupported                 []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported          []string `json:"response_types_supported"`
	ResponseModesSupported          []string `json:"response_modes_supported,omitempty"`
	GrantTypesSupported             []string `json:"grant_types_supported,omitempty"`
	PromptValuesSupported           []string `json:"prompt_values_supported,omitempty"`
	CodeChallengeMethodsSupported   []string `json:"code_challenge_methods_supported"`
	TokenAuthMethodsSupported       []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAuthSigningAlgsSupported   []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthMethodsSupported  []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationAuthAlgsSupported     []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectAuthMethodsSupported  []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectAuthAlgsSupported     []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	SubjectTypesSupported           []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgsSupported     []string `json:"id_token_signing_alg_values_supported,omitempty"`
	ServiceDocumentation            string   `json:"service_documentation,omitempty"`
	ProtectedResources              []string `json:"protected_resources,omitempty"`
	IssParameterSupported           bool     `json:"authorization_response_iss_parameter_supported"`
	ClientIDMetadataDocumentSupport bool     `json:"client_id_metadata_document_supported"`
}

// ResourceMetadata describes a protected resource, which is a server behind the door (RFC 9728 §2).
type ResourceMetadata struct {
	Resource                  string   `json:"resource"`
	AuthorizationServers      []string `json:"authorization_servers"`
	ScopesSupported           []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported    []string `json:"bearer_methods_supported"`
	ResourceName              string   `json:"resource_name,omitempty"`
	ResourceDocumentation     string   `json:"resource_documentation,omitempty"`
	JWKSURI                   string   `json:"jwks_uri,omitempty"`
	ResourceSigningAlgsForJWT []string `json:"resource_signing_alg_values_supported,omitempty"`
}
