package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
)

type cityArguments struct {
	City string `json:"city,omitempty"`
	Size int    `json:"size,omitempty"`
}

// behind is a server behind, written with the official SDK.
type behind struct {
	http.Handler
	cancelled chan struct{} // gets one for each slow call that was cancelled
}

func weather(options *mcp.StreamableHTTPOptions) behind {
	cancelled := make(chan struct{}, 8)
	server := weatherServer(cancelled)
	options.PropagateRequestCancellation = true
	return behind{mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options), cancelled}
}

func stateless() behind { return weather(&mcp.StreamableHTTPOptions{Stateless: true}) }

func weatherServer(cancelled chan<- struct{}) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	reply := func(name string) {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(_ context.Context, _ *mcp.CallToolRequest, in cityArguments) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name + " " + in.City}}}, nil, nil
		})
	}
	for _, name := range []string{"get_forecast", "list_cities", "set_alert", "deep_scan", "near_only", "secret_tool"} {
		reply(name)
	}
	mcp.AddTool(server, &mcp.Tool{Name: "big_result"}, func(_ context.Context, _ *mcp.CallToolRequest, in cityArguments) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat("x", in.Size)}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "slow_count"}, func(ctx context.Context, r *mcp.CallToolRequest, in cityArguments) (*mcp.CallToolResult, any, error) {
		result, err := slowCount(ctx, r, in)
		if errors.Is(err, context.Canceled) {
			cancelled <- struct{}{}
		}
		return result, nil, err
	})
	for _, name := range []string{"brief", "secret_prompt"} {
		server.AddPrompt(&mcp.Prompt{Name: name}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Description: name}, nil
		})
	}
	for _, uri := range []string{"weather://oslo", "secret://oslo"} {
		server.AddResource(&mcp.Resource{URI: uri, Name: uri}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "rain"}}}, nil
		})
	}
	return server
}

// slowCount tells its progress and then waits until it is cancelled, or for a moment.
func slowCount(ctx context.Context, r *mcp.CallToolRequest, in cityArguments) (*mcp.CallToolResult, error) {
	for i := range 3 {
		if token := r.Params.GetProgressToken(); token != nil {
			if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(i)}); err != nil {
				return nil, err
			}
		}
	}
	if in.City == "forever" {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Second):
			return nil, errors.New("nobody cancelled")
		}
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "counted"}}}, nil
}

// compileCondition knows one form of condition: city=NAME.
func compileCondition(source string) (policy.Condition, error) {
	city, ok := strings.CutPrefix(source, "city=")
	if !ok {
		return nil, fmt.Errorf("unknown condition %q", source)
	}
	return cityIs(city), nil
}

type cityIs string

func (c cityIs) Holds(s policy.Subject) (bool, error) {
	return s.Call.Arguments["city"] == string(c), nil
}
func (c cityIs) UsesArguments() bool { return true }

// flakyStore is a store that can be down.
type flakyStore struct {
	*memory.Store
	mu   sync.Mutex
	down error
}

func (f *flakyStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

func (f *flakyStore) Get(ctx context.Context, kind, id string) (store.Record, error) {
	f.mu.Lock()
	err := f.down
	f.mu.Unlock()
	if err != nil {
		return store.Record{}, err
	}
	return f.Store.Get(ctx, kind, id)
}

// recorder is a server behind that keeps what reached it and answers what it is told.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answer   http.HandlerFunc
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 0, 512)
	buffer := make([]byte, 512)
	for {
		n, err := r.Body.Read(buffer)
		body = append(body, buffer[:n]...)
		if err != nil {
			break
		}
	}
	rec.mu.Lock()
	rec.requests = append(rec.requests, r)
	rec.bodies = append(rec.bodies, string(body))
	answer := rec.answer
	rec.mu.Unlock()
	if answer == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
		return
	}
	answer(w, r)
}

func (rec *recorder) seen() (requests []*http.Request, bodies []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.requests, rec.bodies
}
