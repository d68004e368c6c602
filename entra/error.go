package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
)

// Reason sorts an Error by what has to be done about it.
type Reason string

// The reasons that callers tell apart.
const (
	// Denied: the person, or an administrator's rule, said no. Asking again changes nothing.
	Denied Reason = "denied"
	// Interaction: the person must sign in again, with Error.Claims if there are any.
	Interaction Reason = "interaction"
	// Ended: the sign-in is over (revoked, expired, account disabled); what is kept of it is useless.
	Ended Reason = "ended"
	// Unavailable: Entra can't answer now. Nothing has ended; ask again later.
	Unavailable Reason = "unavailable"
	// Misuse: the registration, the credential or the request is wrong. Somebody has to repair it.
	Misuse Reason = "misuse"
)

// Error is a failure that Entra reported, or the failure to reach Entra. It holds no token and no secret.
type Error struct {
	Op            string        // what was tried
	Reason        Reason        // what to do about it
	Code          int           // the AADSTS number; 0 if there was none
	OAuth         string        // the OAuth error, such as invalid_grant
	Suberror      string        // Entra's refinement of it, such as consent_required
	Claims        string        // a claims challenge (JSON) that the next sign-in must satisfy
	Description   string        // Entra's own words, for the log: others may have had a hand in them
	Remedy        string        // one sentence: what to change
	TraceID       string        // for Microsoft's support
	CorrelationID string        // for Microsoft's support
	Status        int           // of the HTTP answer; 0 if there was none
	RetryAfter    time.Duration // when Unavailable, and Entra said it
	Cause         error         // why Entra couldn't be reached, else nil
}

// Error says the failure and its remedy in one line, fit for a log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("entra: " + e.Op + ": ")
	switch {
	case e.Code != 0:
		fmt.Fprintf(&b, "AADSTS%d", e.Code)
		if e.OAuth != "" {
			b.WriteString(" (" + e.OAuth + ")")
		}
	case e.OAuth != "":
		b.WriteString(e.OAuth)
	case e.Cause != nil:
		b.WriteString(e.Cause.Error())
	case e.Status != 0:
		fmt.Fprintf(&b, "HTTP status %d", e.Status)
	default:
		b.WriteString(string(e.Reason))
	}
	if e.Remedy != "" {
		b.WriteString(": " + e.Remedy)
	}
	return b.String()
}

// Unwrap gives the cause, if Entra couldn't be reached.
func (e *Error) Unwrap() error { return e.Cause }

// InteractionRequiredError means that no program can go on alone: the person must sign in again. Claims, if
// there are any, belong into that sign-in (SignInRequest.Claims), else it ends in the same error.
type InteractionRequiredError struct {
	Claims string
	Err    *Error
}

// Error says the failure in one line.
func (e *InteractionRequiredError) Error() string { return e.Err.Error() }

// Unwrap gives Entra's error.
func (e *InteractionRequiredError) Unwrap() error { return e.Err }

// refusedAnswer is the body of Entra's errors.
type refusedAnswer struct {
	Error         string          `json:"error"`
	Description   string          `json:"error_description"`
	Codes         []int           `json:"error_codes"`
	Suberror      string          `json:"suberror"`
	Claims        json.RawMessage `json:"claims"`
	TraceID       string          `json:"trace_id"`
	CorrelationID string          `json:"correlation_id"`
}

// explainFailure turns what MSAL returned into this package's errors. MSAL's own are dropped on purpose: they
// hold the request with its secrets, and some print the answer with its tokens.
func explainFailure(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return err
	}
	var call msal.CallErr
	if errors.As(err, &call) && call.Resp != nil {
		return readFailure(op, call.Resp.StatusCode, call.Resp.Header, answerOf(call))
	}
	if code := aadsts(err.Error(), nil); code != 0 {
		// From the authorize endpoint MSAL keeps nothing but the description.
		return (&Error{Op: op, Code: code, Description: shown(firstLine(err.Error()))}).sorted()
	}
	return unreachable(op, err)
}

// answerOf is the body of Entra's answer. MSAL reads it away while it waits for a device code; then it is left in the
// text of the error only.
func answerOf(call msal.CallErr) []byte {
	body, err := io.ReadAll(io.LimitReader(call.Resp.Body, 64<<10))
	if err == nil && len(body) > 0 {
		return body
	}
	_, text, _ := strings.Cut(call.Err.Error(), "\n")
	return []byte(text)
}

// CallbackError reads what a browser brought back from a sign-in that failed (RFC 6749 §4.1.2.1); it is nil if the
// sign-in did not fail. Check the state before: until then anybody may have made up the query. Of its words, show the
// Remedy only.
func CallbackError(query url.Values) error {
	if !query.Has("error") {
		return nil
	}
	description := query.Get("error_description")
	return (&Error{
		Op: "sign in", OAuth: shown(query.Get("error")), Suberror: shown(query.Get("error_subcode")),
		Description: shown(firstLine(description)), Code: aadsts(description, nil),
	}).sorted()
}

// readFailure reads an answer that is not a success.
func readFailure(op string, status int, header http.Header, body []byte) error {
	e := &Error{Op: op, Status: status, RetryAfter: retryAfter(header)}
	var answer refusedAnswer
	if json.Unmarshal(body, &answer) == nil {
		e.OAuth, e.Suberror = shown(answer.Error), shown(answer.Suberror)
		e.Description = shown(firstLine(answer.Description))
		e.TraceID, e.CorrelationID = shown(answer.TraceID), shown(answer.CorrelationID)
		e.Claims = readClaims(answer.Claims)
		e.Code = aadsts(answer.Description, answer.Codes)
	}
	return e.sorted()
}

// sorted fills in what follows from the code, and wraps the error in the type that callers branch on.
func (e *Error) sorted() error {
	e.Reason, e.Remedy = sortFailure(e)
	if e.Reason == Interaction {
		return &InteractionRequiredError{Claims: e.Claims, Err: e}
	}
	return e
}

// unreachable is the failure to get any answer. Only causes that are known to hold no secret are kept.
func unreachable(op string, err error) error {
	e := &Error{Op: op, Reason: Unavailable, Remedy: "Entra could not be reached; try again later, and check the network if it lasts."}
	var network interface{ Timeout() bool }
	var broken msal.InvalidJsonErr
	switch {
	case errors.Is(err, context.Canceled):
		e.Cause = context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		e.Cause = context.DeadlineExceeded
	case errors.As(err, &broken):
		e.Cause = errors.New("the answer is not JSON")
	case strings.Contains(err.Error(), "declined scopes are present"):
		return (&Error{Op: op, OAuth: "invalid_scope", Suberror: "consent_required", Code: 65001}).sorted()
	case errors.As(err, &network):
		e.Cause = err
	default:
		e.Reason = Misuse
		e.Cause = err
		e.Remedy = "The request could not be made; the cause says what to change."
	}
	return e
}

// readClaims reads a claims challenge, which Entra sends as a string with JSON in it.
func readClaims(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		return ""
	}
	return text
}

// aadsts finds Entra's number: the first of error_codes, else the one that the description starts with.
func aadsts(description string, codes []int) int {
	if len(codes) > 0 && codes[0] > 0 {
		return codes[0]
	}
	_, rest, ok := strings.Cut(description, "AADSTS")
	if !ok {
		return 0
	}
	end := 0
	for end < len(rest) && end < 9 && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	code, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return code
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

// retryAfter reads the header of that name (RFC 9110 §10.2.3), in seconds.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(header.Get("Retry-After")))
	if err != nil || seconds < 0 || seconds > 24*60*60 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
