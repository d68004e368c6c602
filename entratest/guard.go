package entratest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// guard is what a service that Entra protects demands of a token.
type guard struct {
	audiences []string
	// missing is the answer when there is no token.
	missing func(*http.Request) *graphRefusal
}

// guarded lets only requests with a token for the service through.
func (t *Tenant) guarded(g guard, h graphHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := t.admit(r, g)
		if err == nil {
			err = h(w, r, b)
		}
		if err != nil {
			t.resourceError(w, r, err)
		}
	})
}

func (t *Tenant) admit(r *http.Request, g guard) (*bearer, error) {
	token := authorization(r)
	if token == "" {
		return nil, g.missing(r)
	}
	unauthorized := func(message string) *graphRefusal {
		no := g.missing(r)
		no.message = message
		return no
	}
	b, err := t.open(token)
	switch {
	case errors.Is(err, errExpired):
		return nil, unauthorized("Lifetime validation failed, the token is expired.")
	case err != nil:
		return nil, unauthorized("Invalid token: " + err.Error() + ".")
	case !slices.Contains(g.audiences, b.Audience):
		return nil, unauthorized("Access token validation failure. Invalid audience.")
	}
	return b, t.stillGood(r, b)
}

// stillGood is continuous access evaluation: a client that said it understands claims challenges hears
// at once when the person was disabled or signed out.
func (t *Tenant) stillGood(r *http.Request, b *bearer) error {
	var got issued
	t.remember(func(s *state) {
		if kept := s.issued[b.ID]; kept != nil {
			got = *kept
		}
	})
	if !got.challenges || got.ended.IsZero() {
		return nil
	}
	return t.challenged(r, fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, got.ended.Unix()))
}

// challenged asks for claims, as a resource does that continuous access evaluation reaches.
func (t *Tenant) challenged(r *http.Request, claimsJSON string) *graphRefusal {
	return &graphRefusal{
		status: 401, code: "InvalidAuthenticationToken",
		message: "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp",
		challenge: t.graphChallenge(r) + `, error="insufficient_claims", claims="` +
			base64.StdEncoding.EncodeToString([]byte(claimsJSON)) + `"`,
	}
}

// resourceError writes a refusal of a protected service.
func (t *Tenant) resourceError(w http.ResponseWriter, r *http.Request, err error) {
	var no *graphRefusal
	if !errors.As(err, &no) {
		no = &graphRefusal{status: 500, code: "generalException", message: err.Error()}
	}
	id := t.guid()
	correlation := orElse(r.Header.Get("client-request-id"), id)
	w.Header().Set("request-id", id)
	w.Header().Set("client-request-id", correlation)
	if no.challenge != "" {
		w.Header().Set("WWW-Authenticate", no.challenge)
	}
	writeJSON(w, no.status, map[string]any{"error": map[string]any{
		"code": no.code, "message": no.message,
		"innerError": map[string]string{
			"date": t.now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": correlation,
		},
	}})
}
