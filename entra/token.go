package entra

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

const (
	redactedToken = "[token]"
	redactedState = "[state]"
)

// Token is an access token of Entra. However it is printed, logged or encoded it shows as "[token]"; only
// Reveal gives the text out, for the one place that sends it.
type Token struct {
	value   string
	expires time.Time
}

// NewToken wraps an access token that came from elsewhere, and the time at which it ends.
func NewToken(value string, expires time.Time) Token { return Token{value: value, expires: expires} }

// Reveal gives the token out.
func (t Token) Reveal() string { return t.value }

// Expires is the time at which the token ends; zero if unknown.
func (t Token) Expires() time.Time { return t.expires }

// IsZero says whether there is no token.
func (t Token) IsZero() bool { return t.value == "" }

// Format hides the token from every verb of package fmt.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedToken) }

// String hides the token.
func (t Token) String() string { return redactedToken }

// LogValue hides the token from slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(redactedToken) }

// MarshalText hides the token from every encoder.
func (t Token) MarshalText() ([]byte, error) { return []byte(redactedToken), nil }

// State is what a Client has to remember about somebody who signed in: it holds the refresh token. Keep it
// sealed, as bytes ([]byte(state)), and hand it to Refresh. It prints, logs and marshals as "[state]".
type State []byte

// Format hides the state from every verb of package fmt.
func (s State) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedState) }

// String hides the state.
func (s State) String() string { return redactedState }

// LogValue hides the state from slog.
func (s State) LogValue() slog.Value { return slog.StringValue(redactedState) }

// MarshalText hides the state from every encoder: store the bytes, not an encoding of a struct around them.
func (s State) MarshalText() ([]byte, error) { return []byte(redactedState), nil }
