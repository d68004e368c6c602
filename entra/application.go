package entra

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// ApplicationToken returns a token with which this application calls a service as itself (client credentials). The
// resource is the service's application ID URI, such as https://graph.microsoft.com; the token carries every
// application permission of it that was consented to. It is kept and renewed ahead of its end.
func (c *Client) ApplicationToken(ctx context.Context, resource string) (Token, error) {
	resource = strings.TrimSuffix(resource, "/.default")
	if _, err := oneResource([]string{resource + "/.default"}); err != nil || resource == "" {
		return Token{}, fmt.Errorf("get application token: %w", errors.Join(errors.New("the resource is not a name such as https://graph.microsoft.com"), err))
	}
	return c.tokens.get(ctx, c.applicationRequest(resource, ""))
}

func (c *Client) applicationRequest(resource, challenge string) tokenRequest {
	return tokenRequest{
		key: "application\x00" + resource, fingerprint: challenge, anew: challenge != "",
		ask: func(ctx context.Context) (Token, error) { return c.askAsApplication(ctx, resource, challenge) },
	}
}

func (c *Client) askAsApplication(ctx context.Context, resource, challenge string) (Token, error) {
	const op = "get application token"
	client, err := c.msal(nil)
	if err != nil {
		return Token{}, explainFailure(op, err)
	}
	var options []confidential.AcquireByCredentialOption
	if challenge != "" {
		options = append(options, confidential.WithClaims(challenge))
	}
	result, err := client.AcquireTokenByCredential(ctx, []string{resource + "/.default"}, options...)
	if err != nil {
		return Token{}, explainFailure(op, err)
	}
	return c.given(result), nil
}

// given is a token that MSAL returned. MSAL reckons its end by the machine's clock, which need not be ours.
func (c *Client) given(result confidential.AuthResult) Token {
	return NewToken(result.AccessToken, c.config.Now().Add(time.Until(result.ExpiresOn)))
}
