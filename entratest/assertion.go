package entratest

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 7515 §4.1.7: x5t is a SHA-1 thumbprint
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionType is the only kind of client assertion that Entra takes, RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clientAssertion is the payload of a client assertion.
type clientAssertion struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	From     int64    `json:"nbf"`
}

// audience is a string or a list of strings, RFC 7519 §4.1.3.
type audience []string

func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// checkAssertion proves an application by a signed assertion: by its own certificate, or by the token
// of a federated issuer.
func (t *Tenant) checkAssertion(q *tokenRequest, raw string) *refusal {
	if q.param("client_assertion_type") != assertionType {
		return refuse(900144, "client_assertion_type")
	}
	algorithms := []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return refuse(50027)
	}
	var claims clientAssertion
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return refuse(50027)
	}
	if !strings.EqualFold(claims.Issuer, q.client.ClientID) {
		return t.checkFederated(q, jws, raw, claims)
	}
	if no := t.checkCertificate(q, jws); no != nil {
		return no
	}
	if no := t.checkWhen(claims); no != nil {
		return no
	}
	switch {
	case !strings.EqualFold(claims.Subject, q.client.ClientID):
		return refuse(700021)
	case !slices.ContainsFunc(claims.Audience, func(aud string) bool { return t.isEndpoint(q, aud) }):
		return refuse(700023)
	}
	q.proof = proofCertificate
	return nil
}

// isEndpoint says whether an assertion's audience is this tenant: its token endpoint or its issuer. The
// scheme is left out of it, because libraries that insist on https talk to a tenant on plain http too.
func (t *Tenant) isEndpoint(q *tokenRequest, aud string) bool {
	got, err := url.Parse(aud)
	if err != nil {
		return false
	}
	here, err := url.Parse(q.base)
	if err != nil || got.Host != here.Host && got.Host != q.Host {
		return false
	}
	tenant, rest, _ := strings.Cut(strings.Trim(got.Path, "/"), "/")
	if !strings.EqualFold(tenant, t.TenantID) && !strings.EqualFold(tenant, t.Domain) && !t.anyTenant(tenant) {
		return false
	}
	return slices.Contains([]string{"", "v2.0", "oauth2/token", "oauth2/v2.0/token"}, rest)
}

func (t *Tenant) checkWhen(c clientAssertion) *refusal {
	now := t.now()
	const skew = 5 * time.Minute
	from, until := time.Unix(c.From, 0), time.Unix(c.Expires, 0)
	if now.Add(skew).Before(from) || now.Add(-skew).After(until) || c.Expires == 0 {
		return refuse(700024, stamp(now), stamp(from), stamp(until))
	}
	return nil
}

// checkCertificate finds the registered certificate by its thumbprint in the header.
func (t *Tenant) checkCertificate(q *tokenRequest, jws *jose.JSONWebSignature) *refusal {
	header := jws.Signatures[0].Header.ExtraHeaders
	x5t, _ := header["x5t"].(string)
	x5tS256, _ := header["x5t#S256"].(string)
	if x5t == "" && x5tS256 == "" && jws.Signatures[0].Header.KeyID == "" {
		return refuse(700027, "The token has no thumbprint in its header")
	}
	now := t.now()
	for _, registered := range q.client.Certificates {
		cert, err := parseCertificate(registered.PEM)
		if err != nil || !thumbprintIs(cert, x5t, x5tS256, jws.Signatures[0].Header.KeyID) {
			continue
		}
		if now.After(cert.NotAfter) || !registered.NotAfter.IsZero() && now.After(registered.NotAfter) {
			return refuse(700027, "The key used is expired")
		}
		if _, err := jws.Verify(cert.PublicKey); err != nil {
			return refuse(700027, "The signature is not valid")
		}
		return nil
	}
	return refuse(700027, "The key was not found")
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

func thumbprintIs(cert *x509.Certificate, x5t, x5tS256, kid string) bool {
	one := sha1.Sum(cert.Raw) //nolint:gosec // RFC 7515 §4.1.7
	two := sha256.Sum256(cert.Raw)
	switch {
	case x5tS256 != "":
		return sameBase64(x5tS256, two[:])
	case x5t != "":
		return sameBase64(x5t, one[:])
	default:
		return sameBase64(kid, one[:]) || strings.EqualFold(kid, hex.EncodeToString(one[:]))
	}
}

// sameBase64 takes both alphabets, as Entra does: MSAL for Go writes thumbprints in the one that RFC
// 7515 does not want.
func sameBase64(text string, want []byte) bool {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return text == base64.RawURLEncoding.EncodeToString(want)
}

// exchangeAudience is what a federated token has to be made for.
const (
	exchangeAudience = "api://AzureADTokenExchange"
	exchangeID       = "fb60f99c-7a34-4190-8149-302f77469936"
)

// checkFederated proves an application by the token of an issuer that it trusts.
func (t *Tenant) checkFederated(q *tokenRequest, jws *jose.JSONWebSignature, raw string, c clientAssertion) *refusal {
	sameIssuer := func(f Federated) bool { return t.sameIssuer(q, f.Issuer, c.Issuer) }
	sameAudience := func(f Federated) bool {
		want := orElse(f.Audience, exchangeAudience)
		return slices.Contains(c.Audience, want) || want == exchangeAudience && slices.Contains(c.Audience, exchangeID)
	}
	switch trusted := q.client.Federated; {
	case !slices.ContainsFunc(trusted, sameIssuer):
		return refuse(700211, c.Issuer)
	case !slices.ContainsFunc(trusted, func(f Federated) bool { return sameIssuer(f) && f.Subject == c.Subject }):
		return refuse(700213, c.Subject)
	case !slices.ContainsFunc(trusted, func(f Federated) bool {
		return sameIssuer(f) && f.Subject == c.Subject && sameAudience(f)
	}):
		return refuse(700212, strings.Join(c.Audience, " "))
	}
	if no := t.checkWhen(c); no != nil {
		return no
	}
	if t.sameIssuer(q, issuerV2(q.base, t.TenantID), c.Issuer) {
		if _, err := t.open(raw); err != nil {
			return refuse(700027, err.Error())
		}
	} else if no := t.checkForeignKey(q.Context(), jws, c.Issuer); no != nil {
		return no
	}
	q.proof = proofCertificate
	return nil
}

// sameIssuer compares issuers byte for byte; one's own may be called by whatever host it is served at.
func (t *Tenant) sameIssuer(q *tokenRequest, trusted, got string) bool {
	return trusted == got || trusted == "{base}"+strings.TrimPrefix(got, q.base)
}

func (t *Tenant) checkForeignKey(ctx context.Context, jws *jose.JSONWebSignature, issuer string) *refusal {
	keys, err := t.issuerKeys(ctx, issuer)
	if err != nil {
		return refuse(5002738, issuer, err.Error())
	}
	for _, k := range keys.Key(jws.Signatures[0].Header.KeyID) {
		if _, err := jws.Verify(k); err == nil {
			return nil
		}
	}
	return refuse(700027, "The key was not found at the issuer, or the signature is not valid")
}
