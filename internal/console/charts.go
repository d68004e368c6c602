package console

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const (
	sampleEvery = 10 * time.Second
	mostSamples = 360 // an hour
)

// samples are what the metrics said in the last hour: counters only grow, so what happened is in the differences.
type samples struct {
	mu   sync.Mutex // above kept
	kept []metricSample
}

type metricSample struct {
	at                        time.Time
	requests, refused, failed float64
	spent, timed              float64 // seconds, and requests that they were spent on
	buckets                   map[float64]float64
}

// Run looks at the metrics now and then, so that the charts have a past, until ctx ends.
func (k *Console) Run(ctx context.Context) {
	if k.Admin.Metrics == nil {
		return
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if err := k.sample(); err != nil {
			k.Logger.WarnContext(ctx, "the metrics can't be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *Console) sample() error {
	families, err := k.Admin.Metrics.Gather()
	if err != nil {
		return fmt.Errorf("read the metrics: %w", err)
	}
	s := metricSample{at: k.Now(), buckets: map[float64]float64{}}
	for _, f := range families {
		s.read(f)
	}
	k.samples.mu.Lock()
	defer k.samples.mu.Unlock()
	if n := len(k.samples.kept); n > 0 && s.at.Sub(k.samples.kept[n-1].at) < sampleEvery/2 {
		k.samples.kept[n-1] = s
		return nil
	}
	k.samples.kept = append(k.samples.kept, s)
	if over := len(k.samples.kept) - mostSamples; over > 0 {
		k.samples.kept = k.samples.kept[over:]
	}
	return nil
}

func (s *metricSample) read(f *dto.MetricFamily) {
	for _, m := range f.GetMetric() {
		switch f.GetName() {
		case "genkan_requests_total":
			s.requests += m.GetCounter().GetValue()
		case "genkan_refusals_total":
			s.refused += m.GetCounter().GetValue()
		case "genkan_upstream_failures_total":
			s.failed += m.GetCounter().GetValue()
		case "genkan_request_duration_seconds":
			h := m.GetHistogram()
			s.spent += h.GetSampleSum()
			s.timed += float64(h.GetSampleCount())
			for _, b := range h.GetBucket() {
				s.buckets[b.GetUpperBound()] += float64(b.GetCumulativeCount())
			}
		}
	}
}

// chart is a small picture of an hour: a line over points, with its words for those who can't see it.
type chart struct {
	Title, Unit string
	Line, Area  string // SVG paths in a box of 240 by 60
	Last, Most  string
	Words       string
	Empty       bool
	From, Until time.Time
}

func (s *samples) charts() []chart {
	s.mu.Lock()
	defer s.mu.Unlock()
	perMinute := func(read func(metricSample) float64) func(a, b metricSample) float64 {
		return func(a, b metricSample) float64 { return grown(read(a), read(b)) / b.at.Sub(a.at).Minutes() }
	}
	return []chart{
		s.chart("Requests", "a minute", perMinute(func(m metricSample) float64 { return m.requests })),
		s.chart("Refusals", "a minute", perMinute(func(m metricSample) float64 { return m.refused })),
		s.chart("Mean latency", "ms", func(a, b metricSample) float64 {
			timed := grown(a.timed, b.timed)
			if timed == 0 {
				return 0
			}
			return grown(a.spent, b.spent) / timed * 1000
		}),
	}
}

// grown is how much a counter grew; one that starts anew grew by what it says.
func grown(before, after float64) float64 {
	if after < before {
		return after
	}
	return after - before
}

func (s *samples) chart(title, unit string, between func(a, b metricSample) float64) chart {
	c := chart{Title: title, Unit: unit}
	var points []float64
	for i := 1; i < len(s.kept); i++ {
		points = append(points, between(s.kept[i-1], s.kept[i]))
	}
	if len(points) == 0 {
		c.Empty, c.Words = true, title+": nothing was measured yet"
		return c
	}
	c.From, c.Until = s.kept[0].at, s.kept[len(s.kept)-1].at
	most := 0.0
	for _, p := range points {
		most = max(most, p)
	}
	c.Line, c.Area = drawn(points, most)
	c.Last, c.Most = amount(points[len(points)-1]), amount(most)
	c.Words = fmt.Sprintf("%s: now %s %s, at most %s %s", title, c.Last, unit, c.Most, unit)
	return c
}

// drawn draws points into a box of 240 by 60.
func drawn(points []float64, most float64) (line, area string) {
	var b strings.Builder
	for i, p := range points {
		x, y := 0.0, 57.0
		if len(points) > 1 {
			x = float64(i) * 240 / float64(len(points)-1)
		}
		if most > 0 {
			y = 57 - p/most*54
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x, y)
	}
	if len(points) == 1 {
		b.WriteString("H240")
	}
	line = b.String()
	return line, line + "V60H0Z"
}

func amount(n float64) string {
	if n == math.Trunc(n) || n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

// numbers are the latencies since the start, read off the histogram.
func (s *samples) numbers() []numberView {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return nil
	}
	last := s.kept[len(s.kept)-1]
	return []numberView{
		{Label: "Requests", Value: amount(last.requests), Note: "since the start"},
		{Label: "Refused", Value: amount(last.refused), Note: "since the start"},
		{Label: "Unanswered", Value: amount(last.failed), Note: "by servers behind"},
		{Label: "Half of them within", Value: last.quantile(0.5), Note: "since the start"},
		{Label: "95 % within", Value: last.quantile(0.95), Note: "since the start"},
	}
}

// quantile is the bound of the bucket that the quantile falls into.
func (s metricSample) quantile(q float64) string {
	if s.timed == 0 {
		return "–"
	}
	best := math.Inf(1)
	for bound, count := range s.buckets {
		if count >= q*s.timed && bound < best {
			best = bound
		}
	}
	if math.IsInf(best, 1) {
		return "over a minute"
	}
	return shortDuration(time.Duration(best * float64(time.Second)))
}
