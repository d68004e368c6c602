package oauth

import (
	"slices"
	"strings"
)

// maxScopes bounds a scope parameter.
const maxScopes = 64

// ParseScope reads a scope parameter (RFC 6749 §3.3): words between spaces, each kept once, in the order in
// which they came.
func ParseScope(s string) ([]string, error) {
	var scopes []string
	for word := range strings.FieldsSeq(s) {
		if !IsScope(word) {
			return nil, Refuse(InvalidScope, "the scope parameter holds a character that is not allowed")
		}
		if !slices.Contains(scopes, word) {
			scopes = append(scopes, word)
		}
		if len(scopes) > maxScopes {
			return nil, Refuse(InvalidScope, "the scope parameter holds too many scopes")
		}
	}
	return scopes, nil
}

// IsScope says whether a word is a scope token (RFC 6749 §3.3).
func IsScope(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return r <= 0x20 || r == '"' || r == '\\' || r >= 0x7f
	})
}

// JoinScope writes scopes as one parameter.
func JoinScope(scopes []string) string { return strings.Join(scopes, " ") }
