package entra

import (
	"strings"

	"github.com/genkan-mcp/genkan/policy"
)

// Identity is who calls. It is policy.Identity, so that what a Verifier says can be decided upon directly.
type Identity = policy.Identity

// Refusal is a typed "no". It is policy.Refusal.
type Refusal = policy.Refusal

// Check names one of the tests a token has to pass. It is policy.Check.
type Check = policy.Check

// isGUID says whether s has the form of the IDs that Entra gives out: 8-4-4-4-12 hexadecimal digits.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// shown makes text that somebody else chose fit to be shown: no control characters, and not too long.
func shown(s string) string {
	const limit = 200
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (0x80 <= r && r < 0xa0) || r == 0x2028 || r == 0x2029 || r == 0xfffd ||
			(0x202a <= r && r <= 0x202e) || (0x2066 <= r && r <= 0x2069) {
			return -1
		}
		return r
	}, s)
	if len(clean) <= limit {
		return clean
	}
	return strings.ToValidUTF8(clean[:limit], "") + "…"
}
