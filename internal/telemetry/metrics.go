package telemetry

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// other is the label of everything that has no place among the labels that were given one.
const other = "other"

// maxTools is how many tools of one server have a label of their own.
const maxTools = 100

// Metrics are the numbers of the house. No label takes a value from a request that was not authorised, and
// none takes more values than are known at start or bounded here.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	tools    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	limits   *prometheus.CounterVec
	streams  *prometheus.GaugeVec
	upstream *prometheus.CounterVec
	exchange *prometheus.CounterVec
	circuit  *prometheus.GaugeVec
	signIns  *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	unusual  *prometheus.CounterVec
	reloads  *prometheus.CounterVec

	mu    sync.RWMutex // above known
	known map[toolLabel]struct{}
	count map[string]int // of tools, by server
}

type toolLabel struct{ server, tool string }

// NewMetrics makes a registry of its own with everything in it, those of the Go runtime and the process too.
func NewMetrics() *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &Metrics{
		registry: registry, known: map[toolLabel]struct{}{}, count: map[string]int{},
		requests: counter(registry, "requests_total", "Requests of clients to servers, answered.", "server", "method", "decision", "status"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "genkan", Name: "request_duration_seconds",
			Help:    "From the request to the end of the answer; streams that wait for notifications are not in it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"server", "method"}),
		tools:    counter(registry, "tool_calls_total", "Calls of tools that were allowed.", "server", "tool"),
		refusals: counter(registry, "refusals_total", "Requests refused, by the check that refused.", "server", "check"),
		limits:   counter(registry, "limited_total", "Requests refused because there were too many, by the limit.", "server", "limit"),
		streams:  gauge(registry, "open_streams", "Answers that are being streamed.", "server"),
		upstream: counter(registry, "upstream_failures_total", "Requests that the server behind did not answer, by the reason.", "server", "reason"),
		exchange: counter(registry, "credential_exchanges_total", "Tokens got for servers behind.", "server", "kind", "outcome"),
		circuit:  gauge(registry, "circuit_open", "1 while no requests are sent to the server behind.", "server"),
		signIns:  counter(registry, "sign_ins_total", "Sign-ins, by their outcome.", "outcome"),
		tokens:   counter(registry, "tokens_total", "Requests for tokens, by grant type and outcome.", "grant", "outcome"),
		unusual:  counter(registry, "unusual_total", "Unusual activity, by kind.", "kind"),
		reloads:  counter(registry, "reloads_total", "Attempts to load the configuration, by outcome.", "outcome"),
	}
	registry.MustRegister(m.duration)
	return m
}

func counter(r *prometheus.Registry, name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "genkan", Name: name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

func gauge(r *prometheus.Registry, name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "genkan", Name: name, Help: help}, labels)
	r.MustRegister(g)
	return g
}

// Registry is where others add what they count.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics. Give it a listener of its own: what is in them is not for everybody.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Sample is one answered request.
type Sample struct {
	Server   string
	Method   string // of MCP, when the gateway knows it; else "other"
	Decision string
	Status   int
	Duration time.Duration
	Stream   bool // it waited for notifications: its duration says nothing
}

// Request counts an answered request.
func (m *Metrics) Request(s Sample) {
	m.requests.WithLabelValues(s.Server, s.Method, s.Decision, statusClass(s.Status)).Inc()
	if !s.Stream {
		m.duration.WithLabelValues(s.Server, s.Method).Observe(s.Duration.Seconds())
	}
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// Tool counts a call that was allowed. The first hundred tools of a server have a label each.
func (m *Metrics) Tool(server, tool string) {
	m.tools.WithLabelValues(server, m.toolLabel(server, tool)).Inc()
}

func (m *Metrics) toolLabel(server, tool string) string {
	label := toolLabel{server, tool}
	m.mu.RLock()
	_, ok := m.known[label]
	full := m.count[server] >= maxTools
	m.mu.RUnlock()
	if ok {
		return tool
	}
	if full || len(tool) > 128 {
		return other
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[label]; !ok && m.count[server] >= maxTools {
		return other
	} else if !ok {
		m.known[label] = struct{}{}
		m.count[server]++
	}
	return tool
}

// Refused counts a refusal by its check.
func (m *Metrics) Refused(server, check string) { m.refusals.WithLabelValues(server, check).Inc() }

// Limited counts a request that was one too many.
func (m *Metrics) Limited(server, limit string) { m.limits.WithLabelValues(server, limit).Inc() }

// Stream counts a stream as open until the function that it returns is called.
func (m *Metrics) Stream(server string) (done func()) {
	g := m.streams.WithLabelValues(server)
	g.Inc()
	return g.Dec
}

// UpstreamFailed counts a request that the server behind did not answer. The reasons are the gateway's few words.
func (m *Metrics) UpstreamFailed(server, reason string) {
	m.upstream.WithLabelValues(server, reason).Inc()
}

// Exchanged counts a token that was got, or not, for a server behind.
func (m *Metrics) Exchanged(server, kind string, err error) {
	m.exchange.WithLabelValues(server, kind, outcome(err)).Inc()
}

// Circuit says whether requests are sent to the server behind at all.
func (m *Metrics) Circuit(server string, open float64) {
	m.circuit.WithLabelValues(server).Set(open)
}

// SignIn counts a sign-in; outcome is one of the authorization server's few words.
func (m *Metrics) SignIn(outcome string) { m.signIns.WithLabelValues(outcome).Inc() }

// Token counts a request at the token endpoint; grant and outcome are of the authorization server's few words.
func (m *Metrics) Token(grant, outcome string) { m.tokens.WithLabelValues(grant, outcome).Inc() }

// Unusual counts unusual activity.
func (m *Metrics) Unusual(kind string) { m.unusual.WithLabelValues(kind).Inc() }

// Reloaded counts an attempt to load the configuration.
func (m *Metrics) Reloaded(err error) { m.reloads.WithLabelValues(outcome(err)).Inc() }

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
