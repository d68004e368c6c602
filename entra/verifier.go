package entra

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/policy"
)

const (
	defaultSkew = time.Minute
	mostSkew    = 5 * time.Minute
	tokenLimit  = 32 << 10 // a token with 200 groups has about a third of that
	seenAtMost  = 4096     // tokens per generation, of about two kilobytes each
)

// Callers says on whose behalf a token may speak.
type Callers int

// The zero Callers wants a person.
const (
	People Callers = iota
	Applications
	PeopleAndApplications
)

// GroupSource finds the groups of a person whose token has none because there are too many. A Graph is one.
type GroupSource interface {
	// GroupsOf returns the object IDs of all groups, direct and nested, of the person who holds the token, or an error:
	// never a part of them.
	GroupsOf(ctx context.Context, who Identity, token Token) ([]string, error)
}

// VerifierConfig says which tokens are good. Tenants or TenantRule, and Audiences, must be given.
type VerifierConfig struct {
	Cloud Cloud // zero: the public cloud

	// Tenants are the IDs (GUIDs) of the tenants whose tokens are accepted.
	Tenants []string
	// TenantRule accepts tokens of any tenant that it says yes to. Use it instead of Tenants.
	TenantRule func(tenant string) bool

	// Audiences are the names of the API that the tokens must be for. An API is known by two: its client ID
	// (version 2) and its application ID URI (version 1); see AudiencesOf.
	Audiences []string
	// Clients are the IDs of the applications that may call; empty: any that Entra gives a token to.
	Clients []string
	// Scopes must all have been granted where a person calls.
	Scopes []string
	// Callers says whether people, applications or both may call.
	Callers Callers

	// Groups resolves the groups of people who are in too many. Without it such people are refused, because
	// rules about groups could not be trusted; with IgnoreGroups no identity has groups, and nobody is refused.
	Groups       GroupSource
	IgnoreGroups bool

	Skew       time.Duration    // how far clocks may differ; zero: one minute; negative: not at all; at most five minutes
	HTTPClient *http.Client     // zero: one with a timeout
	Now        func() time.Time // zero: time.Now
}

// AudiencesOf are the two names under which tokens know an API that is registered with the default application
// ID URI: its client ID, and api:// in front of it.
func AudiencesOf(clientID string) []string { return []string{clientID, "api://" + clientID} }

// Verified is what a good token says.
type Verified struct {
	Identity Identity
	Version  string    // "1.0" or "2.0"
	Expires  time.Time // when the token ends
	ID       string    // Entra's name for the token (claim "uti"), for finding it in Entra's logs
}

// seenToken is a token whose signature was found good. Bad ones are never remembered, so strangers can't fill the
// memory.
type seenToken struct {
	claims *claims
	key    signingKey
	keyID  string
}

// Verifier checks access tokens of Entra. It is safe for concurrent use.
type Verifier struct {
	config VerifierConfig
	keys   *keySet
	checks []check
	seen   *recent[[sha256.Size]byte, *seenToken]
	now    func() time.Time
	skew   int64
}

// NewVerifier checks the configuration and reports every mistake in it. It does not talk to Entra yet.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	config, err := config.normalized()
	if err != nil {
		return nil, fmt.Errorf("new verifier: %w", err)
	}
	client := newHTTPClient(config.Cloud, config.HTTPClient, config.Now)
	return config.verifier(client), nil
}

func (c VerifierConfig) verifier(client *http.Client) *Verifier {
	authority := "common"
	if len(c.Tenants) == 1 {
		authority = c.Tenants[0]
	}
	v := &Verifier{
		config: c, now: c.Now, skew: int64(c.Skew / time.Second),
		keys: newKeySet(c.Cloud, authority, client, c.Now),
		seen: newRecent[[sha256.Size]byte, *seenToken](seenAtMost),
	}
	v.checks = v.accessChecks()
	return v
}

// normalized is the configuration with its defaults, and its GUIDs in lower case.
func (c VerifierConfig) normalized() (VerifierConfig, error) {
	var mistakes []error
	c.Tenants, c.Clients = lowered(c.Tenants), lowered(c.Clients)
	c.Audiences, c.Scopes = slices.Clone(c.Audiences), slices.Clone(c.Scopes)
	if (len(c.Tenants) == 0) == (c.TenantRule == nil) {
		mistakes = append(mistakes, errors.New("tenants: give Tenants or TenantRule, and not both"))
	}
	for _, t := range c.Tenants {
		if !isGUID(t) {
			mistakes = append(mistakes, fmt.Errorf("tenants: %q is not a tenant ID (a GUID)", t))
		}
	}
	if len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		mistakes = append(mistakes, errors.New("audiences: give the API's client ID and application ID URI (AudiencesOf)"))
	}
	for _, id := range c.Clients {
		if !isGUID(id) {
			mistakes = append(mistakes, fmt.Errorf("clients: %q is not a client ID (a GUID)", id))
		}
	}
	if c.Callers < People || c.Callers > PeopleAndApplications {
		mistakes = append(mistakes, errors.New("callers: use People, Applications or PeopleAndApplications"))
	}
	switch {
	case c.Skew > mostSkew:
		mistakes = append(mistakes, errors.New("skew: at most five minutes; set the clocks instead"))
	case c.Skew == 0:
		c.Skew = defaultSkew
	case c.Skew < 0:
		c.Skew = 0
	}
	if c.Groups != nil && c.IgnoreGroups {
		mistakes = append(mistakes, errors.New("groups: give Groups or IgnoreGroups, and not both"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, errors.Join(mistakes...)
}

// Verify says who the token speaks for. A token that is not good ends in a *Refusal; if Entra's keys can't be had,
// the error is an *Error whose reason is Unavailable, and says nothing about the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Verified, error) {
	c, err := v.signed(ctx, token)
	if err != nil {
		return nil, err
	}
	now := v.now()
	for _, check := range v.checks {
		if !check.passes(c, now) {
			return nil, check.refusal(c)
		}
	}
	verified := &Verified{Identity: c.identity(), Version: c.Version, Expires: expiryOf(c), ID: shown(c.ID)}
	if err := v.settleGroups(ctx, c, verified, token); err != nil {
		return nil, err
	}
	return verified, nil
}

// signed returns what a token says whose signature is good. A token seen before costs one hash instead of one RSA
// operation, but its key must still be Entra's, and all other checks are made again.
func (v *Verifier) signed(ctx context.Context, token string) (*claims, error) {
	hash := sha256.Sum256([]byte(token))
	if known, ok := v.seen.get(hash); ok {
		keys, err := v.keys.find(ctx, known.keyID)
		if err == nil && slices.ContainsFunc(keys, known.key.same) {
			return known.claims, nil
		}
	}
	parsed, refusal := parseToken(token)
	if refusal != nil {
		return nil, refusal
	}
	key, err := v.verifySignature(ctx, parsed)
	if err != nil {
		return nil, err
	}
	v.seen.put(hash, &seenToken{claims: parsed.claims, key: key, keyID: parsed.keyID})
	return parsed.claims, nil
}

// parsedToken is a token that has the right form, and whose signature nobody has checked.
type parsedToken struct {
	jws    *jose.JSONWebSignature
	keyID  string
	claims *claims
}

func parseToken(token string) (*parsedToken, *Refusal) {
	wanted := "an access token of Entra (a JWT)"
	remedy := "Send the access token that Entra issued for this API, and nothing else."
	switch {
	case token == "":
		return nil, &Refusal{Check: policy.CheckToken, Wanted: wanted, Got: "nothing", Remedy: remedy}
	case len(token) > tokenLimit:
		return nil, &Refusal{Check: policy.CheckToken, Wanted: wanted, Got: "a text that is too long", Remedy: remedy}
	case strings.Count(token, ".") != 2:
		return nil, &Refusal{Check: policy.CheckToken, Wanted: wanted, Got: "a text of another form", Remedy: remedy}
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		var other *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &other) {
			return nil, &Refusal{Check: policy.CheckSignature, Wanted: "algorithm RS256", Got: "algorithm " + quoted(string(other.Got)),
				Remedy: "Entra signs with RS256 only: this token is not from Entra."}
		}
		return nil, &Refusal{Check: policy.CheckToken, Wanted: wanted, Got: "a text that can't be read", Remedy: remedy}
	}
	c, err := parseClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, &Refusal{Check: policy.CheckToken, Wanted: wanted, Got: "a token whose claims can't be read", Remedy: remedy}
	}
	return &parsedToken{jws: jws, keyID: jws.Signatures[0].Protected.KeyID, claims: c}, nil
}

// verifySignature tries the key that the token names. Keys that a token brings along (jwk, x5c) or points at
// (jku, x5u) are never looked at (RFC 8725 §3.10).
func (v *Verifier) verifySignature(ctx context.Context, t *parsedToken) (signingKey, error) {
	keys, err := v.keys.find(ctx, t.keyID)
	if errors.Is(err, errUnknownKey) {
		return signingKey{}, &Refusal{Check: policy.CheckSignature, Wanted: "a signing key that Entra publishes", Got: "key " + quoted(t.keyID),
			Remedy: signatureRemedy(t.claims)}
	}
	if err != nil {
		return signingKey{}, err
	}
	for _, key := range keys {
		if !key.signsFor(v.config.Cloud, t.claims.Tenant) {
			continue
		}
		if _, err := t.jws.Verify(key.public); err == nil {
			return key, nil
		}
	}
	return signingKey{}, &Refusal{Check: policy.CheckSignature, Wanted: "a good signature of Entra", Got: "one that does not match",
		Remedy: signatureRemedy(t.claims)}
}

// signsFor says whether the key may sign tokens of the tenant. Entra writes into its key sets whose tokens a key
// signs, so that a key of one issuer can't speak for another.
func (k signingKey) signsFor(cloud Cloud, tenant string) bool {
	if k.issuer == "" {
		return true
	}
	return strings.ReplaceAll(k.issuer, "{tenantid}", tenant) == cloud.IssuerV2(tenant)
}

// signatureRemedy knows the most common wrong token: one for Microsoft Graph can't be verified by anybody else.
func signatureRemedy(c *claims) string {
	switch aud := c.Audience.single(); {
	case strings.Contains(aud, "graph.microsoft.") || aud == "00000003-0000-0000-c000-000000000000":
		return "This token is for Microsoft Graph, and only Graph can check it: ask Entra for a token for this API."
	default:
		return "Send the token as Entra issued it, from a tenant of this cloud."
	}
}

func expiryOf(c *claims) time.Time { return time.Unix(int64(*c.Expiry), 0) }

func quoted(s string) string {
	if s == "" {
		return "none"
	}
	return fmt.Sprintf("%q", shown(s))
}

func lowered(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.ToLower(strings.TrimSpace(v))
	}
	return out
}
