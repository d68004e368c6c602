package app

import (
	"fmt"
	"log/slog"
	"net/url"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// newUpstream is the one way in which the configuration reaches a server.
func newUpstream(s config.Server, logger *slog.Logger) (upstream.Upstream, error) {
	if len(s.Command.Run) > 0 {
		var env []string
		for _, name := range sortedKeys(s.Command.Env) {
			env = append(env, name+"="+s.Command.Env[name])
		}
		return upstream.NewStdio(upstream.StdioConfig{
			Command: s.Command.Run, Env: env, Dir: s.Command.Dir, Shared: s.Command.Shared,
			IdentityVariable: s.Command.IdentityVariable, Timeout: s.Timeout, Idle: s.Command.Idle,
			Processes: s.Command.Processes, Logger: logger,
		})
	}
	address, err := url.Parse(s.URL + s.SSE)
	if err != nil {
		return nil, fmt.Errorf("address of the upstream: %w", err)
	}
	if s.SSE != "" {
		return upstream.NewSSE(upstream.SSEConfig{URL: address, Transport: upstream.NewTransport(), Timeout: s.Timeout, Logger: logger})
	}
	return upstream.NewHTTP(upstream.HTTPConfig{URL: address, Transport: upstream.NewTransport(), Timeout: s.Timeout})
}
