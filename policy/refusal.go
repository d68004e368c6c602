package policy

import "strings"

// Check names the test that a request failed. The same word stands in the HTTP answer, the log and
// the audit.
type Check string

// The checks, in the order in which a request meets them.
const (
	CheckToken     Check = "token"      // there is a token, well formed, and somebody issued it
	CheckSignature Check = "signature"  // signed by a key of the issuer, with RS256
	CheckAudience  Check = "audience"   // made for this server
	CheckIssuer    Check = "issuer"     // made by the configured tenant
	CheckTenant    Check = "tenant"     // the tenant is one of ours
	CheckExpiry    Check = "expiry"     // not yet expired
	CheckNotBefore Check = "not_before" // already valid
	CheckClient    Check = "client"     // the client may ask here
	CheckObject    Check = "object"     // it says who calls
	CheckScope     Check = "scope"      // the client was granted what the server wants
	CheckKind      Check = "kind"       // a person where a person is needed
	CheckGroups    Check = "groups"     // group membership is known
	CheckSession   Check = "session"    // the session that owns the token has not ended
	CheckMessage   Check = "message"    // the body is one well-formed message
	CheckOrigin    Check = "origin"     // the browser page that asks may do so
	CheckRule      Check = "rule"       // a rule allows it
	CheckLimit     Check = "limit"      // not too often, not too much
)

// Refusal is a typed "no": which check failed, what was wanted, what came. It travels unchanged from
// the place that refused to the HTTP answer, the log and the audit.
//
// Nothing in it is secret: Wanted and Got never hold a token or a part of one.
type Refusal struct {
	Check  Check  `json:"check"`
	Wanted string `json:"wanted,omitempty"`
	Got    string `json:"got,omitempty"`
	// Remedy is one sentence that tells the reader what to change.
	Remedy string `json:"remedy,omitempty"`
}

// Error says the refusal in one line, fit for a log.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("refused by the " + string(r.Check) + " check")
	if r.Wanted != "" {
		b.WriteString(": wanted " + r.Wanted)
	}
	if r.Got != "" {
		b.WriteString(", got " + r.Got)
	}
	if r.Remedy != "" {
		b.WriteString("; " + r.Remedy)
	}
	return b.String()
}
