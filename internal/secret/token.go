package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
)

// alphabet is base32 in lower case without the letters that read like others. A token in it survives
// URLs, headers, form bodies and a double click unchanged.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Random draws n characters of five bits each from r. 26 of them are as hard to guess as a 128-bit key,
// 52 as a 256-bit one.
func Random(r io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("draw randomness: %w", err)
	}
	for i := range b {
		b[i] = alphabet[b[i]&31] // 32 divides 256: every character is equally likely
	}
	return string(b), nil
}

// IsRandom says whether s has the form of Random's output.
func IsRandom(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if !inAlphabet(s[i]) {
			return false
		}
	}
	return true
}

func inAlphabet(c byte) bool {
	switch c {
	case 'i', 'l', 'o', 'u':
		return false
	}
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
}

// Tag is n characters, at most 32, that only a holder of the key can give to a text: HMAC-SHA256, five bits of
// each byte.
func Tag(key []byte, text string, n int) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, text)
	b := mac.Sum(nil)[:n]
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// Digest is the SHA-256 of a token that has at least 128 bits of randomness. For such a token a fast hash
// without salt is enough: there is nothing to guess. Never use it for what a person chose.
type Digest [sha256.Size]byte

// Hash is the digest of a token.
func Hash(token string) Digest { return sha256.Sum256([]byte(token)) }

// Equal compares in constant time. The zero digest equals nothing.
func (d Digest) Equal(other Digest) bool {
	return !d.IsZero() && subtle.ConstantTimeCompare(d[:], other[:]) == 1
}

// IsZero says whether there is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes the digest in base64url.
func (d Digest) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(b) != len(d) {
		return fmt.Errorf("a digest must be %d bytes in base64url", len(d))
	}
	copy(d[:], b)
	return nil
}
