// Package secret keeps what must not be seen: text that can't be printed, tokens known only by their
// hash, and records sealed under a ring of keys.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// redacted is what every attempt to print a Text shows.
const redacted = "[secret]"

// Text holds a secret. It prints, logs and marshals as "[secret]"; only Reveal gives it out. Two are ==
// when they hold the same secret.
type Text struct {
	// A handle and not a string: package fmt calls no method on an unexported field of somebody else's
	// struct, and would print a string there.
	value unique.Handle[string]
}

// NewText wraps a secret. No secret is the zero Text.
func NewText(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{value: unique.Make(value)}
}

// Reveal gives the secret out, for the one place that must send it.
func (t Text) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.value.Value()
}

// IsZero says whether there is no secret.
func (t Text) IsZero() bool { return t == Text{} }

// Equal compares in time that depends on the lengths only.
func (t Text) Equal(other string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other)) == 1
}

// String hides the secret.
func (t Text) String() string { return redacted }

// Format hides the secret from every verb.
func (t Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText hides the secret from every encoder.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText takes a secret from a configuration file.
func (t *Text) UnmarshalText(text []byte) error {
	*t = NewText(string(text))
	return nil
}
