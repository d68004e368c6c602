package entra

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/genkan-mcp/genkan/policy"
)

// claims are what an access token or an ID token of Entra says. They are read by go-jose's JSON package, which
// minds the case of names and refuses a name given twice.
type claims struct {
	Issuer    string      `json:"iss"`
	Audience  audience    `json:"aud"`
	Tenant    string      `json:"tid"`
	Object    string      `json:"oid"`
	Version   string      `json:"ver"`
	Expiry    *seconds    `json:"exp"`
	NotBefore *seconds    `json:"nbf"`
	AppID     string      `json:"appid"` // the client, in version 1
	Party     string      `json:"azp"`   // the client, in version 2
	Scope     string      `json:"scp"`
	Roles     []string    `json:"roles"`
	Groups    []string    `json:"groups"`
	HasGroups groupsClaim `json:"hasgroups"`
	Elsewhere elsewhere   `json:"_claim_names"`
	TokenKind string      `json:"idtyp"`
	Nonce     string      `json:"nonce"`
	Name      string      `json:"name"`
	Preferred string      `json:"preferred_username"`
	UPN       string      `json:"upn"`
	Unique    string      `json:"unique_name"`
	ID        string      `json:"uti"`
}

// elsewhere is the list of claims that did not fit into the token: name to source.
type elsewhere map[string]string

// groupsClaim is true in tokens of the implicit flow whose groups did not fit. Entra writes it as a boolean or a
// string.
type groupsClaim bool

// UnmarshalJSON reads true and "true".
func (g *groupsClaim) UnmarshalJSON(raw []byte) error {
	*g = groupsClaim(strings.Trim(string(raw), `"`) == "true")
	return nil
}

// seconds is a NumericDate (RFC 7519 §2) that Entra always writes as a whole number.
type seconds int64

// UnmarshalJSON reads a whole number within the years that time.Time can say.
func (s *seconds) UnmarshalJSON(raw []byte) error {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > 253402300799 {
		return errors.New("not a date")
	}
	*s = seconds(n)
	return nil
}

// audience is one name, or a list of them. Entra never sends a list, and no list is accepted.
type audience []string

// UnmarshalJSON reads a string or a list of strings.
func (a *audience) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(raw, &(*a)[0])
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	*a = append(audience{"a list"}, list...)
	return nil
}

// single is the audience, or "" if it is not one name.
func (a audience) single() string {
	if len(a) != 1 {
		return ""
	}
	return a[0]
}

func parseClaims(payload []byte) (*claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, err
	}
	c.Tenant = strings.ToLower(c.Tenant)
	c.Object = strings.ToLower(c.Object)
	return &c, nil
}

// client is who holds the token: azp in version 2, appid in version 1.
func (c *claims) client() string {
	if c.Version == "1.0" {
		return strings.ToLower(c.AppID)
	}
	return strings.ToLower(c.Party)
}

// kind tells people from applications. The claim idtyp is optional; a token without it speaks for a person only
// if a person's consent stands in it.
func (c *claims) kind() policy.Kind {
	switch {
	case c.TokenKind == "app":
		return policy.Application
	case c.Scope != "":
		return policy.Person
	default:
		return policy.Application
	}
}

// groupsElsewhere says whether the person is in more groups than fit into a token, so that it has none.
func (c *claims) groupsElsewhere() bool {
	_, named := c.Elsewhere["groups"]
	return named || bool(c.HasGroups)
}

// identity is what a decision may know. It shares no memory with the claims.
func (c *claims) identity() Identity {
	return Identity{
		Tenant: c.Tenant, Object: c.Object, Kind: c.kind(), Client: c.client(),
		Roles: sound(c.Roles), Groups: groupIDs(c.Groups), Scopes: strings.Fields(c.Scope),
		Name: shown(c.Name), Username: shown(firstOf(c.Preferred, c.UPN, c.Unique)),
	}
}

// sound leaves out what no administrator can have typed into a role: empty text, control characters.
func sound(values []string) []string {
	var kept []string
	for _, v := range values {
		if v != "" && shown(v) == v {
			kept = append(kept, v)
		}
	}
	return kept
}

// groupIDs keeps object IDs only: where a tenant emits names instead, whoever may rename a group could take
// another's place.
func groupIDs(values []string) []string {
	var kept []string
	for _, v := range values {
		if isGUID(v) {
			kept = append(kept, strings.ToLower(v))
		}
	}
	return kept
}

func firstOf(values ...string) string {
	if i := slices.IndexFunc(values, func(s string) bool { return s != "" }); i >= 0 {
		return values[i]
	}
	return ""
}
