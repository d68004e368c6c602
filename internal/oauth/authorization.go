package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// Credentials is what an Authorization header holds: a scheme in lower case, and the rest.
type Credentials struct {
	Scheme string
	Value  string
}

// ParseAuthorization reads the Authorization headers of a request (RFC 9110 §11.6.2). There may be none,
// which gives the zero Credentials, or one; two are refused, because the reader behind might take the other.
func ParseAuthorization(headers []string) (Credentials, error) {
	if len(headers) == 0 {
		return Credentials{}, nil
	}
	if len(headers) > 1 {
		return Credentials{}, Refuse(InvalidRequest, "there is more than one Authorization header")
	}
	scheme, value, _ := strings.Cut(strings.Trim(headers[0], " \t"), " ")
	value = strings.TrimLeft(value, " ")
	if !isToken(scheme) || value == "" || strings.ContainsFunc(value, isControl) {
		return Credentials{}, Refuse(InvalidRequest, "the Authorization header is malformed")
	}
	return Credentials{strings.ToLower(scheme), value}, nil
}

// Bearer reads the bearer token of a request (RFC 6750 §2.1); "" when there is none. The scheme is compared
// without regard to case (RFC 9110 §11.1).
func Bearer(headers []string) (string, error) {
	c, err := ParseAuthorization(headers)
	if err != nil || c.Scheme == "" {
		return "", err
	}
	if c.Scheme != "bearer" {
		return "", Refuse(InvalidRequest, "the Authorization scheme must be Bearer")
	}
	if !isToken68(c.Value) {
		return "", Refuse(InvalidToken, "the bearer token is malformed")
	}
	return c.Value, nil
}

// Basic reads the client identifier and secret out of Basic credentials (RFC 6749 §2.3.1: both are
// form-encoded before they are joined).
func (c Credentials) Basic() (id, secret string, err error) {
	malformed := Refuse(InvalidClient, "the Basic credentials are malformed")
	if c.Scheme != "basic" {
		return "", "", malformed
	}
	joined, err := base64.StdEncoding.Strict().DecodeString(c.Value)
	if err != nil {
		return "", "", malformed
	}
	user, password, found := strings.Cut(string(joined), ":")
	if !found {
		return "", "", malformed
	}
	if id, err = url.QueryUnescape(user); err != nil {
		return "", "", malformed
	}
	if secret, err = url.QueryUnescape(password); err != nil {
		return "", "", malformed
	}
	if id == "" || !clean(id) || !clean(secret) {
		return "", "", malformed
	}
	return id, secret, nil
}

// isToken68 is RFC 9110 §11.2, which RFC 6750 calls b64token.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/", r)
	})
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
