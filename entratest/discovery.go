package entratest

import (
	"net/http"
	"net/url"
	"strings"
)

// metadata is Entra's discovery document. What is not in it is as telling as what is: no
// code_challenge_methods_supported, no registration_endpoint, no revocation, no introspection.
type metadata struct {
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	Scopes                []string `json:"scopes_supported,omitempty"`
	Issuer                string   `json:"issuer"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	HTTPLogout            bool     `json:"http_logout_supported"`
	FrontchannelLogout    bool     `json:"frontchannel_logout_supported"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Claims                []string `json:"claims_supported"`
	KerberosEndpoint      string   `json:"kerberos_endpoint"`
	RegionScope           *string  `json:"tenant_region_scope"`
	CloudName             string   `json:"cloud_instance_name"`
	CloudGraphHost        string   `json:"cloud_graph_host_name"`
	GraphHost             string   `json:"msgraph_host"`
	RBACURL               string   `json:"rbac_url"`
}

// literalTenant stands for the token's tenant in the issuer of common and organizations.
const literalTenant = "{tenantid}"

func (t *Tenant) discovery(w http.ResponseWriter, r *http.Request) error {
	allowOrigin(w, r)
	if no := t.knownTenant(r); no != nil {
		return no
	}
	base, name := t.base(r), strings.ToLower(r.PathValue("tenant"))
	issuerTenant, region := t.TenantID, new(string)
	*region = "WW"
	if t.anyTenant(name) {
		issuerTenant, region = literalTenant, nil
	} else {
		name = t.TenantID
	}
	version, issuer := "", issuerV1(issuerTenant)
	if v2(r) {
		version, issuer = "/v2.0", issuerV2(base, issuerTenant)
	}
	oauth := base + "/" + name + "/oauth2" + version
	doc := metadata{
		TokenEndpoint: oauth + "/token", AuthorizationEndpoint: oauth + "/authorize",
		DeviceEndpoint: oauth + "/devicecode", EndSessionEndpoint: oauth + "/logout",
		JWKSURI:          base + "/" + name + "/discovery" + version + "/keys",
		UserinfoEndpoint: base + "/oidc/userinfo",
		KerberosEndpoint: base + "/" + name + "/kerberos",
		Issuer:           issuer,
		TokenAuthMethods: []string{"client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth"},
		ResponseModes:    []string{"query", "fragment", "form_post"},
		SubjectTypes:     []string{"pairwise"}, SigningAlgorithms: []string{"RS256"},
		ResponseTypes: []string{"code", "id_token", "code id_token", "id_token token"},
		Scopes:        []string{"openid", "profile", "email", "offline_access"},
		Claims: []string{"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
			"msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid",
			"ver", "at_hash", "c_hash", "email"},
		HTTPLogout: true, FrontchannelLogout: true, RegionScope: region,
		CloudName: "microsoftonline.com", CloudGraphHost: "graph.windows.net",
		GraphHost: "graph.microsoft.com", RBACURL: "https://pas.windows.net",
	}
	writeJSON(w, http.StatusOK, doc)
	return nil
}

// v2 says whether a request came to one of the v2.0 endpoints.
func v2(r *http.Request) bool { return strings.Contains(r.URL.Path, "/v2.0/") }

func issuerV1(tenant string) string       { return "https://sts.windows.net/" + tenant + "/" }
func issuerV2(base, tenant string) string { return base + "/" + tenant + "/v2.0" }

func (t *Tenant) keySet(w http.ResponseWriter, r *http.Request) error {
	allowOrigin(w, r)
	if no := t.knownTenant(r); no != nil {
		return no
	}
	tenant := t.TenantID
	if t.anyTenant(r.PathValue("tenant")) {
		tenant = literalTenant
	}
	issuer := issuerV2(t.base(r), tenant)
	t.mu.Lock()
	keys := make([]jwk, 0, len(t.keys))
	for _, k := range t.keys {
		keys = append(keys, k.jwk(issuer))
	}
	t.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
	return nil
}

// instance tells MSAL which hosts belong to the same cloud.
func (t *Tenant) instance(w http.ResponseWriter, r *http.Request) error {
	base := t.base(r)
	here, err := url.Parse(base)
	if err != nil {
		return err
	}
	asked, err := url.Parse(r.FormValue("authorization_endpoint"))
	if err != nil || asked.Host == "" {
		return refuse(50049)
	}
	if !strings.EqualFold(asked.Host, here.Host) && !strings.EqualFold(asked.Host, r.Host) {
		return refuse(50049)
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": base + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": here.Host, "preferred_cache": here.Host, "aliases": []string{here.Host},
		}},
	})
	return nil
}
