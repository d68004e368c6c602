package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
	"github.com/pkg/browser"
)

// TerminalConfig says how a person at a terminal or desktop signs in. Tenant, ClientID and Scopes must be given.
type TerminalConfig struct {
	Cloud    Cloud  // zero: the public cloud
	Tenant   string // the tenant's ID (a GUID)
	ClientID string // of an app registration that allows public client flows, with redirect URI http://localhost
	Scopes   []string

	// Cache keeps the sign-in between two runs of the program; zero: it is forgotten when the program ends. Keep it
	// where only this person can read it: it holds a refresh token.
	Cache Cache
	// LoginHint is the address of the person; it also chooses between several who have signed in before.
	LoginHint string
	// OpenBrowser shows a page to the person; zero: the system's browser.
	OpenBrowser func(address string) error
	// ShowCode tells the person to enter a code on another device, where no browser can be opened. Without it there is
	// no such way.
	ShowCode func(DeviceCode)

	HTTPClient *http.Client     // zero: one with a timeout
	Now        func() time.Time // zero: time.Now
}

// Cache keeps bytes between two runs of a program, such as in the system's key store. Load returns nil if there are none.
type Cache interface {
	Load(ctx context.Context) ([]byte, error)
	Save(ctx context.Context, content []byte) error
}

// DeviceCode is what a person enters on another device.
type DeviceCode struct {
	Code    string
	Address string // where to enter it
	Message string // both in one sentence, in Entra's words
	Expires time.Time
}

// Terminal signs in a person who sits in front of the program. It is safe for concurrent use.
type Terminal struct {
	config TerminalConfig
	msal   public.Client
}

// NewTerminal checks the configuration and reports every mistake in it. It does not talk to Entra yet.
func NewTerminal(config TerminalConfig) (*Terminal, error) {
	config, err := config.normalized()
	if err != nil {
		return nil, fmt.Errorf("new terminal: %w", err)
	}
	options := []public.Option{
		public.WithAuthority(config.Cloud.secureAuthority() + "/" + config.Tenant),
		public.WithHTTPClient(newHTTPClient(config.Cloud, config.HTTPClient, config.Now)),
		public.WithInstanceDiscovery(false),
	}
	if config.Cache != nil {
		options = append(options, public.WithCache(&terminalCache{config.Cache}))
	}
	client, err := public.New(config.ClientID, options...)
	if err != nil {
		return nil, fmt.Errorf("new terminal: %w", err)
	}
	return &Terminal{config: config, msal: client}, nil
}

func (c TerminalConfig) normalized() (TerminalConfig, error) {
	var mistakes []error
	c.Tenant, c.ClientID = strings.ToLower(c.Tenant), strings.ToLower(c.ClientID)
	if !isGUID(c.Tenant) {
		mistakes = append(mistakes, fmt.Errorf("tenant: %q is not a tenant ID (a GUID)", c.Tenant))
	}
	if !isGUID(c.ClientID) {
		mistakes = append(mistakes, fmt.Errorf("client ID: %q is not a GUID", c.ClientID))
	}
	if _, err := oneResource(c.Scopes); err != nil {
		mistakes = append(mistakes, err)
	}
	if c.OpenBrowser == nil {
		c.OpenBrowser = browser.OpenURL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, errors.Join(mistakes...)
}

// errNoBrowser means that the page could not be shown.
var errNoBrowser = errors.New("no browser could be opened")

// Token returns an access token for the scopes: without a question if the person has signed in before and Entra still
// agrees, else through the browser, else (where none can be opened) with a code on another device. It waits for the
// person; end the context to stop waiting.
func (t *Terminal) Token(ctx context.Context) (Token, error) {
	token, err := t.silent(ctx)
	var failure *Error
	if err == nil || (errors.As(err, &failure) && failure.Reason == Unavailable) {
		return token, err
	}
	// Whatever else Entra has against the old sign-in, a new one can repair.
	return t.Satisfy(ctx, challengeOf(err))
}

// Satisfy has the person sign in again, and returns a token that meets a claims challenge ([ChallengeClaims]) if there
// is one.
func (t *Terminal) Satisfy(ctx context.Context, claims string) (Token, error) {
	token, err := t.interactive(ctx, claims)
	if errors.Is(err, errNoBrowser) && t.config.ShowCode != nil {
		return t.deviceCode(ctx, claims)
	}
	return token, err
}

// SignOut forgets everybody who signed in here. It does not sign them out of their browser.
func (t *Terminal) SignOut(ctx context.Context) error {
	accounts, err := t.msal.Accounts(ctx)
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	for _, account := range accounts {
		if err := t.msal.RemoveAccount(ctx, account); err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	return nil
}

func challengeOf(err error) string {
	var interaction *InteractionRequiredError
	if errors.As(err, &interaction) {
		return interaction.Claims
	}
	return ""
}

// errNobody means that nobody has signed in here before.
var errNobody = errors.New("nobody has signed in here before")

func (t *Terminal) silent(ctx context.Context) (Token, error) {
	accounts, err := t.msal.Accounts(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("sign in silently: read the cache: %w", err)
	}
	account, ok := t.choose(accounts)
	if !ok {
		return Token{}, errNobody
	}
	result, err := t.msal.AcquireTokenSilent(ctx, t.config.Scopes, public.WithSilentAccount(account))
	if err != nil {
		return Token{}, explainFailure("sign in silently", err)
	}
	return t.given(result), nil
}

// choose wants one person: the one that the hint names, or the only one.
func (t *Terminal) choose(accounts []public.Account) (public.Account, bool) {
	for _, account := range accounts {
		if t.config.LoginHint != "" && strings.EqualFold(account.PreferredUsername, t.config.LoginHint) {
			return account, true
		}
	}
	if t.config.LoginHint == "" && len(accounts) == 1 {
		return accounts[0], true
	}
	return public.Account{}, false
}

func (t *Terminal) interactive(ctx context.Context, claims string) (Token, error) {
	options := []public.AcquireInteractiveOption{public.WithOpenURL(func(address string) error {
		if err := t.config.OpenBrowser(t.config.Cloud.plain(address)); err != nil {
			return fmt.Errorf("%w: %w", errNoBrowser, err)
		}
		return nil
	})}
	if t.config.LoginHint != "" {
		options = append(options, public.WithLoginHint(t.config.LoginHint))
	}
	if claims != "" {
		options = append(options, public.WithClaims(claims))
	}
	result, err := t.msal.AcquireTokenInteractive(ctx, t.config.Scopes, options...)
	switch {
	case errors.Is(err, errNoBrowser):
		return Token{}, &Error{Op: "sign in with the browser", Reason: Misuse, Cause: err, Remedy: "Open a browser on this machine, or allow the sign-in with a code."}
	case err != nil:
		return Token{}, explainFailure("sign in with the browser", err)
	}
	return t.given(result), nil
}

func (t *Terminal) deviceCode(ctx context.Context, claims string) (Token, error) {
	const op = "sign in with a code"
	var options []public.AcquireByDeviceCodeOption
	if claims != "" {
		options = append(options, public.WithClaims(claims))
	}
	device, err := t.msal.AcquireTokenByDeviceCode(ctx, t.config.Scopes, options...)
	if err != nil {
		return Token{}, explainFailure(op, err)
	}
	t.config.ShowCode(DeviceCode{
		Code: device.Result.UserCode, Address: t.config.Cloud.plain(device.Result.VerificationURL),
		Message: device.Result.Message, Expires: device.Result.ExpiresOn,
	})
	result, err := device.AuthenticationResult(ctx)
	if err != nil {
		return Token{}, explainFailure(op, err)
	}
	return t.given(result), nil
}

func (t *Terminal) given(result public.AuthResult) Token {
	return NewToken(result.AccessToken, t.config.Now().Add(time.Until(result.ExpiresOn)))
}

// terminalCache shows MSAL a Cache.
type terminalCache struct{ Cache }

var _ cache.ExportReplace = (*terminalCache)(nil)

// Replace implements cache.ExportReplace.
func (c *terminalCache) Replace(ctx context.Context, into cache.Unmarshaler, _ cache.ReplaceHints) error {
	content, err := c.Load(ctx)
	if err != nil || len(content) == 0 {
		return err
	}
	return into.Unmarshal(content)
}

// Export implements cache.ExportReplace.
func (c *terminalCache) Export(ctx context.Context, from cache.Marshaler, _ cache.ExportHints) error {
	content, err := from.Marshal()
	if err != nil {
		return err
	}
	return c.Save(ctx, content)
}
