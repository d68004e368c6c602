package authserver_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
)

func TestRegistrationsAreListedAndRemoved(t *testing.T) {
	h := newHouse(t)
	c, _, got := h.connect()
	h.register(map[string]any{"client_name": "Other"})
	names := map[string]bool{}
	for after := ""; ; {
		page, next, err := authserver.Registrations(t.Context(), h.store, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			names[r.Name] = !r.Used.IsZero()
		}
		if after = next; next == "" {
			break
		}
	}
	if used, found := names["Test Client"]; !found || !used || len(names) != 2 || names["Other"] {
		t.Errorf("registrations: %v", names)
	}
	if err := authserver.Unregister(t.Context(), h.store, c.id); err != nil {
		t.Fatal(err)
	}
	if err := authserver.Unregister(t.Context(), h.store, c.id); !errors.Is(err, authserver.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	c.refresh(got.refresh).wantError(t, "after the removal", 401, oauth.InvalidClient)
}

func TestConsentsAreListedAndRevokedByTheirPerson(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect()
	given, _, err := authserver.Consents(t.Context(), h.store, tenant+"/alice-object", "", 10)
	if err != nil || len(given) != 1 || given[0].Client != c.id || given[0].Server != "weather" || given[0].ClientName != "Test Client" {
		t.Fatalf("consents %+v: %v", given, err)
	}
	if err := authserver.RevokeConsent(t.Context(), h.store, tenant+"/bob-object", given[0].ID); !errors.Is(err, authserver.ErrNotFound) {
		t.Errorf("bob revoked alice's consent: %v", err)
	}
	if err := authserver.RevokeConsent(t.Context(), h.store, tenant+"/alice-object", given[0].ID); err != nil {
		t.Fatal(err)
	}
	if at := b.get(c.authorizeURL()).location(t); at.Path != "/consent" {
		t.Errorf("the next sign-in is not asked: %s", at)
	}
}

func TestNoSecretReachesALogARecordAnEventOrAPage(t *testing.T) {
	var log bytes.Buffer
	h := newHouse(t, func(c *authserver.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c, b := h.register(map[string]any{"token_endpoint_auth_method": "client_secret_post"}), h.browser()
	page := b.open(c.authorizeURL("state", "state-of-the-client"))
	state := b.allow(page)
	visit := h.provider.lastVisit()
	code := b.comeBack(state, "alice").location(t).Query().Get("code")
	got := c.redeem(code, "client_secret", c.secret).tokens(t)
	next := c.refresh(got.refresh, "client_secret", c.secret).tokens(t)
	bad := []answer{
		c.redeem(code, "client_secret", c.secret), // replay
		c.redeem(code, "client_secret", "wrong-secret-of-the-client"),
		c.refresh(got.refresh, "client_secret", c.secret),
		c.refresh(next.access, "client_secret", c.secret),
		h.post("/revoke", url.Values{"token": {next.refresh}, "client_id": {c.id}, "client_secret": {c.secret}}),
		h.post("/token?refresh_token="+next.refresh, url.Values{"client_id": {c.id}}),
		b.get("/callback?state=" + state + "&code=idp-code-secret"),
		b.get("/authorize?client_id=" + c.id + "&client_secret=" + c.secret),
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		c.secret, state, visit.Nonce, visit.Verifier, code, got.access, got.refresh, next.access, next.refresh, "upstream-tokens-of",
		"wrong-secret-of-the-client", "idp-code-", verifier, "state-of-the-client", page.consentForm(t).Get("csrf"), b.client.Jar.Cookies(u)[0].Value,
	}
	places := map[string]string{"the log": log.String()}
	for _, kind := range []string{"signin", "client", "consent", "grant", "demand", "assertion"} {
		records, err := h.store.List(t.Context(), kind, "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			places["a "+kind] += r.ID + string(r.Value)
		}
	}
	for _, e := range h.events.list {
		places["an event"] += e.Detail + e.Target + e.Method + e.SessionID + e.Client
		if e.Refusal != nil {
			places["an event"] += e.Refusal.Error()
		}
	}
	for _, a := range bad {
		places["an answer"] += a.body
	}
	for place, text := range places {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q", place, secret)
			}
		}
	}
	if places["the log"] == "" || places["an event"] == "" {
		t.Error("there is no log, or no event")
	}
}
