package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
)

// Handler serves the address of the server and its metadata, and nothing else. Next is the go-sdk's handler.
func (g *Guard) Handler(next http.Handler) http.Handler {
	inner := auth.RequireBearerToken(g.tokenInfo, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(withoutToken(next))
	metadataPath := g.metadataURL.EscapedPath()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case metadataPath:
			g.serveMetadata(w, r)
		case g.path:
			if err := g.serve(w, r, inner); err != nil {
				g.answer(w, r, err)
			}
		default:
			http.NotFound(w, r)
		}
	})
}

// serve lets a request in, or says why not.
func (g *Guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler) error {
	token, err := g.bearer(r)
	if err != nil {
		return err
	}
	verified, err := g.config.Verifier.Verify(r.Context(), token)
	if err != nil {
		return g.tokenProblem(r, err)
	}
	v := &visit{identity: verified.Identity, token: entra.NewToken(token, verified.Expires)}
	if r.Method == http.MethodPost {
		if err := g.read(r, v); err != nil {
			return err
		}
		if g.decide(v); !v.decision.Allowed {
			g.log(r, v.identity, v.decision.Refusal)
		}
		if len(v.decision.MissingScopes) > 0 && !v.decision.Hidden {
			return g.insufficientScope(v)
		}
	}
	ctx := context.WithValue(r.Context(), visitKey{}, v)
	if v.message == nil || v.message.Method() == "subscriptions/listen" {
		// A stream that lasts ends with the token that opened it: the client comes back with a new one.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, verified.Expires)
		defer cancel()
	}
	next.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// bearer takes the token out of the request: one Authorization header, nothing else (RFC 6750 §2.1).
func (g *Guard) bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if strings.Contains(r.URL.RawQuery, "access_token") {
		return "", badRequest("a token must not stand in the address: send it in the Authorization header")
	}
	if len(values) == 0 {
		return "", g.challenge("", &policy.Refusal{Check: policy.CheckToken, Wanted: "a bearer token", Got: "none",
			Remedy: "sign in: resource_metadata says where"})
	}
	if len(values) > 1 {
		return "", badRequest("there are several Authorization headers: send one")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " ,\t") {
		return "", g.challenge(oauth.InvalidToken, &policy.Refusal{Check: policy.CheckToken, Wanted: "Authorization: Bearer and one token",
			Got: "something else", Remedy: "sign in: resource_metadata says where"})
	}
	return token, nil
}

// read replaces the body by what was read of it, written again.
func (g *Guard) read(r *http.Request, v *visit) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{status: http.StatusUnsupportedMediaType, code: mcpwire.CodeInvalidRequest, message: "send one JSON-RPC message as application/json"}
	}
	message, err := mcpwire.Read(r.Body, mcpwire.Limits{Bytes: g.config.MaxBody})
	if err != nil {
		return err
	}
	if err := message.CheckHeaders(r.Header); err != nil {
		return err
	}
	v.message = message
	r.Body = io.NopCloser(bytes.NewReader(message.Bytes()))
	r.ContentLength = int64(len(message.Bytes()))
	return nil
}

// tokenInfo tells the go-sdk who calls: it binds its sessions to them.
func (g *Guard) tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	v := visitFrom(ctx)
	if v == nil {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{
		UserID: v.identity.Key() + " " + v.identity.Client,
		Scopes: slices.Clone(v.identity.Scopes),
		Extra:  map[string]any{visitName: v},
	}, nil
}

// visitName is where the middleware finds the visit: the go-sdk carries it from the request to the method.
const visitName = "genkan.visit"

// withoutToken takes the token out of what tools can see.
func withoutToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r)
	})
}

// serveMetadata answers with the protected resource metadata. It is public, and any web page may read it.
func (g *Guard) serveMetadata(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Mcp-Protocol-Version")
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet, http.MethodHead:
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(g.metadata)
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "the method must be one of GET, HEAD, OPTIONS", http.StatusMethodNotAllowed)
	}
}

// problem is an answer that is no answer of the server.
type problem struct {
	status    int
	code      int // JSON-RPC, where there is no challenge
	oauth     oauth.Code
	message   string
	challenge string
	refusal   *policy.Refusal
}

// Error is what the client is told.
func (p *problem) Error() string { return p.message }

func badRequest(message string) *problem {
	return &problem{status: http.StatusBadRequest, code: mcpwire.CodeInvalidRequest, message: message}
}

// challenge is a 401 that says where to sign in (RFC 9728 §5.1). Only where there was a token does it have an
// error (RFC 6750 §3).
func (g *Guard) challenge(code oauth.Code, refusal *policy.Refusal) *problem {
	c := oauth.BearerChallenge{Error: code, Scope: g.qualified([]string{entra.DefaultScope}), ResourceMetadata: g.metadataURL.String()}
	if code != "" {
		c.Description = refusal.Error()
	}
	return &problem{status: http.StatusUnauthorized, oauth: code, message: refusal.Error(), challenge: c.String(), refusal: refusal}
}

// tokenProblem is the answer to a token that was not found good.
func (g *Guard) tokenProblem(r *http.Request, err error) error {
	refusal, ok := errors.AsType[*policy.Refusal](err)
	if !ok {
		g.config.Logger.Error("tokens can't be checked", "error", err.Error())
		return &problem{status: http.StatusServiceUnavailable, code: mcpwire.CodeInternal, message: "tokens can't be checked at the moment: try again"}
	}
	g.log(r, policy.Identity{}, refusal)
	if refusal.Check != policy.CheckScope {
		return g.challenge(oauth.InvalidToken, refusal)
	}
	p := g.challenge(oauth.InsufficientScope, refusal)
	p.status = http.StatusForbidden
	return p
}

// insufficientScope asks for a step-up (RFC 6750 §3.1): all that the token has, and what it lacks, because the next
// token replaces this one.
func (g *Guard) insufficientScope(v *visit) *problem {
	scopes := []string{entra.DefaultScope}
	for _, s := range slices.Concat(v.identity.Scopes, v.decision.MissingScopes) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	refusal := v.decision.Refusal
	c := oauth.BearerChallenge{Error: oauth.InsufficientScope, Description: refusal.Error(), Scope: g.qualified(scopes),
		ResourceMetadata: g.metadataURL.String()}
	return &problem{status: http.StatusForbidden, oauth: oauth.InsufficientScope, message: refusal.Error(), challenge: c.String(), refusal: refusal}
}

// answer writes an error: OAuth's form for tokens, JSON-RPC's for everything else.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	var body []byte
	switch wire, isWire := errors.AsType[*mcpwire.Error](err); {
	case isWire:
		p, body = &problem{status: wire.Status}, wire.Body()
		g.log(r, policy.Identity{}, &policy.Refusal{Check: policy.CheckMessage, Wanted: "one well-formed message", Got: wire.Message})
	case !ok:
		p = &problem{status: http.StatusBadRequest}
		body = (&mcpwire.Error{Code: mcpwire.CodeInvalidRequest, Message: "the body could not be read"}).Body()
	case p.challenge != "":
		w.Header().Set("WWW-Authenticate", p.challenge)
		code := p.oauth
		if code == "" {
			code = "unauthorized"
		}
		body, _ = json.Marshal(map[string]string{"error": string(code), "error_description": oauth.PlainText(p.message)}) // strings always marshal
	default:
		body = (&mcpwire.Error{Code: p.code, Message: p.message}).Body()
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body) //nolint:gosec // it is JSON, and nosniff says so
}
