package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/telemetry"
)

func logged(t *testing.T, format telemetry.Format, write func(*slog.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(telemetry.LogConfig{Writer: &out, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	write(log)
	return out.String()
}

type holder struct {
	Open   secret.Text
	closed secret.Text
	Any    any
}

func TestThreat37_NoShapeOfASecretReachesTheLog(t *testing.T) {
	const hidden = "s3cretS3cretS3cret"
	text := secret.NewText(hidden)
	h := holder{Open: text, closed: text, Any: map[string]secret.Text{"x": text}}
	jwt := "eyJhbGciOiJub25lIn0." + hidden + ".x"
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		out := logged(t, format, func(log *slog.Logger) {
			log.Info("Bearer "+hidden, "text", text, "struct", h, "pointer", &h, "list", []secret.Text{text})
			log.Info("tokens", "ours", "gka_id_"+hidden, "refresh", "x gkr_id_"+hidden+" y", "jwt", jwt)
			log.Info("errors", "err", fmt.Errorf("call: %w", errors.New("Authorization: Bearer "+hidden)))
			log.With("with", h).WithGroup("g").Info("group", slog.Group("inner", "token", jwt))
			log.Info("bytes", "raw", []byte(hidden))
		})
		if strings.Contains(out, hidden) || strings.Count(out, "\n") != 5 {
			t.Errorf("%s shows a secret, or not five lines:\n%s", format, out)
		}
	}
}

func TestScrubLeavesWordsAlone(t *testing.T) {
	const words = "Bearer token missing; eyJ is how one begins; gka_ is ours"
	if diff := cmp.Diff(words, telemetry.Scrub(words)); diff != "" {
		t.Error(diff)
	}
}

func TestALogLineNamesItsRequestAndSession(t *testing.T) {
	out := logged(t, telemetry.JSON, func(log *slog.Logger) {
		ctx := telemetry.WithSession(telemetry.WithRequest(context.Background(), "r1"), "s1")
		log.With("a", 1).InfoContext(ctx, "hello")
	})
	var line map[string]any
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{"level": "INFO", "msg": "hello", "a": 1.0, "request_id": "r1", "session_id": "s1"}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownFormatIsAMistake(t *testing.T) {
	if _, err := telemetry.NewLogger(telemetry.LogConfig{Writer: &bytes.Buffer{}, Format: "xml"}); err == nil {
		t.Error("xml is a format")
	}
	if _, err := telemetry.ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestMetricsSayWhatHappened(t *testing.T) {
	m := telemetry.NewMetrics()
	m.Request(telemetry.Sample{Server: "weather", Method: "tools/call", Decision: "allowed", Status: 200, Duration: time.Second})
	m.Tool("weather", "get_forecast")
	done := m.Stream("weather")
	out := scrape(t, m)
	for _, want := range []string{
		`genkan_requests_total{decision="allowed",method="tools/call",server="weather",status="2xx"} 1`,
		`genkan_tool_calls_total{server="weather",tool="get_forecast"} 1`,
		`genkan_open_streams{server="weather"} 1`,
		`genkan_request_duration_seconds_count{method="tools/call",server="weather"} 1`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %s", want)
		}
	}
	done()
	if out := scrape(t, m); !strings.Contains(out, `genkan_open_streams{server="weather"} 0`) {
		t.Error("a stream that ended is still counted")
	}
}

func TestToolLabelsAreBounded(t *testing.T) {
	m := telemetry.NewMetrics()
	for i := range 1000 {
		m.Tool("weather", fmt.Sprint("tool", i))
	}
	out := scrape(t, m)
	if n := strings.Count(out, "genkan_tool_calls_total{"); n != 101 {
		t.Errorf("%d labels", n)
	}
	if !strings.Contains(out, `genkan_tool_calls_total{server="weather",tool="other"} 900`) {
		t.Error("what has no label of its own is not counted")
	}
}

func TestATraceGoesOnFromTheClientToTheServerBehind(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracing, err := telemetry.NewTracing(t.Context(), telemetry.TraceConfig{Exporter: exporter, Ratio: 1})
	if err != nil {
		t.Fatal(err)
	}
	const id = "0af7651916cd43dd8448eb211c80319c"
	header := http.Header{"Traceparent": {"00-" + id + "-b7ad6b7169203331-00"}, "Tracestate": {"x=secret"}, "Baggage": {"user=admin"}}
	ctx, span := tracing.Begin(t.Context(), header)
	span.Name("tools/call weather")
	span.Set("a", "b", "token", "Bearer abcdefghijklmnop")
	inner, call := tracing.Forward(ctx, "weather")
	parent := tracing.Parent(inner)
	call.End("timeout")
	span.End("")
	if !strings.HasPrefix(parent, "00-"+id+"-") || strings.Contains(parent, "b7ad6b7169203331") {
		t.Errorf("parent %s", parent)
	}
	if err := tracing.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := exporter.GetSpans()
	if len(spans) != 2 || spans[0].Name != "upstream weather" || spans[1].Name != "tools/call weather" || spans[0].SpanContext.TraceID().String() != id {
		t.Fatalf("%+v", spans)
	}
	for _, s := range spans {
		if s.SpanContext.TraceState().Len() != 0 || strings.Contains(fmt.Sprint(s.Attributes), "abcdefghijklmnop") {
			t.Errorf("a span carries what it must not: %+v", s)
		}
	}
	out := logged(t, telemetry.JSON, func(log *slog.Logger) { log.InfoContext(ctx, "x") })
	if !strings.Contains(out, `"trace_id":"`+id+`"`) {
		t.Error(out)
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAClientCantHaveEverythingTraced(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracing, err := telemetry.NewTracing(t.Context(), telemetry.TraceConfig{Exporter: exporter, Ratio: 0})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Begin(t.Context(), http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	span.End("")
	if err := tracing.Flush(t.Context()); err != nil || len(exporter.GetSpans()) != 0 {
		t.Errorf("%d spans, %v", len(exporter.GetSpans()), err)
	}
}

func TestWithoutTracingNothingHappens(t *testing.T) {
	var tracing *telemetry.Tracing
	ctx, span := tracing.Begin(t.Context(), http.Header{})
	span.Name("x")
	span.Set("a", "b")
	span.End("")
	if parent := tracing.Parent(ctx); parent != "" {
		t.Error(parent)
	}
	if err := tracing.Close(ctx); err != nil {
		t.Error(err)
	}
}
