package entra

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/policy"
)

// check is one test of a token whose signature is good. Its words are made only when somebody wants to read them.
type check struct {
	name    policy.Check
	passes  func(c *claims, now time.Time) bool
	explain func(c *claims) (wanted, got, remedy string)
}

func (k check) refusal(c *claims) *Refusal {
	wanted, got, remedy := k.explain(c)
	return &Refusal{Check: k.name, Wanted: wanted, Got: got, Remedy: remedy}
}

// CheckResult is one row of the table that Explain makes.
type CheckResult struct {
	Check  Check  `json:"check"`
	Wanted string `json:"wanted"`
	Got    string `json:"got"`
	Passed bool   `json:"passed"`
	Remedy string `json:"remedy,omitempty"` // what to change, where the check failed
}

// Explain makes every check and shows the outcome of each, for a person who wonders why a token is refused. The
// table holds decoded claims only, never the token or a part of it. While the signature row has not passed, the
// rows below it show what the token merely claims.
func (v *Verifier) Explain(ctx context.Context, token string) []CheckResult {
	parsed, refusal := parseToken(token)
	if refusal != nil {
		return []CheckResult{failed(refusal)}
	}
	rows := []CheckResult{
		{Check: policy.CheckToken, Wanted: "an access token of Entra (a JWT)", Got: "a JWT of version " + quoted(parsed.claims.Version), Passed: true},
		v.explainSignature(ctx, parsed),
	}
	now := v.now()
	for _, check := range v.checks {
		row := failed(check.refusal(parsed.claims))
		if check.passes(parsed.claims, now) {
			row.Passed, row.Remedy = true, ""
		}
		rows = append(rows, row)
	}
	return append(rows, v.explainGroups(parsed.claims))
}

func (v *Verifier) explainSignature(ctx context.Context, parsed *parsedToken) CheckResult {
	row := CheckResult{Check: policy.CheckSignature, Wanted: "a good signature of Entra", Got: "signed by key " + quoted(parsed.keyID), Passed: true}
	_, err := v.verifySignature(ctx, parsed)
	var refusal *Refusal
	var failure *Error
	switch {
	case errors.As(err, &refusal):
		return failed(refusal)
	case errors.As(err, &failure):
		row.Passed, row.Got, row.Remedy = false, "unknown: Entra's signing keys can't be had", failure.Remedy
	}
	return row
}

func failed(r *Refusal) CheckResult {
	return CheckResult{Check: r.Check, Wanted: r.Wanted, Got: r.Got, Remedy: r.Remedy}
}

// accessChecks are the tests of an access token, in the order in which they are made.
func (v *Verifier) accessChecks() []check {
	return []check{
		{policy.CheckAudience, v.audienceFits, v.explainAudience},
		{policy.CheckIssuer, v.issuerFits, v.explainIssuer},
		{policy.CheckTenant, v.tenantFits, v.explainTenant},
		{policy.CheckExpiry, v.notExpired, v.explainExpiry},
		{policy.CheckNotBefore, v.alreadyValid, v.explainNotBefore},
		{policy.CheckClient, v.clientFits, v.explainClient},
		{policy.CheckObject, objectFits, explainObject},
		{policy.CheckKind, v.kindFits, v.explainKind},
		{policy.CheckScope, v.scopeFits, v.explainScope},
	}
}

func (v *Verifier) audienceFits(c *claims, _ time.Time) bool {
	return len(c.Audience) == 1 && slices.Contains(v.config.Audiences, c.Audience[0])
}

func (v *Verifier) explainAudience(c *claims) (wanted, got, remedy string) {
	return strings.Join(v.config.Audiences, " or "), quoted(strings.Join(c.Audience, ", ")),
		"Ask Entra for a token for this API: its scope starts with one of the wanted names."
}

// issuerFits wants the issuer of the token's version, whole: Entra's two issuers differ in more than a suffix.
func (v *Verifier) issuerFits(c *claims, _ time.Time) bool {
	if len(v.config.Tenants) == 0 {
		return v.issuedBy(c, c.Tenant)
	}
	return slices.ContainsFunc(v.config.Tenants, func(tenant string) bool { return v.issuedBy(c, tenant) })
}

func (v *Verifier) issuedBy(c *claims, tenant string) bool {
	switch c.Version {
	case "1.0":
		return isGUID(tenant) && c.Issuer == v.config.Cloud.IssuerV1(tenant)
	case "2.0":
		return isGUID(tenant) && c.Issuer == v.config.Cloud.IssuerV2(tenant)
	}
	return false
}

func (v *Verifier) explainIssuer(c *claims) (wanted, got, remedy string) {
	tenant := "{tenant}"
	if len(v.config.Tenants) == 1 {
		tenant = v.config.Tenants[0]
	}
	wanted = v.config.Cloud.IssuerV2(tenant) + " (version 2.0) or " + v.config.Cloud.IssuerV1(tenant) + " (version 1.0)"
	return wanted, quoted(c.Issuer) + " (version " + quoted(c.Version) + ")", "Sign in to the configured tenant, in the configured cloud."
}

// tenantFits wants a tenant of ours that is also the one that the issuer names.
func (v *Verifier) tenantFits(c *claims, _ time.Time) bool {
	if !v.issuedBy(c, c.Tenant) {
		return false
	}
	if v.config.TenantRule != nil {
		return v.config.TenantRule(c.Tenant)
	}
	return slices.Contains(v.config.Tenants, c.Tenant)
}

func (v *Verifier) explainTenant(c *claims) (wanted, got, remedy string) {
	wanted = strings.Join(v.config.Tenants, " or ")
	if v.config.TenantRule != nil {
		wanted = "a tenant that the rule accepts"
	}
	return wanted, quoted(c.Tenant), "Sign in with an account of a tenant that is accepted here."
}

func (v *Verifier) notExpired(c *claims, now time.Time) bool {
	return c.Expiry != nil && now.Unix() < int64(*c.Expiry)+v.skew
}

func (v *Verifier) explainExpiry(c *claims) (wanted, got, remedy string) {
	return "a time after " + stamp(v.now().Unix()), dated(c.Expiry), "Get a fresh token from Entra; if it is fresh, check this machine's clock."
}

func (v *Verifier) alreadyValid(c *claims, now time.Time) bool {
	return c.NotBefore != nil && now.Unix() >= int64(*c.NotBefore)-v.skew
}

func (v *Verifier) explainNotBefore(c *claims) (wanted, got, remedy string) {
	return "a time before " + stamp(v.now().Unix()), dated(c.NotBefore), "Check this machine's clock: Entra's is right."
}

// clientFits wants a client in every case: what has none is not an access token but, say, an ID token.
func (v *Verifier) clientFits(c *claims, _ time.Time) bool {
	client := c.client()
	return isGUID(client) && (len(v.config.Clients) == 0 || slices.Contains(v.config.Clients, client))
}

func (v *Verifier) explainClient(c *claims) (wanted, got, remedy string) {
	if c.client() == "" {
		return "an access token, which names its client", "a token that names none", "Send the access token: an ID token does not open an API."
	}
	wanted = "the ID of any client"
	if len(v.config.Clients) > 0 {
		wanted = strings.Join(v.config.Clients, " or ")
	}
	return wanted, quoted(c.client()), "Have the client's ID added to the clients that may call."
}

func objectFits(c *claims, _ time.Time) bool { return isGUID(c.Object) }

func explainObject(c *claims) (wanted, got, remedy string) {
	return "the object ID of the caller", quoted(c.Object), "Entra puts the claim oid into every token for an API: this one is not such a token."
}

func (v *Verifier) kindFits(c *claims, _ time.Time) bool {
	switch v.config.Callers {
	case People:
		return c.kind() == policy.Person
	case Applications:
		return c.kind() == policy.Application
	case PeopleAndApplications:
		return true
	}
	return false
}

func (v *Verifier) explainKind(c *claims) (wanted, got, remedy string) {
	got = "a token of a person"
	if c.kind() == policy.Application {
		got = "a token of an application"
	}
	switch v.config.Callers {
	case People:
		return "a token of a person", got, "Sign in as a person: a token that an application got for itself is not accepted here."
	case Applications:
		return "a token of an application", got, "Use the application's own token: a person's is not accepted here."
	default:
		return "a token of a person or an application", got, ""
	}
}

// scopeFits minds people only: an application has no scopes, and what it may do is said by its roles.
func (v *Verifier) scopeFits(c *claims, _ time.Time) bool {
	if c.kind() == policy.Application {
		return true
	}
	for _, scope := range v.config.Scopes {
		if !hasWord(c.Scope, scope) {
			return false
		}
	}
	return true
}

func (v *Verifier) explainScope(c *claims) (wanted, got, remedy string) {
	wanted = strings.Join(v.config.Scopes, " ")
	if wanted == "" {
		wanted = "any scope"
	}
	return wanted, quoted(c.Scope), "Ask Entra for a token with the wanted scope, and have it consented to."
}

func hasWord(list, word string) bool {
	for one := range strings.FieldsSeq(list) {
		if one == word {
			return true
		}
	}
	return false
}

func dated(s *seconds) string {
	if s == nil {
		return "none"
	}
	return stamp(int64(*s))
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
