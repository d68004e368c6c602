package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// S256 is the only code challenge method that Genkan takes (RFC 7636 §4.2, OAuth 2.1 §7.5.2).
const S256 = "S256"

// CheckChallenge judges the code challenge of an authorization request. A method that is left out means
// "plain" (RFC 7636 §4.3), which is refused like any other that is not S256.
func CheckChallenge(challenge, method string) error {
	if challenge == "" {
		return Refuse(InvalidRequest, "code_challenge is missing; PKCE with S256 is required")
	}
	if method != S256 {
		return Refuse(InvalidRequest, "code_challenge_method must be S256")
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(sum) != sha256.Size {
		return Refuse(InvalidRequest, "code_challenge is not a SHA-256 in base64url without padding")
	}
	return nil
}

// CheckVerifier judges the form of a code verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
func CheckVerifier(verifier string) error {
	if verifier == "" {
		return Refuse(InvalidRequest, "code_verifier is missing")
	}
	wrong := strings.ContainsFunc(verifier, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~", r)
	})
	if len(verifier) < 43 || len(verifier) > 128 || wrong {
		return Refuse(InvalidRequest, "code_verifier must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~")
	}
	return nil
}

// Challenge256 is the S256 challenge of a verifier (RFC 7636 §4.2).
func Challenge256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Proves says whether a verifier belongs to a challenge, in constant time (RFC 7636 §4.6).
func Proves(verifier, challenge string) bool {
	return CheckVerifier(verifier) == nil &&
		subtle.ConstantTimeCompare([]byte(Challenge256(verifier)), []byte(challenge)) == 1
}
