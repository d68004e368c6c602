package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// useCode says whether a code is better than a page: it was asked for, or there is no browser here.
func (s *SignIn) useCode() bool { return s.DeviceCode || s.NoBrowser }

// deviceEndpoint is the device authorization endpoint of the authorization server (RFC 8628 §4), "" if it has
// none.
func (a *access) deviceEndpoint(ctx context.Context, t *target) (string, error) {
	u, err := url.Parse(t.issuer)
	if err != nil {
		return "", err
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	root := u.Scheme + "://" + u.Host
	for _, place := range []string{
		root + "/.well-known/oauth-authorization-server" + path,
		root + "/.well-known/openid-configuration" + path,
		root + path + "/.well-known/openid-configuration",
	} {
		var meta struct {
			Issuer   string `json:"issuer"`
			Endpoint string `json:"device_authorization_endpoint"`
		}
		if err := fetchJSON(ctx, a.http, place, &meta); err != nil || meta.Issuer != t.meta.Issuer {
			continue
		}
		if meta.Endpoint == "" {
			return "", nil
		}
		if _, err := serverURL(meta.Endpoint); err != nil {
			return "", fmt.Errorf("the device authorization endpoint of %s: %w", t.issuer, err)
		}
		return meta.Endpoint, nil
	}
	return "", nil
}

// signInByDevice shows a code and an address, and waits until somebody entered it anywhere (RFC 8628).
func (a *access) signInByDevice(ctx context.Context, t *target, stored *record, scopes []string, endpoint string) (*record, error) {
	next, err := a.client(ctx, t, stored, "http://127.0.0.1/callback")
	if err != nil {
		return nil, err
	}
	next.Requested = scopes
	config := next.config(t)
	config.Endpoint.DeviceAuthURL = endpoint
	code, err := config.DeviceAuth(a.withClient(ctx), resourceParam(t))
	if err != nil {
		return nil, fmt.Errorf("ask %s for a code: %w", t.issuer, tokenError(err))
	}
	withdraw, declined := a.person.showCode(ctx, code.UserCode, code.VerificationURI)
	defer withdraw()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-declined:
			cancel(errDeclined)
		case <-ctx.Done():
		}
	}()
	token, err := config.DeviceAccessToken(a.withClient(ctx), code, resourceParam(t))
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	return next.with(token, a.options.Now()), nil
}

func deviceError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errDeclined) {
		return cause
	}
	if answer := (*oauth2.RetrieveError)(nil); errors.As(err, &answer) {
		switch answer.ErrorCode {
		case "access_denied":
			return errDeclined
		case "expired_token":
			return errors.New("nobody entered the code in time; try again to get a new one")
		}
	}
	return fmt.Errorf("wait for the code to be entered: %w", tokenError(err))
}
