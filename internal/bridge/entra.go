package bridge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

var errNoEntraYet = errors.New("signing in at Entra directly is not there yet")

func (a *access) signInEntra(context.Context, *target, *record, []string, *challenge) (*record, error) {
	return nil, errNoEntraYet
}

func (a *access) refreshEntra(context.Context, *record) (*record, error) { return nil, errNoEntraYet }

// decodeClaims reads the claims of a challenge, which Entra's resources send in base64 of either alphabet.
func decodeClaims(encoded string) string {
	if encoded == "" {
		return ""
	}
	encoded = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(decoded)
}

// unreachable says in plain words that somebody could not be reached.
func unreachable(err error) error {
	return fmt.Errorf("can't be reached: %w", err)
}
