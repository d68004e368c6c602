package oidc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/genkan-mcp/genkan/internal/idp"
)

// lookUp finds a claim; dots lead into objects. A claim whose own name has dots, such as a URL, is found too.
func lookUp(claims map[string]any, path string) any {
	if value, ok := claims[path]; ok {
		return value
	}
	first, rest, more := strings.Cut(path, ".")
	inner, ok := claims[first].(map[string]any)
	if !more || !ok {
		return nil
	}
	return lookUp(inner, rest)
}

// texts are the words of a claim: a list of them, or one. What is neither names nothing, and nobody gets a role by it.
func texts(claim any) []string {
	switch value := claim.(type) {
	case string:
		return []string{value}
	case []any:
		words := make([]string, 0, len(value))
		for _, one := range value {
			if word, ok := one.(string); ok {
				words = append(words, word)
			}
		}
		return words
	}
	return nil
}

// sorted says what the authorization server has to do about a failure. What is not known is Unavailable where nobody
// answered, else Misuse: neither ends anything.
func sorted(err error) error {
	var known *idp.Error
	if errors.As(err, &known) {
		return known
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return &idp.Error{Problem: idp.Unavailable, Description: "The identity provider did not answer.", Cause: hide(err)}
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	e := &idp.Error{Problem: idp.Misuse, Description: "The identity provider refused Genkan's request.", Cause: hide(err)}
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		e.Problem, e.Description, e.RetryAfter = idp.Unavailable, "The identity provider can't answer now.", retryAfter(answer.Response)
	case answer.ErrorCode == "invalid_grant":
		e.Problem, e.Description = idp.Ended, "The identity provider ended the sign-in."
	case answer.ErrorCode == "login_required", answer.ErrorCode == "interaction_required", answer.ErrorCode == "consent_required":
		e.Problem, e.Description = idp.Interaction, "The identity provider wants you to sign in again."
	case answer.ErrorCode == "access_denied":
		e.Problem, e.Description = idp.Denied, "The identity provider refused the sign-in."
	}
	return e
}

// hide keeps of a failure what is fit for a log: an answer's body may hold tokens.
func hide(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		return errors.New("token endpoint: error " + strconv.Quote(answer.ErrorCode))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
