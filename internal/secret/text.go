// Package secret keeps what must not be seen: text that can't be printed, tokens known only by their
// hash, and records sealed under a ring of keys.
package secret

import (
	"crypto/subtle"
	"log/slog"
)

// redacted is what every attempt to print a Text shows.
const redacted = "[secret]"

// Text holds a secret. It prints, logs and marshals as "[secret]"; only Reveal gives it out.
type Text struct{ value string }

// NewText wraps a secret.
func NewText(value string) Text { return Text{value: value} }

// Reveal gives the secret out, for the one place that must send it.
func (t Text) Reveal() string { return t.value }

// IsZero says whether there is no secret.
func (t Text) IsZero() bool { return t.value == "" }

// Equal compares in time that depends on the lengths only.
func (t Text) Equal(other string) bool {
	return subtle.ConstantTimeCompare([]byte(t.value), []byte(other)) == 1
}

// String hides the secret.
func (t Text) String() string { return redacted }

// GoString hides the secret from %#v.
func (t Text) GoString() string { return redacted }

// MarshalText hides the secret from every encoder.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText takes a secret from a configuration file.
func (t *Text) UnmarshalText(text []byte) error {
	t.value = string(text)
	return nil
}
