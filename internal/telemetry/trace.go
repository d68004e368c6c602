package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TraceConfig says where traces go.
type TraceConfig struct {
	// Endpoint is where a collector takes OTLP over HTTP, such as http://collector:4318/v1/traces.
	Endpoint string
	// Ratio is the part of requests that is traced, 0 to 1. What a client says about sampling is not followed: it
	// could have everything traced.
	Ratio   float64
	Service string // zero: genkan
	Version string
	Client  *http.Client
	// Exporter is used in place of Endpoint, by tests.
	Exporter sdktrace.SpanExporter
}

// Tracing records what became of requests, and leads their traces on. A nil *Tracing does nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	format   propagation.TraceContext
}

// NewTracing makes it. The collector need not be there: traces that it doesn't take are dropped.
func NewTracing(ctx context.Context, c TraceConfig) (*Tracing, error) {
	if c.Ratio < 0 || c.Ratio > 1 {
		return nil, fmt.Errorf("telemetry: the ratio of traces is %v: it must be from 0 to 1", c.Ratio)
	}
	exporter := c.Exporter
	if exporter == nil {
		if c.Endpoint == "" {
			return nil, errors.New("telemetry: traces need an endpoint")
		}
		options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(c.Endpoint)}
		if c.Client != nil {
			options = append(options, otlptracehttp.WithHTTPClient(c.Client))
		}
		var err error
		if exporter, err = otlptracehttp.New(ctx, options...); err != nil {
			return nil, fmt.Errorf("telemetry: traces: %w", err)
		}
	}
	if c.Service == "" {
		c.Service = "genkan"
	}
	sampler := sdktrace.TraceIDRatioBased(c.Ratio)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version))),
		sdktrace.WithSampler(sdktrace.ParentBased(sampler, sdktrace.WithRemoteParentSampled(sampler), sdktrace.WithRemoteParentNotSampled(sampler))),
	)
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/genkan-mcp/genkan")}, nil
}

// Flush sends what has ended.
func (t *Tracing) Flush(ctx context.Context) error {
	if err := t.provider.ForceFlush(ctx); err != nil {
		return fmt.Errorf("telemetry: traces: %w", err)
	}
	return nil
}

// Close sends what is left and ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: traces: %w", err)
	}
	return nil
}

// Span is one request under way. A nil *Span does nothing.
type Span struct {
	span trace.Span
}

// Begin begins the span of a request, as a child of the client's, if it named one. Of what the client sends along
// (trace state, baggage) nothing is taken over.
func (t *Tracing) Begin(ctx context.Context, header http.Header) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	if values := header["Traceparent"]; len(values) == 1 {
		ctx = t.format.Extract(ctx, propagation.MapCarrier{"traceparent": values[0]})
	}
	ctx, span := t.tracer.Start(ctx, "mcp", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, &Span{span: span}
}

// Forward begins the span of what is asked of a server behind.
func (t *Tracing) Forward(ctx context.Context, server string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, "upstream "+server, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, &Span{span: span}
}

// Parent is the traceparent that leads the trace on (W3C Trace Context §3.2); empty when there is none.
func (t *Tracing) Parent(ctx context.Context) string {
	if t == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	t.format.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Name renames the span once it is known what the request is about.
func (s *Span) Name(name string) {
	if s != nil {
		s.span.SetName(name)
	}
}

// Set sets attributes, given as names and values in turn.
func (s *Span) Set(pairs ...string) {
	if s == nil {
		return
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			s.span.SetAttributes(attribute.String(pairs[i], Scrub(pairs[i+1])))
		}
	}
}

// End ends the span; a problem is why it failed, or empty.
func (s *Span) End(problem string) {
	if s == nil {
		return
	}
	if problem != "" {
		s.span.SetStatus(codes.Error, Scrub(problem))
	}
	s.span.End()
}
