package entra_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/policy"
)

func TestANewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	server := startKeyServer(t)
	verifier := server.verifier(t, nil)
	wantVerified(t, verifier, server.token(t, nil))
	server.publish(publicKey("key-0", rsaKeys()[0]), publicKey("key-1", rsaKeys()[1]))
	wantVerified(t, verifier, sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-1"}, server.claims(nil)))
	if got := server.fetches.Load(); got != 2 {
		t.Errorf("fetches: want 2, got %d", got)
	}
}

func TestAKeyThatEntraWithdrewSignsNoMore(t *testing.T) {
	server := startKeyServer(t)
	verifier, token := server.verifier(t, nil), server.token(t, map[string]any{"exp": server.now().Add(24 * time.Hour).Unix()})
	wantVerified(t, verifier, token)
	server.publish(publicKey("key-1", rsaKeys()[1]))
	server.advance(61 * time.Minute)
	_, err := verifier.Verify(t.Context(), token)
	wantRefusal(t, err, policy.CheckSignature)

	// The same ID, another key: what was seen before doesn't count.
	server.publish(publicKey("key-0", rsaKeys()[0]))
	server.advance(61 * time.Minute)
	wantVerified(t, verifier, token)
	server.publish(publicKey("key-0", rsaKeys()[1]))
	server.advance(61 * time.Minute)
	_, err = verifier.Verify(t.Context(), token)
	wantRefusal(t, err, policy.CheckSignature)
}

func TestThreat19_AFloodOfUnknownKeysFetchesOnceAMinute(t *testing.T) {
	server := startKeyServer(t)
	verifier := server.verifier(t, nil)
	wantVerified(t, verifier, server.token(t, nil))
	before := server.fetches.Load()
	flood := func() {
		var all sync.WaitGroup
		for i := range 50 {
			token := sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": fmt.Sprintf("stranger-%d", i)}, server.claims(nil))
			all.Go(func() {
				_, err := verifier.Verify(t.Context(), token)
				var refusal *entra.Refusal
				if !errors.As(err, &refusal) || refusal.Check != policy.CheckSignature {
					t.Errorf("want a refusal by the signature check, got %v", err)
				}
			})
		}
		all.Wait()
	}
	flood()
	server.advance(59 * time.Second)
	flood()
	if got := server.fetches.Load() - before; got != 1 {
		t.Errorf("fetches within a minute: want 1, got %d", got)
	}
	server.advance(time.Second)
	flood()
	if got := server.fetches.Load() - before; got != 2 {
		t.Errorf("fetches after a minute: want 2, got %d", got)
	}
	wantVerified(t, verifier, server.token(t, nil))
}

// Whoever hangs up at once must not keep the new keys from those who stay.
func TestHangingUpDoesNotStopTheFetchOfNewKeys(t *testing.T) {
	server := startKeyServer(t)
	verifier := server.verifier(t, nil)
	wantVerified(t, verifier, server.token(t, nil))
	server.publish(publicKey("key-1", rsaKeys()[1]))
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, err := verifier.Verify(gone, sign(t, jose.RS256, rsaKeys()[2], map[string]any{"kid": "stranger"}, server.claims(nil))); err == nil {
		t.Error("a stranger's token: want an error")
	}
	wantVerified(t, verifier, sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-1"}, server.claims(nil)))
}

func TestAFetchThatHangsTakesNoLongerThanTheCallerWaits(t *testing.T) {
	server := startKeyServer(t)
	release := make(chan struct{})
	verifier := server.verifier(t, func(c *entra.VerifierConfig) {
		c.HTTPClient = &http.Client{Transport: altered(func(*http.Request, *http.Response) { <-release })}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := verifier.Verify(ctx, server.token(t, nil))
	wantUnavailable(t, err)
	close(release)
	wantVerified(t, verifier, server.token(t, nil))
}

func TestKeysAreFetchedAheadAndKeptWhileEntraIsDown(t *testing.T) {
	server := startKeyServer(t)
	verifier := server.verifier(t, nil)
	token := server.token(t, map[string]any{"exp": server.now().Add(72 * time.Hour).Unix()})
	wantVerified(t, verifier, token)
	server.advance(61 * time.Minute)
	wantVerified(t, verifier, token)
	if got := server.fetches.Load(); got != 2 {
		t.Errorf("fetches after an hour: want 2, got %d", got)
	}
	server.answer(http.StatusServiceUnavailable)
	server.advance(48 * time.Hour)
	for range 3 {
		wantVerified(t, verifier, token)
	}
	// A key that is not there may be a new one: while Entra is down nobody knows, so this is not a "no".
	_, err := verifier.Verify(t.Context(), sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-1"}, server.claims(nil)))
	wantUnavailable(t, err)

	server.answer(http.StatusOK)
	server.publish(publicKey("key-0", rsaKeys()[0]), publicKey("key-1", rsaKeys()[1]))
	server.advance(time.Minute)
	wantVerified(t, verifier, sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-1"}, server.claims(nil)))
}

func TestAStartWhileEntraIsDownRecovers(t *testing.T) {
	server := startKeyServer(t)
	server.answer(http.StatusServiceUnavailable)
	verifier, token := server.verifier(t, nil), server.token(t, nil)
	_, err := verifier.Verify(t.Context(), token)
	wantUnavailable(t, err)
	server.answer(http.StatusOK)
	_, err = verifier.Verify(t.Context(), token) // not yet asked again: a crowd must not keep Entra down
	wantUnavailable(t, err)
	server.advance(2 * time.Second)
	wantVerified(t, verifier, token)
}

func TestAuthoritiesThatTalkNonsenseAreUnavailable(t *testing.T) {
	for name, address := range map[string]string{"no JSON": "/%s/html", "nobody": "/%s/nothing"} {
		server := startKeyServer(t)
		server.jwks = strings.Replace(address, "/%s", server.URL, 1)
		_, err := server.verifier(t, nil).Verify(t.Context(), server.token(t, nil))
		wantUnavailable(t, err)
		if !strings.Contains(err.Error(), "fetch signing keys") {
			t.Errorf("%s: want to know what was tried, got %v", name, err)
		}
	}
}

func TestKeySetsThatAreNoneAreRefused(t *testing.T) {
	small := publicKey("key-0", rsaKeys()[0])
	small["n"] = small["n"].(string)[:171] // 1024 bits
	encryption := publicKey("key-0", rsaKeys()[0])
	encryption["use"] = "enc"
	for name, keys := range map[string][]map[string]any{
		"empty":            {},
		"symmetric":        {{"kty": "oct", "kid": "key-0", "k": "c2VjcmV0"}},
		"small":            {small},
		"for encryption":   {encryption},
		"without its name": {publicKey("", rsaKeys()[0])},
		"garbled":          {{"kty": "RSA", "kid": "key-0", "n": 7}},
	} {
		t.Run(name, func(t *testing.T) {
			server := startKeyServer(t)
			server.publish(keys...)
			_, err := server.verifier(t, nil).Verify(t.Context(), server.token(t, nil))
			wantUnavailable(t, err)
		})
	}
}

// Whoever answers for discovery must not be able to send us elsewhere for the keys.
func TestKeysComeFromTheAuthoritysOwnHost(t *testing.T) {
	elsewhere := startKeyServer(t)
	for name, address := range map[string]string{
		"another host":   elsewhere.URL + "/keys",
		"a longer name":  "http://localhost.evil.example/keys",
		"another scheme": "file:///etc/passwd",
		"none":           "keys",
	} {
		server := startKeyServer(t)
		server.jwks = address
		_, err := server.verifier(t, nil).Verify(t.Context(), server.token(t, nil))
		wantUnavailable(t, err)
		if got := elsewhere.fetches.Load(); got != 0 {
			t.Errorf("%s: keys were fetched from there", name)
		}
	}
}

func wantVerified(t *testing.T, verifier *entra.Verifier, token string) {
	t.Helper()
	if _, err := verifier.Verify(t.Context(), token); err != nil {
		t.Errorf("want the token verified, got %v", err)
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	var failure *entra.Error
	var refusal *entra.Refusal
	if !errors.As(err, &failure) || failure.Reason != entra.Unavailable || errors.As(err, &refusal) {
		t.Errorf("want Entra to be unavailable, and no refusal, got %v", err)
	}
}
