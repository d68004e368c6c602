package telemetry

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Format is the look of log lines.
type Format string

// The formats.
const (
	JSON Format = "json" // the default
	Text Format = "text"
)

// LogConfig shapes the log.
type LogConfig struct {
	Writer io.Writer
	Format Format
	Level  slog.Leveler // nil: info; give a *slog.LevelVar to change it while running
}

// NewLogger makes the logger of the house. Its lines carry the request, the session and the trace of their context.
// What looks like a token is taken out of them, wherever it stands: that is the second line of defence, the first
// is secret.Text.
func NewLogger(c LogConfig) (*slog.Logger, error) {
	if c.Writer == nil {
		return nil, errors.New("telemetry: a log needs a writer")
	}
	options := &slog.HandlerOptions{Level: c.Level, ReplaceAttr: clean}
	var h slog.Handler
	switch c.Format {
	case JSON, "":
		h = slog.NewJSONHandler(c.Writer, options)
	case Text:
		h = slog.NewTextHandler(c.Writer, options)
	default:
		return nil, fmt.Errorf("telemetry: log format %q is neither json nor text", c.Format)
	}
	return slog.New(contextHandler{h}), nil
}

// ParseLevel reads "debug", "info", "warn" or "error".
func ParseLevel(s string) (slog.Level, error) {
	var level slog.Level
	if s == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("telemetry: log level %q is none of debug, info, warn, error", s)
	}
	return level, nil
}

// contextHandler adds what the context knows.
type contextHandler struct{ slog.Handler }

// Handle writes the record with the attributes of its context.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := fromContext(ctx); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the context in what it returns.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the context in what it returns.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

// clean takes secrets out of one attribute. slog calls it for every value that is not a group.
func clean(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); suspicious(s) {
			a.Value = slog.StringValue(Scrub(s))
		}
	case slog.KindAny:
		a.Value = slog.StringValue(Scrub(print(a.Value.Any())))
	default:
	}
	return a
}

// print writes a value as the log shows it. It never uses %v on a structure: that would reach unexported fields,
// and past the String method of a secret in them.
func print(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	case *slog.Source:
		return fmt.Sprintf("%s:%d", v.File, v.Line)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return string(text)
}

// marks begin what must not be seen: our tokens, a JWT, a bearer token of somebody else. Each is followed by
// its secret.
func marks() [6]string {
	return [6]string{"gka_", "gkr_", "gkc_", "eyJ", "Bearer ", "bearer "}
}

func suspicious(s string) bool {
	for _, mark := range marks() {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// Scrub replaces everything in s that looks like a token by "[secret]".
func Scrub(s string) string {
	for _, mark := range marks() {
		if strings.Contains(s, mark) {
			s = scrubAfter(s, mark)
		}
	}
	return s
}

// scrubAfter takes out what follows a mark, if it is long enough to be a token; words are left alone.
func scrubAfter(s, mark string) string {
	const shortest = 12
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n := 0
		for n < len(after) && tokenByte(after[n]) {
			n++
		}
		b.WriteString(mark)
		if n >= shortest {
			b.WriteString("[secret]")
		} else {
			b.WriteString(after[:n])
		}
		s = after[n:]
	}
}

// tokenByte says whether a byte can stand in a bearer token (RFC 6750 §2.1).
func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-._~+/=", c) >= 0
}
