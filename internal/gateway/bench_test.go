package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// canned is a server behind that answers at once, so that what is measured is the way.
func canned(size int) http.Handler {
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"%s"}]}}`, strings.Repeat("x", size))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
}

// way is one way from a client to the server behind.
type way struct {
	name  string
	url   string
	token string
	took  []time.Duration
	total time.Duration
}

// ways are directly, through Go's own reverse proxy, and through the gateway with token, rules, audit and metrics on.
func ways(b testing.TB, behind http.Handler) []*way {
	server := httptest.NewServer(behind)
	b.Cleanup(server.Close)
	target := must(url.Parse(server.URL))
	proxy := &httputil.ReverseProxy{Transport: upstream.NewTransport(), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = "/"
	}}
	plain := httptest.NewServer(proxy)
	b.Cleanup(plain.Close)
	file := must(audit.OpenFile(filepath.Join(b.TempDir(), "audit.jsonl")))
	d := openDoor(b, settings{behind: behind, sinks: []audit.Sink{file}})
	return []*way{
		{name: "direct", url: server.URL},
		{name: "proxy", url: plain.URL + "/weather/mcp"},
		{name: "genkan", url: d.resource(), token: d.token(alice())},
	}
}

// round sends so many requests over so many connections.
func (w *way) round(b testing.TB, client *http.Client, requests, connections int) {
	body := []byte(call("get_forecast", `{"city":"Oslo"}`))
	var group sync.WaitGroup
	began := time.Now()
	took := make([][]time.Duration, connections)
	for c := range connections {
		group.Go(func() {
			for range requests / connections {
				r, err := http.NewRequest(http.MethodPost, w.url, bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json, text/event-stream")
				if w.token != "" {
					r.Header.Set("Authorization", "Bearer "+w.token)
				}
				start := time.Now()
				resp, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if w.name == "proxy" && err != nil {
					continue // it cuts answers off when a server answers before it has read its request
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Error(w.name, resp.StatusCode, err)
					return
				}
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	group.Wait()
	w.total += time.Since(began)
	w.took = append(w.took, slices.Concat(took...)...)
}

func (w *way) percentile(p float64) time.Duration {
	slices.Sort(w.took)
	return w.took[min(len(w.took)-1, int(float64(len(w.took))*p))]
}

// BenchmarkWays measures the three ways in turns, so that what else the machine does falls on all of them, and says
// how the gateway compares with the bare reverse proxy. All parts run in this process: the ratio counts the
// client and the server behind as well.
func BenchmarkWays(b *testing.B) {
	for _, size := range []int{100, 1 << 20} {
		for _, connections := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("size=%d/connections=%d", size, connections), func(b *testing.B) {
				all := ways(b, canned(size))
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
				defer client.CloseIdleConnections()
				requests := 512
				if size > 1000 {
					requests = 64
				}
				for _, w := range all {
					w.round(b, client, connections*2, connections)
					w.total, w.took = 0, nil
				}
				for b.Loop() {
					for _, w := range all {
						w.round(b, client, requests, connections)
					}
				}
				for _, w := range all {
					b.ReportMetric(float64(len(w.took))/w.total.Seconds(), w.name+"-req/s")
					b.ReportMetric(float64(w.percentile(0.5).Microseconds()), w.name+"-p50-µs")
					b.ReportMetric(float64(w.percentile(0.99).Microseconds()), w.name+"-p99-µs")
				}
				b.ReportMetric(all[1].total.Seconds()/all[2].total.Seconds(), "of-proxy")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkGateway is the gateway alone, without sockets before it: what a profile should look at.
func BenchmarkGateway(b *testing.B) {
	d := openDoor(b, settings{reach: instant{}})
	token := d.token(alice())
	body := call("get_forecast", `{"city":"Oslo"}`)
	host := strings.TrimPrefix(d.url, "http://")
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/weather/mcp", strings.NewReader(body))
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		d.gateway.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// instant is a server behind that takes no time.
type instant struct{}

func (instant) Forward(context.Context, *upstream.Request) (*upstream.Response, error) {
	const body = `{"jsonrpc":"2.0","id":1,"result":{}}`
	return &upstream.Response{Status: 200, Type: "application/json", Shape: 1, Length: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
}
func (instant) Close() error { return nil }

// TestThreat36_TenThousandStreamsCostLittle opens many streams that wait and measures what the gateway holds for
// each. The sockets of clients and of the server behind are in this process too, and their memory is subtracted by
// measuring as many streams without the gateway. GENKAN_STREAMS sets how many.
func TestThreat36_ManyOpenStreamsCostLittle(t *testing.T) {
	streams := 200
	if s := os.Getenv("GENKAN_STREAMS"); s != "" {
		_ = must(fmt.Sscan(s, &streams))
	}
	d := openDoor(t, settings{behind: waiting()})
	direct := httptest.NewServer(waiting())
	t.Cleanup(direct.Close)
	without := perStream(t, direct.URL, "", streams)
	with := perStream(t, d.resource(), d.token(alice()), streams)
	t.Logf("%d streams: %.1f KiB each directly, %.1f KiB each through the gateway: the gateway holds %.1f KiB a stream",
		streams, without/1024, with/1024, (with-without)/1024)
	if limit := 64.0 * 1024; with-without > limit {
		t.Errorf("the gateway holds %.0f bytes a stream, more than %.0f", with-without, limit)
	}
}

// waiting is a server behind whose streams wait.
func waiting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": welcome\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// perStream is what one open stream costs, in bytes of heap and stacks.
func perStream(t *testing.T, address, token string, streams int) float64 {
	t.Helper()
	transport := &http.Transport{ReadBufferSize: 512, WriteBufferSize: 512}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := heldMemory()
	bodies := make([]io.Closer, 0, streams)
	defer func() {
		for _, b := range bodies {
			_ = b.Close()
		}
	}()
	first := make([]byte, 4)
	for range streams {
		r := must(http.NewRequestWithContext(ctx, http.MethodGet, address, nil))
		r.Header.Set("Accept", "text/event-stream")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
		if _, err := io.ReadFull(resp.Body, first); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.StatusCode, err)
		}
	}
	return float64(heldMemory()-before) / float64(streams)
}

func heldMemory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if os.Getenv("GENKAN_STREAMS") != "" {
		fmt.Fprintf(os.Stderr, "heap %d KiB, stacks %d KiB, goroutines %d\n", m.HeapInuse>>10, m.StackInuse>>10, runtime.NumGoroutine())
	}
	return int64(m.HeapInuse + m.StackInuse)
}
