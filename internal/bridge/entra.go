package bridge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/genkan-mcp/genkan/entra"
)

// signInEntra signs the person in at Entra itself, as a public client. Entra registers no clients, so it wants
// to be given one.
func (a *access) signInEntra(ctx context.Context, t *target, scopes []string, c *challenge) (*record, error) {
	if a.options.SignIn.ClientID == "" {
		return nil, fmt.Errorf("the server trusts Microsoft Entra ID directly, which registers no clients by itself: "+
			"register a public client with the redirect URI http://localhost in the tenant, and pass its ID with --client-id (issuer: %s)", t.issuer)
	}
	next := &record{
		Server: a.options.Server, Authority: entraTenant, Issuer: t.issuer, Resource: t.resource,
		ClientID: a.options.SignIn.ClientID, Requested: entraScopes(scopes),
	}
	// The library starts with nothing: with two people in its memory it would have to guess.
	ask := &question{person: a.person, options: &a.options.SignIn}
	terminal, err := a.terminal(next, ask.openPage, ask.showCode)
	if err != nil {
		return nil, err
	}
	defer ask.over()
	ctx, cancel := ask.until(ctx)
	defer cancel()
	claims := decodeClaims(c.claims)
	token, err := terminal.Satisfy(ctx, claims)
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return nil, a.nobodyCame()
	case errors.Is(context.Cause(ctx), errDeclined):
		return nil, errDeclined
	case err != nil:
		return nil, err
	}
	return next.withEntra(token, a), nil
}

// refreshEntra asks Entra without the person.
func (a *access) refreshEntra(ctx context.Context, r *record) (*record, error) {
	next := *r
	terminal, err := a.terminal(&next, askNobody, nil)
	if err != nil {
		return nil, err
	}
	token, err := terminal.Token(ctx)
	failure := (*entra.Error)(nil)
	switch {
	case err == nil && token.Reveal() == r.AccessToken:
		return nil, fmt.Errorf("%w: Entra gives the same token again, which the server refuses", errSignInEnded)
	case err == nil:
		return next.withEntra(token, a), nil
	case errors.As(err, &failure) && failure.Reason == entra.Unavailable:
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", errSignInEnded, err)
}

func (r *record) withEntra(token entra.Token, a *access) *record {
	next := *r
	next.AccessToken, next.Issued, next.Expires = token.Reveal(), a.options.Now(), token.Expires()
	next.Granted = next.Requested
	return &next
}

// entraScopes leaves out those that belong to no resource: the library asks for them by itself.
func entraScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		return s == "openid" || s == "profile" || s == "email" || s == offlineAccess
	})
}

// terminal makes the library's sign-in for a record, which keeps what the library remembers.
func (a *access) terminal(r *record, openPage func(string) error, showCode func(entra.DeviceCode)) (*entra.Terminal, error) {
	cloud, tenant, err := cloudOf(r.Issuer)
	if err != nil {
		return nil, err
	}
	terminal, err := entra.NewTerminal(entra.TerminalConfig{
		Cloud: cloud, Tenant: tenant, ClientID: r.ClientID, Scopes: r.Requested, Cache: (*recordCache)(r),
		OpenBrowser: openPage, ShowCode: showCode, HTTPClient: a.http, Now: a.options.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("sign in at %s: %w (the scopes come from the server's metadata, or from --scope)", r.Issuer, err)
	}
	return terminal, nil
}

// askNobody is for what has to be silent.
func askNobody(string) error { return errNeedsPerson }

// cloudOf finds Entra's cloud and the tenant of an issuer.
func cloudOf(issuer string) (entra.Cloud, string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return entra.Cloud{}, "", err
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	base := u.Scheme + "://" + strings.ToLower(u.Host)
	for _, cloud := range []entra.Cloud{entra.Public(), entra.USGovernment(), entra.China()} {
		if cloud.Authority() == base {
			return cloud, tenant, nil
		}
	}
	cloud, err := entra.DevCloud(base)
	return cloud, tenant, err
}

// recordCache lets the library remember in a record.
type recordCache record

var _ entra.Cache = (*recordCache)(nil)

// Load implements entra.Cache.
func (c *recordCache) Load(context.Context) ([]byte, error) { return c.State, nil }

// Save implements entra.Cache.
func (c *recordCache) Save(_ context.Context, content []byte) error {
	c.State = content
	return nil
}

// question is what the library asks the person, through the bridge's own ways.
type question struct {
	person   *person
	options  *SignIn
	withdraw func()
	declined chan (<-chan struct{})
}

func (q *question) openPage(address string) error {
	if q.options.useCode() {
		return errors.New("a code was asked for")
	}
	q.withdraw, _ = q.person.openPage(context.Background(), address)
	return nil
}

func (q *question) showCode(code entra.DeviceCode) {
	var declined <-chan struct{}
	q.withdraw, declined = q.person.showCode(context.Background(), code.Code, code.Address)
	if q.declined != nil {
		q.declined <- declined
	}
}

// until ends the wait when the person declines.
func (q *question) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	q.declined = make(chan (<-chan struct{}), 1)
	go func() {
		select {
		case declined := <-q.declined:
			select {
			case <-declined:
				cancel(errDeclined)
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (q *question) over() {
	if q.withdraw != nil {
		q.withdraw()
	}
}

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
