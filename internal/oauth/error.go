// Package oauth holds the words of OAuth: parameters, errors, PKCE, metadata documents, redirect matching,
// scopes, resources and challenges. It parses what strangers send and decides nothing about who may come in.
package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Code is an OAuth error code as it stands on the wire.
type Code string

// The error codes that Genkan gives, each with the place that defines it.
const (
	InvalidRequest          Code = "invalid_request"           // RFC 6749 §4.1.2.1, §5.2
	InvalidClient           Code = "invalid_client"            // RFC 6749 §5.2
	InvalidGrant            Code = "invalid_grant"             // RFC 6749 §5.2
	UnauthorizedClient      Code = "unauthorized_client"       // RFC 6749 §4.1.2.1, §5.2
	UnsupportedGrantType    Code = "unsupported_grant_type"    // RFC 6749 §5.2
	UnsupportedResponseType Code = "unsupported_response_type" // RFC 6749 §4.1.2.1
	InvalidScope            Code = "invalid_scope"             // RFC 6749 §4.1.2.1, §5.2
	AccessDenied            Code = "access_denied"             // RFC 6749 §4.1.2.1
	ServerError             Code = "server_error"              // RFC 6749 §4.1.2.1
	TemporarilyUnavailable  Code = "temporarily_unavailable"   // RFC 6749 §4.1.2.1
	InvalidTarget           Code = "invalid_target"            // RFC 8707 §2
	InvalidToken            Code = "invalid_token"             // RFC 6750 §3.1
	InsufficientScope       Code = "insufficient_scope"        // RFC 6750 §3.1
	UnsupportedTokenType    Code = "unsupported_token_type"    // RFC 7009 §2.2.1
	InvalidRedirectURI      Code = "invalid_redirect_uri"      // RFC 7591 §3.2.2
	InvalidClientMetadata   Code = "invalid_client_metadata"   // RFC 7591 §3.2.2
	LoginRequired           Code = "login_required"            // OpenID Connect Core §3.1.2.6
	InteractionRequired     Code = "interaction_required"      // OpenID Connect Core §3.1.2.6
	ConsentRequired         Code = "consent_required"          // OpenID Connect Core §3.1.2.6
)

// Error is a "no" in the words of OAuth. Description is for the client and holds nothing secret; Cause is
// for the log and the audit and never leaves the building.
type Error struct {
	Code        Code
	Description string
	// HTTPStatus replaces the status that the code usually has; zero leaves it.
	HTTPStatus int
	Cause      error
}

// Refuse makes an error out of a code and a description.
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// Because adds the cause, for the log.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// Error describes the refusal and its cause, for the log.
func (e *Error) Error() string {
	line := string(e.Code)
	if e.Description != "" {
		line += ": " + e.Description
	}
	if e.Cause != nil {
		line += ": " + e.Cause.Error()
	}
	return line
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Status is the HTTP status of a direct answer (RFC 6749 §5.2, RFC 6750 §3.1).
func (e *Error) Status() int {
	if e.HTTPStatus != 0 {
		return e.HTTPStatus
	}
	switch e.Code {
	case InvalidClient, InvalidToken:
		return http.StatusUnauthorized
	case InsufficientScope, AccessDenied:
		return http.StatusForbidden
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// MarshalJSON renders the error as a token endpoint answers it (RFC 6749 §5.2). The cause is not in it.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code        Code   `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, PlainText(e.Description)})
}

// PlainText keeps the characters that RFC 6749 §5.2 and RFC 6750 §3 allow in a description: printable
// ASCII without the quote and the backslash.
func PlainText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r >= 0x20 && r <= 0x7e:
			return r
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f:
			return -1
		default:
			return '?'
		}
	}, s)
}
