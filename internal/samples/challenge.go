package samples

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/entra"
)

// challenges are what Entra wants of callers before it exchanges their tokens further: another sign-in, with claims.
// A tool can't ask for that, because its answer has begun. So it says so in words, and the caller's next request gets
// the challenge (RFC 9470), which Genkan takes to Entra. A new sign-in brings a new token, of which nothing is wanted.
type challenges struct {
	mu     sync.Mutex // guards wanted
	wanted map[[sha256.Size]byte]wanted
}

type wanted struct {
	claims string
	until  time.Time // the token's end
}

// tell says in words for a person why a service was not asked, and what to do.
func (c *challenges) tell(v visitor, service string, err error) error {
	if interaction, ok := errors.AsType[*entra.InteractionRequiredError](err); ok {
		if interaction.Claims != "" {
			c.want(v.token, interaction.Claims)
		}
		return fmt.Errorf("%s wants a new sign-in, perhaps with a second factor: try again, and sign in when you are asked to", service)
	}
	if consent, ok := errors.AsType[*entra.ConsentRequiredError](err); ok {
		return fmt.Errorf("the profile server may not use %s for you: an administrator can allow it at %s, then try again", service, consent.AdminConsentURL)
	}
	if errors.Is(err, entra.ErrAssertionEnded) {
		return fmt.Errorf("your sign-in has ended while %s was asked: try again", service)
	}
	if failure, ok := errors.AsType[*entra.Error](err); ok {
		if failure.Reason == entra.Unavailable {
			return fmt.Errorf("%s can't be asked at the moment: try again in a minute", service)
		}
		return fmt.Errorf("%s can't be asked: %s", service, failure.Remedy)
	}
	if status, ok := errors.AsType[statusError](err); ok && status == http.StatusTooManyRequests {
		return fmt.Errorf("%s has too many requests: try again in a minute", service)
	}
	return fmt.Errorf("%s can't be asked: %w", service, err)
}

func (c *challenges) want(token entra.Token, claims string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == nil {
		c.wanted = map[[sha256.Size]byte]wanted{}
	}
	for key, old := range c.wanted {
		if old.until.Before(time.Now()) {
			delete(c.wanted, key)
		}
	}
	c.wanted[sha256.Sum256([]byte(token.Reveal()))] = wanted{claims, token.Expires()}
}

// first asks for what Entra wants of the caller before anything else is done for them.
func (c *challenges) first(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		c.mu.Lock()
		want, ok := c.wanted[sha256.Sum256([]byte(token))]
		c.mu.Unlock()
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(want.claims))+`"`)
		http.Error(w, "sign in again", http.StatusUnauthorized)
	})
}
