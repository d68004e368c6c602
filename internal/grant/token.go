package grant

import (
	"io"
	"strings"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// The prefixes tell the tokens apart, for us and for secret scanners. A token's hash covers its prefix, so
// that none is ever taken for another.
const (
	accessPrefix  = "gka_"
	refreshPrefix = "gkr_"
	codePrefix    = "gkc_"
)

// The lengths of the parts, in characters of five bits.
const (
	idLen     = 26 // 130 bits: no two sessions meet
	secretLen = 52 // 260 bits
	familyLen = 26 // 130 bits that all refresh tokens of a chain share
)

// token is a token in its parts: prefix, the ID of its session, "_", secret. A refresh token's secret
// begins with its family.
type token struct {
	id     string
	hash   secret.Digest
	family secret.Digest // refresh tokens only
	// bare is the part of the secret that a refresh token hands on to its successor.
	bare string
}

// parseToken takes a token of one kind apart, and says whether it has the form of one. It accepts no other
// spelling: no case, no padding, no space.
func parseToken(prefix, text string) (token, bool) {
	rest, found := strings.CutPrefix(text, prefix)
	id, body, split := strings.Cut(rest, "_")
	length := secretLen
	if prefix == refreshPrefix {
		length += familyLen
	}
	if !found || !split || !secret.IsRandom(id, idLen) || !secret.IsRandom(body, length) {
		return token{}, false
	}
	t := token{id: id, hash: secret.Hash(text)}
	if prefix == refreshPrefix {
		t.bare = body[:familyLen]
		t.family = familyHash(id, t.bare)
	}
	return t, true
}

// familyHash is what the record keeps of a chain's family.
func familyHash(id, family string) secret.Digest {
	return secret.Hash(refreshPrefix + id + "_" + family)
}

// newToken draws a token; family is empty but for refresh tokens.
func newToken(rand io.Reader, prefix, id, family string) (string, error) {
	body, err := secret.Random(rand, secretLen)
	if err != nil {
		return "", err
	}
	return prefix + id + "_" + family + body, nil
}
