package grant_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
)

// fuzzed is a house for fuzzing, with one session and one code in it.
func fuzzed(f *testing.F) (s *memory.Store, g *grant.Grants, code string, tokens grant.Tokens) {
	f.Helper()
	c := newClock()
	ring, err := secret.NewRing(c.Now, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	s = memory.New()
	if g, err = grant.New(grant.Config{Store: s, Ring: ring, Now: c.Now}); err != nil {
		f.Fatal(err)
	}
	first, err := g.Open(context.Background(), opening())
	if err != nil {
		f.Fatal(err)
	}
	if tokens, err = g.Redeem(context.Background(), redemption(first)); err != nil {
		f.Fatal(err)
	}
	if code, err = g.Open(context.Background(), opening()); err != nil {
		f.Fatal(err)
	}
	return s, g, code, tokens
}

// Whatever a stranger offers is refused for its token, and ends nothing.
func FuzzATokenFromAStrangerIsRefused(f *testing.F) {
	_, g, code, tokens := fuzzed(f)
	access, refresh := tokens.Access.Reveal(), tokens.Refresh.Reveal()
	for _, seed := range []string{"", "gka_", "gkr__", access[:40], refresh[:len(refresh)-1] + "0", code + "0", "gka_" + tokens.GrantID + "_",
		strings.Repeat("gka_", 40), "gkr_" + tokens.GrantID + "_" + strings.Repeat("0", 78), "GKA_\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == access || text == refresh || text == code {
			return
		}
		_, checkErr := g.Check(t.Context(), text, resource)
		_, rotateErr := g.Rotate(t.Context(), grant.Rotation{Refresh: text, Client: client}, welcome)
		_, redeemErr := g.Redeem(t.Context(), redemption(text))
		for _, err := range []error{checkErr, rotateErr, redeemErr} {
			if r, ok := errors.AsType[*policy.Refusal](err); !ok || r.Check != policy.CheckToken {
				t.Errorf("%q: %v", text, err)
			} else if len(text) > 8 && strings.Contains(r.Error(), text) {
				t.Errorf("the refusal repeats the token %q", text)
			}
		}
		if i, err := g.Introspect(t.Context(), text); err != nil || i.Active {
			t.Errorf("Introspect(%q) = %v, %v", text, i.Active, err)
		}
		if err := g.Revoke(t.Context(), text, client); err != nil {
			t.Errorf("Revoke(%q): %v", text, err)
		}
		if _, err := g.Check(t.Context(), access, resource); err != nil {
			t.Fatalf("after %q the good token is refused: %v", text, err)
		}
	})
}

// Whatever lies in the store, nothing panics, and only a record that holds the token's hash lets it in.
func FuzzARecordOfAnyContentIsSafe(f *testing.F) {
	s, _, _, tokens := fuzzed(f)
	good, err := s.Get(context.Background(), "grant", tokens.GrantID)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Value)
	for _, seed := range []string{"", "null", "{}", `{"v":1}`, `{"v":2}`, `{"v":1,"chains":[{}]}`, `{"v":1,"chains":[{"access":[{}]}]}`,
		`{"v":1,"chains":null,"identity":{"tid":"a","oid":"b"}}`} {
		f.Add([]byte(seed))
	}
	hash, err := secret.Hash(tokens.Access.Reveal()).MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		s := memory.New()
		r := store.Record{Kind: "grant", ID: tokens.GrantID, Value: value, Expires: good.Expires}
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		c := newClock()
		ring, err := secret.NewRing(c.Now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		g, err := grant.New(grant.Config{Store: s, Ring: ring, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Check(t.Context(), tokens.Access.Reveal(), resource)
		if err == nil && !strings.Contains(string(value), string(hash)) && !strings.Contains(string(value), `\`) {
			t.Errorf("a record without the token's hash lets it in: %s", value)
		}
		_, _ = g.Rotate(t.Context(), rotation(tokens), welcome)
		_, _ = g.Get(t.Context(), tokens.GrantID)
		_, _ = g.List(t.Context(), grant.Query{})
		_, _ = g.Upstream(t.Context(), tokens.GrantID)
		_, _ = g.Introspect(t.Context(), tokens.Refresh.Reveal())
		_ = g.Revoke(t.Context(), tokens.Access.Reveal(), client)
		_ = g.End(t.Context(), tokens.GrantID)
	})
}
