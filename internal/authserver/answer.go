package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/policy"
)

// writeJSON answers a program. Nothing that this room answers may be kept by anybody on the way
// (RFC 6749 §5.1), but for the documents that set their own Cache-Control.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
	return nil
}

// failJSON renders a refusal as RFC 6749 §5.2 wants it.
func (a *AuthServer) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	refusal := explain(err)
	a.logRefusal(r.Context(), r, refusal, err)
	if after := retryAfter(err); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	}
	if refusal.Status() == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="genkan"`) // RFC 6749 §5.2
	}
	w.Header().Del("Cache-Control")
	if err := writeJSON(w, refusal.Status(), refusal); err != nil {
		a.Logger.ErrorContext(r.Context(), "an answer could not be written", "error", err)
	}
}

// failPage renders a refusal for a person. The incident number leads to the log, where the cause stands.
func (a *AuthServer) failPage(w http.ResponseWriter, r *http.Request, err error) {
	refusal := explain(err)
	incident := telemetry.RequestID(r.Context())
	if incident == "" {
		incident, _ = secret.Random(a.Rand, 10)
	}
	a.logRefusal(r.Context(), r, refusal, err, "incident", incident)
	problem := page.Problem{Status: refusal.Status(), Incident: incident}
	problem.Title, problem.Text, problem.Remedy = words(refusal)
	var told *problemError
	if errors.As(err, &told) {
		problem.Title, problem.Text, problem.Remedy = told.title, told.text, told.remedy
	}
	if after := retryAfter(err); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	}
	if err := a.pages.Problem(w, problem); err != nil {
		a.Logger.ErrorContext(r.Context(), "a page could not be written", "error", err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
	}
}

// problemError is a refusal that has its own words for a person.
type problemError struct {
	title, text, remedy string
	cause               error
}

func (p *problemError) Error() string { return p.cause.Error() }
func (p *problemError) Unwrap() error { return p.cause }

// words say a refusal to a person who did nothing wrong: they pressed a button in an app.
func words(refusal *oauth.Error) (title, text, remedy string) {
	switch status := refusal.Status(); {
	case status == http.StatusTooManyRequests:
		return "Too many requests", "A lot of sign-ins were started from your network just now.", "Wait a minute, then start again from your app."
	case status == http.StatusServiceUnavailable:
		return "Signing in is not possible right now", "A service that is needed to sign you in does not answer. Nothing is lost.", "Wait a minute, then start again from your app."
	case status >= http.StatusInternalServerError:
		return "Something went wrong", "The sign-in could not be finished because of a mistake on our side.", "Start again from your app. If it happens again, tell your administrator."
	default:
		return "Signing in stopped here", "The app that sent you here asked for something that is not allowed: " + oauth.PlainText(refusal.Description) + ".", "Start again from your app. If that does not help, the app is not set up right: show this page to whoever looks after it."
	}
}

func (a *AuthServer) logRefusal(ctx context.Context, r *http.Request, refusal *oauth.Error, err error, more ...any) {
	attrs := append([]any{
		"path", r.URL.Path, "code", string(refusal.Code), "status", refusal.Status(), "cause", err, "address", a.Address(r),
	}, more...)
	if refusal.Status() >= http.StatusInternalServerError {
		a.Logger.ErrorContext(ctx, "a request failed", attrs...)
		return
	}
	a.Logger.InfoContext(ctx, "a request was refused", attrs...)
}

// explain turns every error of this room into the words of OAuth. What it does not know is a server_error that
// tells the client nothing.
func explain(err error) *oauth.Error {
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal
	}
	if problem, ok := errors.AsType[*idp.Error](err); ok {
		return explainProvider(problem)
	}
	if errors.Is(err, grant.ErrUnavailable) || errors.Is(err, errStore) || errors.Is(err, context.DeadlineExceeded) {
		return oauth.Refuse(oauth.TemporarilyUnavailable, "try again later").Because(err)
	}
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return explainRefusal(refusal)
	}
	return oauth.Refuse(oauth.ServerError, "something went wrong here").Because(err)
}

// explainRefusal says which OAuth error a refusal of grant is (RFC 6749 §5.2, RFC 8707 §2).
func explainRefusal(refusal *policy.Refusal) *oauth.Error {
	code := oauth.InvalidGrant
	switch refusal.Check {
	case policy.CheckAudience:
		code = oauth.InvalidTarget
	case policy.CheckScope:
		code = oauth.InvalidScope
	default:
	}
	description := "wanted " + refusal.Wanted + ", got " + refusal.Got
	if refusal.Remedy != "" {
		description += "; " + refusal.Remedy
	}
	return oauth.Refuse(code, "%s", description).Because(refusal)
}

// explainProvider says what a failure of the identity provider means to a client. An outage ends nothing.
func explainProvider(problem *idp.Error) *oauth.Error {
	switch problem.Problem {
	case idp.Denied:
		return oauth.Refuse(oauth.AccessDenied, "%s", orElse(problem.Description, "the sign-in was declined")).Because(problem)
	case idp.Interaction:
		return oauth.Refuse(oauth.InvalidGrant, "%s", orElse(problem.Description, "the person must sign in again")).Because(problem)
	case idp.Ended:
		return oauth.Refuse(oauth.InvalidGrant, "%s", orElse(problem.Description, "the sign-in is no longer valid; sign in again")).Because(problem)
	case idp.Unavailable:
		return oauth.Refuse(oauth.TemporarilyUnavailable, "the identity provider does not answer; try again later").Because(problem)
	default:
		return oauth.Refuse(oauth.ServerError, "the identity provider refused this gateway").Because(problem)
	}
}

// retryAfter is how long a client should wait, when that is known.
func retryAfter(err error) time.Duration {
	if limited, ok := errors.AsType[*limitedError](err); ok {
		return limited.wait
	}
	if problem, ok := errors.AsType[*idp.Error](err); ok && problem.Problem == idp.Unavailable {
		return max(problem.RetryAfter, 5*time.Second)
	}
	if explain(err).Code == oauth.TemporarilyUnavailable {
		return 5 * time.Second
	}
	return 0
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// connectionAddress is who is at the other end of the connection.
func connectionAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
