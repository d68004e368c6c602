package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

const (
	offlineAccess = "offline_access"
	metadataLimit = 1 << 20
)

// target is who gives tokens for the server, and which.
type target struct {
	kind     kind
	resource string
	issuer   string
	scopes   []string // what the resource metadata names
	offline  bool     // the authorization server has offline_access
	meta     *oauthex.AuthServerMeta
}

// discover finds out by the server's metadata who its authorization server is (RFC 9728, RFC 8414).
func (a *access) discover(ctx context.Context, c *challenge) (*target, error) {
	resource, err := a.resourceMetadata(ctx, c.metadata)
	if err != nil {
		return nil, fmt.Errorf("find out who signs people in at %s: %w", a.options.Server, err)
	}
	t := &target{kind: oauthServer, resource: resource.Resource, issuer: resource.AuthorizationServers[0], scopes: resource.ScopesSupported}
	if isEntra(t.issuer) {
		t.kind = entraTenant
		return t, nil
	}
	t.meta, err = auth.GetAuthServerMetadata(ctx, t.issuer, a.http)
	if err != nil {
		return nil, fmt.Errorf("read the metadata of the authorization server %s: %w", t.issuer, err)
	}
	if t.meta == nil {
		if !sameHost(t.issuer, a.options.Server) {
			return nil, fmt.Errorf("the authorization server %s has no metadata (RFC 8414): ask who runs it", t.issuer)
		}
		t.meta = endpointsOf2025(t.issuer)
	}
	t.offline = slices.Contains(t.meta.ScopesSupported, offlineAccess)
	return t, nil
}

// resourceMetadata looks where the challenge says, else at the two well-known places. A server without any is
// its own authorization server, as in revision 2025-03-26.
func (a *access) resourceMetadata(ctx context.Context, announced string) (*oauthex.ProtectedResourceMetadata, error) {
	server, err := serverURL(a.options.Server)
	if err != nil {
		return nil, err
	}
	root := url.URL{Scheme: server.Scheme, Host: server.Host}
	const wellKnown = "/.well-known/oauth-protected-resource"
	places := []string{root.String() + wellKnown + strings.TrimSuffix(server.EscapedPath(), "/"), root.String() + wellKnown}
	if announced != "" {
		places = slices.Insert(places, 0, announced)
	}
	for i, place := range places {
		var found oauthex.ProtectedResourceMetadata
		err := fetchJSON(ctx, a.http, place, &found)
		if status := (*statusError)(nil); errors.As(err, &status) && status.code >= 400 && status.code < 500 {
			continue
		}
		if err == nil {
			err = checkResourceMetadata(&found, server)
		}
		if err != nil {
			return nil, err
		}
		if i > 0 && announced != "" {
			a.log.Warn("the server names metadata that isn't there", "named", announced, "used", place)
		}
		return &found, nil
	}
	return &oauthex.ProtectedResourceMetadata{Resource: a.options.Server, AuthorizationServers: []string{root.String()}}, nil
}

// checkResourceMetadata refuses metadata of another server: its tokens would be good there (RFC 9728 §3.3).
func checkResourceMetadata(m *oauthex.ProtectedResourceMetadata, server *url.URL) error {
	resource, err := url.Parse(m.Resource)
	if err != nil || oauth.CheckResource(m.Resource) != nil {
		return errors.New("its metadata names no resource")
	}
	if !contains(resource, server) {
		return fmt.Errorf("its metadata is about another server: the resource is %q", oneLine(m.Resource))
	}
	if len(m.AuthorizationServers) == 0 {
		return errors.New("its metadata names no authorization server")
	}
	if _, err := serverURL(m.AuthorizationServers[0]); err != nil {
		return fmt.Errorf("its authorization server: %w", err)
	}
	return nil
}

// contains says whether the server is the resource, or stands below it. Servers often name their origin.
func contains(resource, server *url.URL) bool {
	if oauth.SameResource(resource.String(), server.String()) {
		return true
	}
	if !sameHost(resource.String(), server.String()) || resource.RawQuery != "" {
		return false
	}
	parent := strings.TrimSuffix(resource.EscapedPath(), "/")
	return strings.HasPrefix(server.EscapedPath(), parent+"/") || server.EscapedPath() == parent
}

func sameHost(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host)
}

// endpointsOf2025 are those of a server without metadata (2025-03-26, Authorization §Fallbacks).
func endpointsOf2025(issuer string) *oauthex.AuthServerMeta {
	issuer = strings.TrimSuffix(issuer, "/")
	return &oauthex.AuthServerMeta{
		Issuer:                issuer,
		AuthorizationEndpoint: issuer + "/authorize",
		TokenEndpoint:         issuer + "/token",
		RegistrationEndpoint:  issuer + "/register",
	}
}

// isEntra says whether an issuer is a tenant of Microsoft Entra ID, or of the dev tenant on this machine.
func isEntra(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || !regexp.MustCompile(`^/[^/]+/v2\.0/?$`).MatchString(u.Path) {
		return false
	}
	switch strings.ToLower(u.Host) {
	case "login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn":
		return u.Scheme == "https"
	}
	return isLoopback(u.Hostname())
}

// statusError is an answer that isn't 200.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("it answered %d %s", e.code, http.StatusText(e.code))
}

// fetchJSON gets a metadata document.
func fetchJSON(ctx context.Context, client *http.Client, address string, into any) error {
	if _, err := serverURL(address); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp.StatusCode}
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fmt.Errorf("%s is no JSON document", address)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, metadataLimit)).Decode(into); err != nil {
		return fmt.Errorf("%s is no JSON document", address)
	}
	return nil
}
