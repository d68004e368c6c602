package entra

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

const (
	defaultReadAge = 5 * time.Minute
	graphTries     = 3
	graphFirstWait = 200 * time.Millisecond
	graphMostWait  = 10 * time.Second // a service that wants more patience than that is reported as unavailable
	graphTry       = 15 * time.Second
)

// GraphConfig says what is asked of Microsoft Graph.
type GraphConfig struct {
	// Permissions are delegated permissions of Graph by their bare names; zero: User.Read.
	Permissions []string
	// ReadAge is how old an answer to Get may be; zero: five minutes; negative: answers are not kept.
	ReadAge time.Duration
}

// Graph reads Microsoft Graph on behalf of people. Throttling (429) and failures are retried with growing pauses, or
// as long as Retry-After says; a claims challenge ends in an *InteractionRequiredError. It is safe for concurrent use.
type Graph struct {
	obo     *OnBehalfOf
	http    *http.Client
	base    string
	readAge time.Duration
	answers *answers
}

var _ GroupSource = (*Graph)(nil)

// Graph makes a reader of Microsoft Graph. It does not talk to Graph yet.
func (c *Client) Graph(config GraphConfig) (*Graph, error) {
	permissions := config.Permissions
	if len(permissions) == 0 {
		permissions = []string{"User.Read"}
	}
	scopes := make([]string, len(permissions))
	for i, permission := range permissions {
		scopes[i] = c.config.Cloud.GraphScope(permission)
	}
	obo, err := c.OnBehalfOf(OnBehalfOfConfig{Scopes: scopes})
	if err != nil {
		return nil, fmt.Errorf("new Graph: %w", err)
	}
	age := config.ReadAge
	if age == 0 {
		age = defaultReadAge
	}
	return &Graph{obo: obo, http: c.http, base: c.config.Cloud.secureGraph(), readAge: age, answers: newAnswers(c.config.Now)}, nil
}

// Profile is what Graph says about a person. All of it is for display.
type Profile struct {
	Object   string `json:"id"`
	Name     string `json:"displayName"`
	Username string `json:"userPrincipalName"`
	Mail     string `json:"mail"`
	JobTitle string `json:"jobTitle"`
}

// Me reads the caller's profile. The second result is how old it is.
func (g *Graph) Me(ctx context.Context, a Assertion) (Profile, time.Duration, error) {
	var p Profile
	age, err := g.Get(ctx, a, "/me", &p)
	return p, age, err
}

// Get reads a path of Graph, such as /me/messages?$top=5, into a value as encoding/json does. It returns how old the
// answer is: answers are kept for each person apart, no longer than GraphConfig.ReadAge.
func (g *Graph) Get(ctx context.Context, a Assertion, path string, into any) (time.Duration, error) {
	who, _, err := g.obo.client.callerOf(a.Token)
	if err != nil {
		return 0, fmt.Errorf("ask Microsoft Graph: %w", err)
	}
	key := "get\x00" + who.person + "\x00" + path
	body, age, err := g.answers.get(ctx, key, g.readAge, func(ctx context.Context) ([]byte, error) {
		return g.send(ctx, a, http.MethodGet, path, nil)
	})
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return 0, fmt.Errorf("ask Microsoft Graph: read the answer: %w", err)
	}
	return age, nil
}

// GroupsOf implements GroupSource: it asks Graph for every group that the holder of the token is in, directly or
// through other groups (POST /me/getMemberObjects). An answer is kept as long as the token, five minutes at most, so
// that a renewed token brings the groups of that moment.
func (g *Graph) GroupsOf(ctx context.Context, who Identity, token Token) ([]string, error) {
	request, err := g.obo.request(Assertion{Token: token}, "")
	if err != nil {
		return nil, err
	}
	key := "groups\x00" + who.Key() + "\x00" + request.key
	body, _, err := g.answers.get(ctx, key, defaultReadAge, func(ctx context.Context) ([]byte, error) {
		return g.send(ctx, Assertion{Token: token}, http.MethodPost, "/me/getMemberObjects", []byte(`{"securityEnabledOnly":false}`))
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Value []string `json:"value"`
		Next  string   `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Value == nil || answer.Next != "" {
		return nil, &Error{Op: "ask Microsoft Graph", Reason: Misuse, Remedy: "Graph's answer does not list all groups: use app roles instead."}
	}
	return answer.Value, nil
}

// send makes one request through azcore's pipeline, which minds retries, Retry-After and claims challenges.
func (g *Graph) send(ctx context.Context, a Assertion, method, path string, body []byte) ([]byte, error) {
	const op = "ask Microsoft Graph"
	address := g.base + path
	if u, err := url.Parse(address); err != nil || !strings.HasPrefix(path, "/") || strings.Contains(u.Path, "..") {
		return nil, &Error{Op: op, Reason: Misuse, Cause: fmt.Errorf("%q is not a path of Graph", shown(path))}
	}
	request, err := runtime.NewRequest(ctx, method, address)
	if err != nil {
		return nil, &Error{Op: op, Reason: Misuse, Cause: errors.New("the path makes no request")}
	}
	if body != nil {
		if err := request.SetBody(streaming.NopCloser(bytes.NewReader(body)), "application/json"); err != nil {
			return nil, &Error{Op: op, Reason: Misuse, Cause: err}
		}
	}
	response, err := g.pipeline(a).Do(request)
	if err != nil {
		return nil, explainFailure(op, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := runtime.Payload(response)
	if err != nil {
		return nil, unreachable(op, err)
	}
	if response.StatusCode >= 300 {
		return nil, explainGraph(op, response, answer)
	}
	return answer, nil
}

func (g *Graph) pipeline(a Assertion) runtime.Pipeline {
	credential := &exchanged{obo: g.obo, assertion: a}
	return runtime.NewPipeline("genkan-entra", "v1",
		runtime.PipelineOptions{PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(credential, g.obo.config.Scopes, nil)}},
		&policy.ClientOptions{
			Transport: g.http, Telemetry: policy.TelemetryOptions{Disabled: true},
			Retry: policy.RetryOptions{MaxRetries: graphTries, RetryDelay: graphFirstWait, MaxRetryDelay: graphMostWait, TryTimeout: graphTry},
		})
}

// exchanged shows azcore an OnBehalfOf and its caller as a credential.
type exchanged struct {
	obo       *OnBehalfOf
	assertion Assertion
}

var _ azcore.TokenCredential = (*exchanged)(nil)

// GetToken implements azcore.TokenCredential. Claims come from a challenge.
func (e *exchanged) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	var token Token
	var err error
	if options.Claims == "" {
		token, err = e.obo.Token(ctx, e.assertion)
	} else {
		token, err = e.obo.Satisfy(ctx, e.assertion, options.Claims)
	}
	return azcore.AccessToken{Token: token.Reveal(), ExpiresOn: token.expires}, err
}

// explainGraph sorts an answer of Graph that is not a success.
func explainGraph(op string, response *http.Response, body []byte) error {
	var answer struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // a proxy's page in between has none of this
	e := &Error{
		Op: op, Status: response.StatusCode, OAuth: shown(answer.Error.Code), Description: shown(answer.Error.Message),
		RetryAfter: retryAfter(response.Header), CorrelationID: shown(response.Header.Get("request-id")), Reason: Misuse,
		Remedy: "Microsoft Graph did not accept the request; its code says why.",
	}
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		e.Reason, e.Claims = Interaction, ChallengeClaims(response.Header)
		e.Remedy = "Microsoft Graph wants the person to sign in again."
		return &InteractionRequiredError{Claims: e.Claims, Err: e}
	case response.StatusCode == http.StatusForbidden:
		e.Reason, e.Remedy = Denied, "The person or the application lacks a permission of Microsoft Graph: have it consented to."
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
		e.Reason, e.Remedy = Unavailable, "Microsoft Graph can't answer now; try again later."
	}
	return e
}
