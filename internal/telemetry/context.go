// Package telemetry is how the house tells what it does: logs without secrets, metrics whose labels stay few,
// and traces that lead on to the server behind.
package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

type contextKey int

const (
	requestKey contextKey = iota
	sessionKey
)

// WithRequest names the request in the context; every log line that is written with it says the name.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// WithSession names the session that the request belongs to.
func WithSession(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, sessionKey, id)
}

// RequestID is the name that WithRequest gave, or empty.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// fromContext are the attributes that the context adds to a log line.
func fromContext(ctx context.Context) []slog.Attr {
	var attrs []slog.Attr
	if id := RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if id, _ := ctx.Value(sessionKey).(string); id != "" {
		attrs = append(attrs, slog.String("session_id", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	return attrs
}
