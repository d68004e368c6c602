package entra

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Cloud is one of the clouds in which Entra runs. The zero Cloud is the public one.
type Cloud struct {
	authority string // no trailing slash
	issuerV1  string // no trailing slash
	graph     string // where Graph is reached, with its version
	resource  string // the resource of Graph's tokens
	exchange  string // the audience of federated credentials
}

// Public is the cloud that most tenants live in.
func Public() Cloud {
	return Cloud{
		authority: "https://login.microsoftonline.com",
		issuerV1:  "https://sts.windows.net",
		graph:     "https://graph.microsoft.com/v1.0",
		resource:  "https://graph.microsoft.com",
		exchange:  "api://AzureADTokenExchange",
	}
}

// USGovernment is the cloud of US government tenants.
func USGovernment() Cloud {
	return Cloud{
		authority: "https://login.microsoftonline.us",
		issuerV1:  "https://sts.windows.net",
		graph:     "https://graph.microsoft.us/v1.0",
		resource:  "https://graph.microsoft.us",
		exchange:  "api://AzureADTokenExchangeUSGov",
	}
}

// China is the cloud operated by 21Vianet.
func China() Cloud {
	return Cloud{
		authority: "https://login.partner.microsoftonline.cn",
		issuerV1:  "https://sts.chinacloudapi.cn",
		graph:     "https://microsoftgraph.chinacloudapi.cn/v1.0",
		resource:  "https://microsoftgraph.chinacloudapi.cn",
		exchange:  "api://AzureADTokenExchangeChina",
	}
}

// DevCloud is a tenant on your own machine at a base URL such as http://localhost:8081: Entra's endpoints
// stand there below the tenant ID, and Graph below /v1.0. Plain http is accepted on loopback only. Tokens
// for Graph still name https://graph.microsoft.com, and version 1 tokens still come from
// https://sts.windows.net, as they do in the public cloud.
func DevCloud(base string) (Cloud, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Cloud{}, errors.New("dev cloud: the base is not a URL such as http://localhost:8081")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return Cloud{}, fmt.Errorf("dev cloud %q: use http on loopback, or https", base)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return Cloud{}, fmt.Errorf("dev cloud %q: plain http is for loopback only; use https", base)
	case u.Host == "" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Cloud{}, fmt.Errorf("dev cloud %q: give scheme, host and port only", u.Redacted())
	case strings.Contains(u.Host, "token"):
		// MSAL finds the device code endpoint by replacing that word wherever it stands.
		return Cloud{}, fmt.Errorf("dev cloud %q: the host name must not contain the word token", base)
	}
	c := Public()
	c.authority = u.Scheme + "://" + strings.ToLower(u.Host)
	c.graph = c.authority + "/v1.0"
	return c, nil
}

// Authority is the base URL of Entra in this cloud, without a slash at its end.
func (c Cloud) Authority() string { return c.orPublic().authority }

// IssuerV1 is the issuer that a tenant's tokens of version 1 name.
func (c Cloud) IssuerV1(tenant string) string { return c.orPublic().issuerV1 + "/" + tenant + "/" }

// IssuerV2 is the issuer that a tenant's tokens of version 2 name.
func (c Cloud) IssuerV2(tenant string) string { return c.orPublic().authority + "/" + tenant + "/v2.0" }

// Graph is the base URL of Microsoft Graph in this cloud, with its version and without a slash at its end.
func (c Cloud) Graph() string { return c.orPublic().graph }

// GraphScope is the full name of a permission of Graph, such as https://graph.microsoft.com/User.Read.
// Entra resolves a bare name against Graph whatever was meant; a full name can't be mistaken.
func (c Cloud) GraphScope(permission string) string { return c.orPublic().resource + "/" + permission }

// AdminConsentURL is where an administrator of the tenant can grant an application what it asks for, for
// everybody.
func (c Cloud) AdminConsentURL(tenant, clientID string, scopes ...string) string {
	if len(scopes) == 0 {
		scopes = []string{".default"}
	}
	query := url.Values{"client_id": {clientID}, "scope": {strings.Join(scopes, " ")}}
	return c.Authority() + "/" + url.PathEscape(tenant) + "/v2.0/adminconsent?" + query.Encode()
}

func (c Cloud) orPublic() Cloud {
	if c.authority == "" {
		return Public()
	}
	return c
}

// plainHost is the host that is reached over plain http, or "".
func (c Cloud) plainHost() string {
	host, plain := strings.CutPrefix(c.Authority(), "http://")
	if !plain {
		return ""
	}
	return host
}

// secureAuthority is the authority as MSAL wants it: always https.
func (c Cloud) secureAuthority() string { return c.secure(c.Authority()) }

// secureGraph is Graph's base as azcore wants it: always https.
func (c Cloud) secureGraph() string { return c.secure(c.Graph()) }

// secure names an address of a plain http cloud as https; the transport turns it back.
func (c Cloud) secure(address string) string {
	host := c.plainHost()
	if host == "" {
		return address
	}
	rest, ok := strings.CutPrefix(address, "http://"+host)
	if !ok || (rest != "" && rest[0] != '/' && rest[0] != '?') {
		return address
	}
	return "https://" + host + rest
}

// plain undoes secure.
func (c Cloud) plain(address string) string {
	host := c.plainHost()
	if host == "" {
		return address
	}
	rest, ok := strings.CutPrefix(address, "https://"+host)
	if !ok || (rest != "" && rest[0] != '/' && rest[0] != '?') {
		return address
	}
	return "http://" + host + rest
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
