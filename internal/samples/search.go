package samples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"github.com/genkan-mcp/genkan/entra"
)

// searchScope is the only delegated permission that Azure AI Search has.
const searchScope = "https://search.azure.com/user_impersonation"

// Document is one hit in the index.
type Document struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Content string  `json:"content"`
	Score   float64 `json:"score"`
}

// search asks Azure AI Search as the caller.
type search struct {
	exchange *entra.OnBehalfOf
	address  string
	pipeline runtime.Pipeline
}

func newSearch(client *entra.Client, c ProfileConfig) (*search, error) {
	exchange, err := client.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: []string{searchScope}})
	if err != nil {
		return nil, err
	}
	return &search{
		exchange: exchange,
		address:  c.Search + "/indexes/" + url.PathEscape(c.Index) + "/docs/search?api-version=2024-07-01",
		// The pipeline tries again when the service is busy (429, 503), after as long as Retry-After says.
		pipeline: runtime.NewPipeline("genkan-profile", "v1", runtime.PipelineOptions{}, &policy.ClientOptions{
			Transport: c.HTTP, Telemetry: policy.TelemetryOptions{Disabled: true},
			Retry: policy.RetryOptions{MaxRetries: 3, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 10 * time.Second},
		}),
	}, nil
}

// find returns the documents that have every word of the query.
func (s *search) find(ctx context.Context, caller entra.Assertion, in searchArguments) ([]Document, error) {
	token, err := s.exchange.Token(ctx, caller)
	if err != nil {
		return nil, err
	}
	query, err := json.Marshal(map[string]any{"search": in.Query, "searchMode": "all", "top": in.Top, "select": "id,title,content"})
	if err != nil {
		return nil, fmt.Errorf("write the query: %w", err)
	}
	request, err := runtime.NewRequest(ctx, http.MethodPost, s.address)
	if err != nil {
		return nil, fmt.Errorf("ask Azure AI Search: %w", err)
	}
	if err := request.SetBody(streaming.NopCloser(bytes.NewReader(query)), "application/json"); err != nil {
		return nil, fmt.Errorf("ask Azure AI Search: %w", err)
	}
	request.Raw().Header.Set("Authorization", "Bearer "+token.Reveal())
	response, err := s.pipeline.Do(request) //nolint:bodyclose // closed below; the linter does not know azcore
	if err != nil {
		return nil, fmt.Errorf("ask Azure AI Search: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := runtime.Payload(response)
	if err != nil {
		return nil, fmt.Errorf("read what Azure AI Search says: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, statusError(response.StatusCode)
	}
	var answer struct {
		Value []struct {
			Document
			Score float64 `json:"@search.score"`
		} `json:"value"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read what Azure AI Search says: %w", err)
	}
	found := make([]Document, 0, len(answer.Value))
	for _, hit := range answer.Value {
		hit.Document.Score = hit.Score
		found = append(found, hit.Document)
	}
	return found, nil
}

// statusError is an answer that is not a success.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("it answered with status %d", int(s)) }
