package grant

import (
	"crypto/subtle"
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
	tagLen    = 26 // 130 bits
)

// token is a token in its parts: prefix, the ID of its session, "_", secret, and for a refresh token a tag.
type token struct {
	id   string
	hash secret.Digest
	// tagged and tag tell a refresh token that was spent long ago, and whose hash was forgotten, from an
	// invented one: the tag is the chain's.
	tagged, tag string
}

// parseToken takes a token of one kind apart, and says whether it has the form of one. It accepts no other
// spelling: no case, no padding, no space.
func parseToken(prefix, text string) (token, bool) {
	rest, found := strings.CutPrefix(text, prefix)
	id, body, split := strings.Cut(rest, "_")
	length := secretLen
	if prefix == refreshPrefix {
		length += tagLen
	}
	if !found || !split || !secret.IsRandom(id, idLen) || !secret.IsRandom(body, length) {
		return token{}, false
	}
	t := token{id: id, hash: secret.Hash(text)}
	if prefix == refreshPrefix {
		t.tagged, t.tag = text[:len(text)-tagLen], text[len(text)-tagLen:]
	}
	return t, true
}

// newToken draws an access token or a code.
func newToken(rand io.Reader, prefix, id string) (string, error) {
	body, err := secret.Random(rand, secretLen)
	if err != nil {
		return "", err
	}
	return prefix + id + "_" + body, nil
}

// newRefresh draws a refresh token of a chain.
func newRefresh(rand io.Reader, id string, tagKey []byte) (string, error) {
	tagged, err := newToken(rand, refreshPrefix, id)
	if err != nil {
		return "", err
	}
	return tagged + secret.Tag(tagKey, tagged, tagLen), nil
}

// issued says whether a refresh token was given to this chain at any time.
func (c *chain) issued(t token) bool {
	if len(c.TagKey) == 0 || t.tag == "" {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(t.tag), []byte(secret.Tag(c.TagKey, t.tagged, tagLen))) == 1
}
