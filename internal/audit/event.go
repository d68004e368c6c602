// Package audit writes down who did what, in lines that can't be changed unnoticed: append-only JSON lines,
// each of which holds the hash of the one before.
//
// # Form of a line
//
// A line is one JSON object followed by one line feed. Its first two members are "seq" (1, 2, 3 ...) and
// "prev", the lower-case hexadecimal SHA-256 of the bytes of the line before, without its line feed; the first
// line of all has 64 zeros there. The bytes as they stand are the canonical form: nobody has to parse or
// re-order anything to check the chain, `head -c -1 | sha256sum` does.
//
// The chain shows a line that was changed, removed, added or moved. A log that was cut off at its end, or
// written anew as a whole, is shown only by comparing Head with one that was kept elsewhere; a second sink that
// leaves the machine (standard output to a log collector) keeps every head there.
//
// # When a sink fails
//
// The log fails closed. Record hands an event to a queue of bounded length; one goroutine writes. What can't be
// written is kept and tried again, in order, until it can. Meanwhile Ready says so, and those who ask it before
// they act (the gateway does, before each call) refuse. A sink that blocks is a failing sink after MaxWait.
// Nothing is dropped unless the process ends first, and a process that comes back continues the chain.
package audit

import (
	"encoding/json"
	"time"

	"github.com/genkan-mcp/genkan/policy"
)

// Kind says what an event is about.
type Kind string

// The kinds of event.
const (
	SignIn  Kind = "sign_in" // somebody signed in, or failed to
	Consent Kind = "consent" // somebody allowed a client, or declined
	Token   Kind = "token"   // a token was given, rotated or revoked
	Call    Kind = "call"    // a request to a server, allowed
	Refusal Kind = "refusal" // a request to a server, refused
	Reload  Kind = "config"  // the configuration was loaded, or a bad one refused
	Unusual Kind = "unusual" // something that somebody should look at
)

// Decision is the outcome of what an event tells.
type Decision string

// The outcomes.
const (
	Allowed  Decision = "allowed"
	Refused  Decision = "refused"
	Observed Decision = "observed" // allowed, though a rule in observe mode would have refused
	Failed   Decision = "failed"   // allowed, but it could not be carried out
)

// Event is one thing that happened. It holds no token, and no argument of a call unless Arguments was asked for
// in the configuration of the server.
type Event struct {
	Time       time.Time       `json:"time"`
	Kind       Kind            `json:"kind"`
	Decision   Decision        `json:"decision,omitempty"`
	Tenant     string          `json:"tid,omitempty"`          // of who acts
	Object     string          `json:"oid,omitempty"`          // of who acts
	Name       string          `json:"name,omitempty"`         // of who acts, display only
	OnBehalfOf string          `json:"on_behalf_of,omitempty"` // "tenant/object" when somebody acts for another
	Client     string          `json:"client,omitempty"`       // the OAuth client
	Server     string          `json:"server,omitempty"`
	Method     string          `json:"method,omitempty"` // of MCP, or of OAuth
	Target     string          `json:"target,omitempty"` // the tool, the prompt, the resource
	Rule       string          `json:"rule,omitempty"`   // that decided
	Refusal    *policy.Refusal `json:"refusal,omitempty"`
	Status     int             `json:"status,omitempty"`      // of the HTTP answer
	Duration   time.Duration   `json:"duration_ns,omitempty"` // from the request to the end of the answer
	RequestID  string          `json:"request_id,omitempty"`
	SessionID  string          `json:"session_id,omitempty"` // of the grant, not of MCP
	Address    string          `json:"address,omitempty"`    // where the request came from
	Detail     string          `json:"detail,omitempty"`     // one sentence
	Arguments  json.RawMessage `json:"arguments,omitempty"`
}

// Who fills in the identity that acts.
func (e *Event) Who(id policy.Identity) {
	e.Tenant, e.Object, e.Name, e.Client = id.Tenant, id.Object, id.Name, id.Client
}
