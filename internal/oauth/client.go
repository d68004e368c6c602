package oauth

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Ways in which a client authenticates at the token endpoint (RFC 7591 §2, RFC 7523 §2.2).
const (
	AuthNone          = "none"
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Grant types (RFC 6749 §4, §6).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// The bounds of client metadata.
const (
	MaxClientMetadata = 64 << 10 // bytes in a registration
	MaxClientDocument = 5 << 10  // bytes in a client ID metadata document (its draft, §6.6)
	maxClientName     = 120      // characters that a person can still read on one page
	maxRedirects      = 20
)

// ClientMetadata is what a client says of itself, in a registration (RFC 7591 §2) or in a client ID metadata
// document. Nobody has checked any of it but its form.
type ClientMetadata struct {
	ClientID        string         `json:"client_id,omitempty"` // in a document only
	ClientName      string         `json:"client_name,omitempty"`
	RedirectURIs    []string       `json:"redirect_uris,omitempty"`
	GrantTypes      []string       `json:"grant_types,omitempty"`
	ResponseTypes   []string       `json:"response_types,omitempty"`
	AuthMethod      string         `json:"token_endpoint_auth_method,omitempty"`
	AuthSigningAlg  string         `json:"token_endpoint_auth_signing_alg,omitempty"`
	Scope           string         `json:"scope,omitempty"`
	ApplicationType string         `json:"application_type,omitempty"`
	ClientURI       string         `json:"client_uri,omitempty"`
	LogoURI         string         `json:"logo_uri,omitempty"`
	TOSURI          string         `json:"tos_uri,omitempty"`
	PolicyURI       string         `json:"policy_uri,omitempty"`
	Contacts        []string       `json:"contacts,omitempty"`
	SoftwareID      string         `json:"software_id,omitempty"`
	SoftwareVersion string         `json:"software_version,omitempty"`
	JWKSURI         string         `json:"jwks_uri,omitempty"`
	JWKS            jsontext.Value `json:"jwks,omitempty"`
}

// ClientInformation is the answer to a registration (RFC 7591 §3.2.1).
type ClientInformation struct {
	ClientMetadata
	ClientIDIssuedAt int64 `json:"client_id_issued_at,omitzero"`
	// ClientSecret is shown once and stored as a hash only.
	ClientSecret          string `json:"client_secret,omitempty"`
	ClientSecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"` // required beside a secret; 0: never
}

// ParseClientMetadata reads the body of a registration and fills in what RFC 7591 §2 says of members that are
// missing. Redirect URIs may use appSchemes beside the usual ones.
func ParseClientMetadata(raw []byte, appSchemes ...string) (ClientMetadata, error) {
	m, err := decodeClient(raw, MaxClientMetadata)
	if err != nil {
		return ClientMetadata{}, err
	}
	m.ClientID = ""
	if m.AuthMethod == "" {
		m.AuthMethod = AuthBasic
	}
	if err := m.check(appSchemes); err != nil {
		return ClientMetadata{}, err
	}
	if !slices.Contains([]string{AuthNone, AuthBasic, AuthPost, AuthPrivateKeyJWT}, m.AuthMethod) {
		return ClientMetadata{}, Refuse(InvalidClientMetadata, "token_endpoint_auth_method is not supported")
	}
	return m, m.checkKeys()
}

// ParseClientDocument reads a client ID metadata document that was found at address. Its client_id must
// equal the address byte by byte; it has a name and redirect URIs; and it holds no secret, since everybody
// can read it.
func ParseClientDocument(address string, raw []byte, appSchemes ...string) (ClientMetadata, error) {
	m, err := decodeClient(raw, MaxClientDocument)
	if err != nil {
		return ClientMetadata{}, err
	}
	if m.ClientID != address {
		return ClientMetadata{}, Refuse(InvalidClientMetadata, "the client_id in the document is not the document's address")
	}
	if m.ClientName == "" {
		return ClientMetadata{}, Refuse(InvalidClientMetadata, "the document has no client_name")
	}
	if err := refuseSecrets(raw); err != nil {
		return ClientMetadata{}, err
	}
	if m.AuthMethod == "" {
		m.AuthMethod = AuthNone
	}
	if err := m.check(appSchemes); err != nil {
		return ClientMetadata{}, err
	}
	if m.AuthMethod != AuthNone && m.AuthMethod != AuthPrivateKeyJWT {
		return ClientMetadata{}, Refuse(InvalidClientMetadata, "a document can't use a shared secret; token_endpoint_auth_method must be none or private_key_jwt")
	}
	return m, m.checkKeys()
}

// CheckClientIDURL judges whether a client_id can be the address of a document: https, a host, a path, no
// dot segments, no fragment, no user information.
func CheckClientIDURL(raw string) error {
	refused := Refuse(InvalidClient, "the client_id is no address of a client ID metadata document")
	if len(raw) > maxURI || !isVisibleASCII(raw) || strings.ContainsAny(raw, "\\#@<>\"`{}|^*") {
		return refused
	}
	u, err := url.Parse(raw)
	if err != nil || !strings.HasPrefix(raw, "https://") || u.User != nil || !isHost(u.Hostname()) || !portOK(u) {
		return refused
	}
	if len(u.Path) < 2 || u.String() != raw {
		return refused
	}
	// Decoded once, so that %2e%2e is a dot segment too.
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return refused
		}
	}
	return nil
}

// IsClientIDURL says whether a client_id means to be a document's address. Whether it is a good one is
// CheckClientIDURL's business.
func IsClientIDURL(id string) bool { return strings.Contains(id, "://") }

func decodeClient(raw []byte, limit int) (ClientMetadata, error) {
	var m ClientMetadata
	if len(raw) > limit {
		return m, Refuse(InvalidClientMetadata, "the client metadata is too large")
	}
	// A key given twice, a key in another case and broken UTF-8 are refused here.
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, Refuse(InvalidClientMetadata, "the client metadata is not one well-formed JSON object").Because(err)
	}
	return m, nil
}

func (m *ClientMetadata) check(appSchemes []string) error {
	if err := m.checkText(); err != nil {
		return err
	}
	if err := m.checkGrants(); err != nil {
		return err
	}
	if len(m.RedirectURIs) == 0 {
		return Refuse(InvalidRedirectURI, "at least one redirect URI is needed")
	}
	if len(m.RedirectURIs) > maxRedirects {
		return Refuse(InvalidRedirectURI, "there are more than %d redirect URIs", maxRedirects)
	}
	for _, uri := range m.RedirectURIs {
		if _, err := ParseRedirect(uri, appSchemes...); err != nil {
			return err
		}
	}
	if _, err := ParseScope(m.Scope); err != nil {
		return Refuse(InvalidClientMetadata, "the scope is malformed")
	}
	return nil
}

func (m *ClientMetadata) checkText() error {
	if utf8.RuneCountInString(m.ClientName) > maxClientName {
		return Refuse(InvalidClientMetadata, "client_name is longer than %d characters", maxClientName)
	}
	m.ClientName = strings.TrimSpace(m.ClientName)
	texts := append([]string{m.ClientName, m.SoftwareID, m.SoftwareVersion, m.ApplicationType}, m.Contacts...)
	for _, text := range texts {
		if len(text) > maxURI || strings.ContainsFunc(text, misleads) {
			return Refuse(InvalidClientMetadata, "a text holds control or direction characters, or is too long")
		}
	}
	for _, address := range []string{m.ClientURI, m.LogoURI, m.TOSURI, m.PolicyURI, m.JWKSURI} {
		if address != "" && CheckResource(address) != nil {
			return Refuse(InvalidClientMetadata, "an address in the client metadata is not an absolute web address")
		}
	}
	return nil
}

// checkGrants keeps what Genkan can do of what the client asked for, as RFC 7591 §3.2.1 allows. A client that
// signs people in may always refresh.
func (m *ClientMetadata) checkGrants() error {
	if len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, GrantCode) {
		return Refuse(InvalidClientMetadata, "grant_types must hold authorization_code")
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return Refuse(InvalidClientMetadata, "response_types must hold code")
	}
	m.GrantTypes = []string{GrantCode, GrantRefresh}
	m.ResponseTypes = []string{"code"}
	return nil
}

// checkKeys demands public keys of a client that signs, and no private ones of anybody.
func (m *ClientMetadata) checkKeys() error {
	if m.AuthMethod == AuthPrivateKeyJWT && len(m.JWKS) == 0 {
		return Refuse(InvalidClientMetadata, "private_key_jwt needs the public keys in jwks")
	}
	if len(m.JWKS) == 0 {
		return nil
	}
	return CheckPublicKeys(m.JWKS)
}

// CheckPublicKeys judges a JWK set that a client published: keys with public members only (RFC 7517 §4,
// RFC 7518 §6), at most twenty.
func CheckPublicKeys(raw []byte) error {
	refused := Refuse(InvalidClientMetadata, "jwks must hold 1 to 20 public RSA, EC or OKP keys")
	var set struct {
		Keys []map[string]jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) == 0 || len(set.Keys) > 20 {
		return refused
	}
	for _, key := range set.Keys {
		var kty string
		if json.Unmarshal(key["kty"], &kty) != nil || !slices.Contains([]string{"RSA", "EC", "OKP"}, kty) {
			return refused
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, found := key[private]; found {
				return Refuse(InvalidClientMetadata, "jwks holds a private key")
			}
		}
	}
	return nil
}

// refuseSecrets finds the members that must not stand in a public document.
func refuseSecrets(raw []byte) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return Refuse(InvalidClientMetadata, "the document is not one well-formed JSON object")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at", "registration_access_token"} {
		if _, found := members[name]; found {
			return Refuse(InvalidClientMetadata, "the document holds %s", name)
		}
	}
	return nil
}

// misleads finds characters that make a text look like another: controls, line breaks, and those that turn
// the direction of writing (Unicode UAX #9).
func misleads(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) || r == utf8.RuneError || r == '\ufeff'
}
