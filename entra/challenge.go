package entra

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// ChallengeClaims reads the claims challenge out of a service's answer (status 401, WWW-Authenticate with
// error="insufficient_claims" and claims in base64), as JSON for OnBehalfOf.Satisfy or SignInRequest.Claims. It is ""
// if there is none.
func ChallengeClaims(header http.Header) string {
	for _, challenge := range header.Values("WWW-Authenticate") {
		if !strings.Contains(challenge, `error="insufficient_claims"`) {
			continue
		}
		_, rest, ok := strings.Cut(challenge, `claims="`)
		if !ok {
			continue
		}
		encoded, _, _ := strings.Cut(rest, `"`)
		encoded = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(encoded), "=")
		decoded, err := base64.RawStdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		if claims := readClaims(json.RawMessage(decoded)); claims != "" {
			return claims
		}
	}
	return ""
}
