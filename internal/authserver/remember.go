package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	// ConsentKind is the kind of the records that remember consents. Their owner is the person
	// (policy.Identity.Key); removing a record revokes the consent.
	ConsentKind = "consent"
	consentLife = 90 * 24 * time.Hour
)

// Consent is a consent that is remembered: what one person allowed one client to do with one server.
type Consent struct {
	Client      string    `json:"client"`
	ClientName  string    `json:"client_name"`
	RedirectURI string    `json:"redirect_uri"` // as registered
	Server      string    `json:"server"`
	Scopes      []string  `json:"scopes"`
	Given       time.Time `json:"given"`
}

// wanted is what a consent is about, but for the person.
func (s signIn) wanted() string { return digest("wanted", s.Client, s.Redirect, s.Server) }

// consentOf is the ID of the consent of one person.
func (s signIn) consentOf(person string) string {
	return digest("consent", person, s.Client, s.Redirect, s.Server)
}

// digest hashes words so that no two lists of them read the same.
func digest(words ...string) string {
	h := sha256.New()
	for _, word := range words {
		fmt.Fprintf(h, "%d:%s", len(word), word)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// mayRemember says whether a consent can stand for the next time. A client that can't prove who it is, whose ID
// anybody knows, and that is called back on this computer, may be imitated by any program on it: a person
// must look each time (RFC 8252 §8.6). A client that registered itself has an ID that only it knows.
func mayRemember(c *client, r oauth.Redirect) bool {
	return r.Kind == oauth.WebRedirect || c.origin == registered || !c.public()
}

// recollection is a consent that was given before; the zero one is none.
type recollection struct {
	id     string
	person string // policy.Identity.Key
	Consent
}

func (r recollection) covers(asked []string) bool {
	return !slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(r.Scopes, scope) })
}

// recall finds what this browser remembers of the same client, redirect and server, unless it was revoked: a
// consent to everything that is asked for, or else the latest.
func (a *AuthServer) recall(r *http.Request, s signIn) (recollection, error) {
	var latest recollection
	what := s.wanted()
	for _, known := range a.remembered(r) {
		if known.What != what {
			continue
		}
		found, err := a.consentRecord(r.Context(), known.Consent)
		if err != nil || found.id != "" && found.covers(s.Scopes) {
			return found, err
		}
		if latest.id == "" {
			latest = found
		}
	}
	return latest, nil
}

// recalls says whether this browser remembers that this person said yes to all of it.
func (a *AuthServer) recalls(r *http.Request, s signIn, who policy.Identity) (bool, error) {
	id := s.consentOf(who.Key())
	if !slices.Contains(a.remembered(r), rememberedConsent{What: s.wanted(), Consent: id}) {
		return false, nil
	}
	given, err := a.consentRecord(r.Context(), id)
	return given.person == who.Key() && given.covers(s.Scopes), err
}

func (a *AuthServer) consentRecord(ctx context.Context, id string) (recollection, error) {
	stored, err := a.Store.Get(ctx, ConsentKind, id)
	if errors.Is(err, store.ErrNotFound) {
		return recollection{}, nil
	}
	if err != nil {
		return recollection{}, fmt.Errorf("find consent: %w: %w", errStore, err)
	}
	if !a.Now().Before(stored.Expires) {
		return recollection{}, nil
	}
	found := recollection{id: id, person: stored.Owner}
	if err := json.Unmarshal(stored.Value, &found.Consent); err != nil {
		return recollection{}, fmt.Errorf("read consent: %w", err)
	}
	return found, nil
}

// noteConsent writes a consent down, with all that was allowed before.
func (a *AuthServer) noteConsent(ctx context.Context, s signIn, who policy.Identity) error {
	id := s.consentOf(who.Key())
	for range 5 {
		stored, err := a.Store.Get(ctx, ConsentKind, id)
		fresh := errors.Is(err, store.ErrNotFound)
		if err != nil && !fresh {
			return fmt.Errorf("note consent: %w: %w", errStore, err)
		}
		given := Consent{}
		if !fresh && json.Unmarshal(stored.Value, &given) != nil {
			given = Consent{}
		}
		scopes := given.Scopes
		for _, scope := range s.Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
		now := a.Now()
		value, err := json.Marshal(Consent{
			Client: s.Client, ClientName: s.ClientName, RedirectURI: s.Redirect, Server: s.Server, Scopes: scopes, Given: now,
		})
		if err != nil {
			return fmt.Errorf("note consent: %w", err)
		}
		next := store.Record{Kind: ConsentKind, ID: id, Owner: who.Key(), Value: value, Expires: now.Add(consentLife), Revision: stored.Revision}
		if fresh {
			err = a.Store.Create(ctx, next)
		} else {
			_, err = a.Store.Swap(ctx, next)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
			continue // another window was faster
		default:
			return fmt.Errorf("note consent: %w: %w", errStore, err)
		}
	}
	return fmt.Errorf("note consent: %w: it changes all the time", errStore)
}
