package entra_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

// BenchmarkVerify compares, in one run: go-jose alone (parse and check the signature, and nothing else), a Verifier that
// sees each token for the first time, and one that has seen it before.
func BenchmarkVerify(b *testing.B) {
	server := startKeyServer(b)
	token := server.token(b, nil)
	key := &rsaKeys()[0].PublicKey
	b.Run("bare-go-jose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := jws.Verify(key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first-sight", func(b *testing.B) { benchmarkFirstSight(b, server) })
	b.Run("seen-before", func(b *testing.B) {
		verifier := server.verifier(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := verifier.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seen-before-parallel", func(b *testing.B) {
		verifier := server.verifier(b, nil)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := verifier.Verify(context.Background(), token); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("forged", func(b *testing.B) {
		verifier := server.verifier(b, nil)
		forged := sign(b, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-0"}, server.claims(nil))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := verifier.Verify(b.Context(), forged); err == nil {
				b.Fatal("verified a forged token")
			}
		}
	})
}

// benchmarkFirstSight has tokens made beforehand, because signing costs twenty times as much as checking, and takes them
// in turn to verifiers that have seen none of them. The keys are warm.
func benchmarkFirstSight(b *testing.B, server *keyServer) {
	warmer := server.token(b, nil)
	tokens := make([]string, 64)
	for i := range tokens {
		tokens[i] = server.token(b, map[string]any{"uti": time.Duration(i).String()})
	}
	warm := func() *entra.Verifier {
		v := server.verifier(b, nil)
		if _, err := v.Verify(b.Context(), warmer); err != nil {
			b.Fatal(err)
		}
		return v
	}
	verifier := warm()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(tokens) {
			b.StopTimer()
			verifier, i = warm(), 0
			b.StartTimer()
		}
		if _, err := verifier.Verify(b.Context(), tokens[i]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkOnBehalfOf lets 1,000 callers ask for one key at once, with nothing kept before: upstream/op is how often
// Entra was asked for each such crowd. It must be exactly 1.
func BenchmarkOnBehalfOf(b *testing.B) {
	const callers = 1000
	tenant := entratest.Start(b)
	client := newClient(b, tenant)
	signIn := signInAs(b, client, tenant, "alice")
	obo := exchange(b, client)
	b.Run("1000-callers-of-one-key", func(b *testing.B) {
		before := grants(tenant, oboGrant)
		rounds := 0
		for b.Loop() {
			obo.Forget("bench")
			rounds++
			if err := crowd(b, obo, entra.Assertion{Token: signIn.Token, Session: "bench"}, callers); err != nil {
				b.Fatal(err)
			}
		}
		upstream := float64(grants(tenant, oboGrant)-before) / float64(rounds)
		b.ReportMetric(upstream, "upstream/op")
		if upstream != 1 {
			b.Errorf("upstream requests for each crowd: want exactly 1, got %v", upstream)
		}
	})
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := obo.Token(b.Context(), entra.Assertion{Token: signIn.Token, Session: "bench"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
