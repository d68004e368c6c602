package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/telemetry"
)

// Everything that the gateway says anywhere, while everything goes well and wrong, with secrets that are known.
func TestThreat37_NoSecretShowsAnywhere(t *testing.T) {
	const exchanged, assertion, argument = "EXCHANGED-entra-token", "ASSERTION-entra-token", "ARGUMENT-of-a-call"
	status := http.StatusOK
	rec := &recorder{answer: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+r.Header.Get("Authorization")+`"`)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}}
	exporter := tracetest.NewInMemoryExporter()
	tracing := must(telemetry.NewTracing(t.Context(), telemetry.TraceConfig{Exporter: exporter, Ratio: 1}))
	give := func(context.Context, gateway.Caller) (entra.Token, error) {
		return entra.NewToken(assertion, time.Now().Add(time.Hour)), nil
	}
	d := openDoor(t, settings{behind: rec, config: func(g *gateway.Config) { g.Tracing = tracing }, server: func(s *gateway.Server) {
		s.Credential = must(gateway.NewOnBehalfOf(gateway.OnBehalfOfConfig{Exchange: fixedExchange(exchanged), Assertion: give}))
	}})
	good, revoked := d.token(alice()), d.tokens(bob())
	other := d.tokensFor(alice(), d.url+"/profile/mcp").Access.Reveal()
	if err := d.grants.End(t.Context(), revoked.GrantID); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, status = range []int{200, 401, 403, 500, 503} {
		for _, token := range []string{good, revoked.Access.Reveal(), other, "eyJhbGciOiJub25lIn0.e30.GARBAGE-token-xyz"} {
			for _, body := range []string{call("get_forecast", `{"city":"`+argument+`"}`), call("set_alert", `{"city":"`+argument+`"}`), `{"broken":"` + argument + `"`} {
				fmt.Fprintln(&said, d.post(token, body))
			}
			r := d.request(token, call("get_forecast", "{}"))
			r.URL.RawQuery = "access_token=" + token
			fmt.Fprintln(&said, d.do(r))
		}
	}
	if err := tracing.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := len(exporter.GetSpans())
	for _, s := range exporter.GetSpans() {
		fmt.Fprintln(&said, s.Name, s.Attributes, s.Status, s.Events)
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.events()
	metrics := httptest.NewRecorder()
	d.metrics.Handler().ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/", nil))
	said.WriteString(d.log.String() + string(d.lines.Bytes()) + metrics.Body.String())
	for name, hidden := range map[string]string{
		"the client's token": good, "an ended token": revoked.Access.Reveal(), "another server's token": other, "a part of a token": good[len(good)-20:],
		"the exchanged token": exchanged, "the assertion": assertion, "an argument": argument, "a garbage token": "GARBAGE-token-xyz",
	} {
		if strings.Contains(said.String(), hidden) {
			t.Errorf("%s shows", name)
		}
	}
	requests, _ := rec.seen()
	for _, r := range requests {
		if strings.Contains(fmt.Sprint(r.Header), good) {
			t.Error("the client's token reached the server behind")
		}
	}
	if len(requests) == 0 || spans == 0 || d.log.String() == "" {
		t.Error("nothing happened, so nothing was shown")
	}
}

// fixedExchange gives one token to everybody.
type fixedExchange string

func (f fixedExchange) Token(context.Context, entra.Assertion) (entra.Token, error) {
	return entra.NewToken(string(f), time.Now().Add(time.Hour)), nil
}

func (f fixedExchange) Satisfy(ctx context.Context, a entra.Assertion, _ string) (entra.Token, error) {
	return f.Token(ctx, a)
}

func (fixedExchange) Forget(string) {}

func TestATraceGoesOnToTheServerBehindInHeaderAndMessage(t *testing.T) {
	rec := &recorder{}
	exporter := tracetest.NewInMemoryExporter()
	tracing := must(telemetry.NewTracing(t.Context(), telemetry.TraceConfig{Exporter: exporter, Ratio: 1}))
	d := openDoor(t, settings{behind: rec, config: func(g *gateway.Config) { g.Tracing = tracing }})
	r := d.request(d.token(alice()), call("get_forecast", "{}"))
	const id = "0af7651916cd43dd8448eb211c80319c"
	r.Header.Set("Traceparent", "00-"+id+"-b7ad6b7169203331-01")
	d.do(r)
	requests, bodies := rec.seen()
	parent := requests[0].Header.Get("Traceparent")
	if !strings.HasPrefix(parent, "00-"+id) || !strings.Contains(bodies[0], `"_meta":{"traceparent":"`+parent+`"}`) {
		t.Errorf("header %q, body %s", parent, bodies[0])
	}
	if err := tracing.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range exporter.GetSpans() {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"upstream weather", "tools/call weather"}, names); diff != "" {
		t.Error(diff)
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestADrainEndsStreamsThatWaitAndFinishesAnswers(t *testing.T) {
	inside, leave := make(chan struct{}, 2), make(chan struct{})
	rec := &recorder{answer: func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		<-leave
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}}
	d := openDoor(t, settings{behind: rec})
	token := d.token(alice())
	waiting, answer := make(chan int), make(chan int)
	go func() {
		r := d.request(token, "")
		r.Method, r.Body = http.MethodGet, nil
		waiting <- d.do(r).status
	}()
	go func() { answer <- d.post(token, call("get_forecast", "{}")).status }()
	<-inside
	<-inside
	d.gateway.Drain()
	if status := <-waiting; status != http.StatusOK && status != http.StatusServiceUnavailable {
		t.Errorf("the stream ends with %d", status)
	}
	close(leave)
	if status := <-answer; status != http.StatusOK {
		t.Errorf("the answer is cut off: %d", status)
	}
}
