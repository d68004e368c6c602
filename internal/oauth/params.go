package oauth

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of a request. They are far above what any client sends and far below what hurts.
const (
	MaxForm   = 64 << 10 // bytes in a form or a query
	maxParams = 64       // parameters in a request
	maxKey    = 128      // bytes in a parameter's name
)

// isSecret names what must not stand in a query, where proxies and histories keep it (RFC 6749 §2.3.1,
// RFC 6750 §2.3, RFC 9700 §4.3.2).
func isSecret(name string) bool {
	switch name {
	case "client_secret", "client_assertion", "code_verifier", "refresh_token", "access_token", "token",
		"id_token", "assertion", "password":
		return true
	}
	return false
}

// Params are the parameters of a request: each name once, no control bytes, valid UTF-8. A parameter
// without a value is as if it had not been sent (RFC 6749 §3.1).
type Params struct{ values map[string]string }

// Get returns a parameter, or "" when it was not sent.
func (p Params) Get(name string) string { return p.values[name] }

// Has says whether a parameter was sent with a value.
func (p Params) Has(name string) bool { return p.values[name] != "" }

// ParseQuery reads the query of an authorization request. It refuses repeated parameters, control bytes,
// too much of anything, and secrets, which have no place in an address.
func ParseQuery(raw string) (Params, error) {
	if name := secretIn(raw); name != "" {
		return Params{}, Refuse(InvalidRequest, "%s must not be sent in the query", name)
	}
	return parse(raw)
}

// ParseCallback reads the query that an identity provider sends a browser back with. It is as strict as
// [ParseQuery] but lets a code through.
func ParseCallback(raw string) (Params, error) { return parse(raw) }

// ParseForm reads the form of a POST (RFC 6749 §3.2, appendix B): contentType and rawQuery are the
// request's. It reads at most MaxForm bytes.
func ParseForm(contentType, rawQuery string, body io.Reader) (Params, error) {
	if name := secretIn(rawQuery); name != "" {
		return Params{}, Refuse(InvalidRequest, "%s must not be sent in the query", name)
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return Params{}, &Error{
			Code: InvalidRequest, HTTPStatus: http.StatusUnsupportedMediaType,
			Description: "the content type must be application/x-www-form-urlencoded",
		}
	}
	raw, err := ReadBody(body, MaxForm)
	if err != nil {
		return Params{}, err
	}
	return parse(string(raw))
}

// ReadBody reads a body that may hold at most limit bytes.
func ReadBody(body io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, limit+1))
	tooLarge := new(http.MaxBytesError)
	if int64(len(raw)) > limit || errors.As(err, &tooLarge) {
		return nil, &Error{
			Code: InvalidRequest, HTTPStatus: http.StatusRequestEntityTooLarge,
			Description: "the body is too large",
		}
	}
	if err != nil {
		return nil, Refuse(InvalidRequest, "the body could not be read").Because(err)
	}
	return raw, nil
}

func parse(raw string) (Params, error) {
	if len(raw) > MaxForm {
		return Params{}, Refuse(InvalidRequest, "the parameters are too long")
	}
	pairs, err := url.ParseQuery(raw)
	if err != nil {
		return Params{}, Refuse(InvalidRequest, "the parameters are not well formed")
	}
	if len(pairs) > maxParams {
		return Params{}, Refuse(InvalidRequest, "there are too many parameters")
	}
	values := make(map[string]string, len(pairs))
	for _, name := range slices.Sorted(maps.Keys(pairs)) { // so that of two mistakes the same one is told
		all := pairs[name]
		if len(name) > maxKey || !clean(name) {
			return Params{}, Refuse(InvalidRequest, "a parameter has a malformed name")
		}
		if len(all) > 1 && name == "resource" {
			return Params{}, Refuse(InvalidTarget, "a token is for one resource; send one resource parameter")
		}
		if len(all) > 1 {
			return Params{}, Refuse(InvalidRequest, "%s is given more than once", name)
		}
		if !clean(all[0]) {
			return Params{}, Refuse(InvalidRequest, "%s holds control characters or is not UTF-8", name)
		}
		if all[0] != "" {
			values[name] = all[0]
		}
	}
	return Params{values}, nil
}

// secretIn names the first secret in a query. It looks at the raw names too, so that a query that does not
// parse can't carry one past it.
func secretIn(raw string) string {
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if isSecret(name) {
			return name
		}
	}
	return ""
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) }
