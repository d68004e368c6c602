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
	// A pointer to a string: package fmt calls no method on an unexported field of somebody else's struct, and
	// would print a string or bytes there.
	value   *string
	expires time.Time
}

// NewToken wraps an access token that came from elsewhere, and the time at which it ends.
func NewToken(value string, expires time.Time) Token {
	if value == "" {
		return Token{}
	}
	return Token{value: &value, expires: expires}
}

// Reveal gives the token out.
func (t Token) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Expires is the time at which the token ends; zero if unknown.
func (t Token) Expires() time.Time { return t.expires }

// IsZero says whether there is no token.
func (t Token) IsZero() bool { return t.value == nil }

// Format hides the token from every verb of package fmt.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedToken) }

// String hides the token.
func (t Token) String() string { return redactedToken }

// LogValue hides the token from slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(redactedToken) }

// MarshalText hides the token from every encoder.
func (t Token) MarshalText() ([]byte, error) { return []byte(redactedToken), nil }

// State is what a Client has to remember about somebody who signed in: it holds the refresh token. Keep what Reveal
// gives out, sealed, and make a State of it again with NewState. It prints, logs and marshals as "[state]".
type State struct{ value *string }

// NewState wraps what Reveal gave out before.
func NewState(content []byte) State {
	text := string(content)
	return State{value: &text}
}

// Reveal gives the content out, for the one place that seals and stores it.
func (s State) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return []byte(*s.value)
}

// IsZero says whether there is nothing in it.
func (s State) IsZero() bool { return len(s.Reveal()) == 0 }

// Format hides the state from every verb of package fmt.
func (s State) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedState) }

// String hides the state.
func (s State) String() string { return redactedState }

// LogValue hides the state from slog.
func (s State) LogValue() slog.Value { return slog.StringValue(redactedState) }

// MarshalText hides the state from every encoder: store what Reveal gives out, not an encoding of the State.
func (s State) MarshalText() ([]byte, error) { return []byte(redactedState), nil }
