// Package app turns a configuration into a running Genkan: it is the only place that knows all rooms, and
// holds no rules of its own.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// Surroundings are what a test may replace. The zero value is the real world.
type Surroundings struct {
	Now  func() time.Time // time.Now
	HTTP *http.Client     // reaches Entra; a client with a timeout
	Log  io.Writer        // the log; nothing is logged when nil
	Out  io.Writer        // audit events, where they are asked for; nowhere when nil
}

// App is a Genkan that is ready to serve. Close it when it is no longer needed.
type App struct {
	cfg     *config.Config
	around  Surroundings
	logger  *slog.Logger
	metrics *telemetry.Metrics
	state   *state
	audit   *audit.Log
	gateway *gateway.Gateway
	handler http.Handler
	closers []func(context.Context) error // called in reverse
}

// New wires a Genkan. The configuration must come from config.Load.
func New(ctx context.Context, cfg *config.Config, around Surroundings) (_ *App, err error) {
	if around.Now == nil {
		around.Now = time.Now
	}
	if around.HTTP == nil {
		around.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if around.Log == nil {
		around.Log = io.Discard
	}
	if around.Out == nil {
		around.Out = io.Discard
	}
	a := &App{cfg: cfg, around: around, metrics: telemetry.NewMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if a.logger, err = newLogger(cfg.Log, around.Log); err != nil {
		return nil, err
	}
	if a.state, err = openState(ctx, cfg, around.Now); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func(context.Context) error { return a.state.store.Close() })
	if err = a.openAudit(); err != nil {
		return nil, err
	}
	if err = a.openRooms(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Handler serves everything under the public address.
func (a *App) Handler() http.Handler { return a.handler }

// Metrics serves the metrics, for a listener of its own.
func (a *App) Metrics() http.Handler { return a.metrics.Handler() }

// Drain tells those who only wait for messages to come back elsewhere. Call it before the server is shut down.
func (a *App) Drain() {
	if a.gateway != nil {
		a.gateway.Drain()
	}
}

// Close gives back what the app holds: it writes what waits to be written, and closes the store.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i](ctx))
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Tidy does what must be done now and then while the app runs, until ctx ends: expired records are removed, and
// what another replica did to the keys is taken over.
func (a *App) Tidy(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.state.tidy(ctx, a.around.Now()); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "tidying failed; it is tried again in a minute", "error", err)
			}
		}
	}
}

func (a *App) openAudit() error {
	file, err := audit.OpenFile(a.state.path("audit.jsonl"))
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	sinks := []audit.Sink{file}
	if a.cfg.Audit.Stdout {
		sinks = append(sinks, audit.NewStream(a.around.Out))
	}
	a.audit, err = audit.New(audit.Config{Sinks: sinks, Now: a.around.Now, Logger: a.logger})
	if err != nil {
		return errors.Join(fmt.Errorf("open the audit log: %w", err), file.Close())
	}
	a.closers = append(a.closers, a.audit.Close)
	return nil
}

func (a *App) openRooms(ctx context.Context) (err error) {
	w := &wiring{app: a}
	if w.public, err = url.Parse(a.cfg.PublicURL); err != nil {
		return fmt.Errorf("public URL: %w", err)
	}
	if w.pages, err = page.New(page.Config{HTTPS: w.public.Scheme == "https", Place: w.public.Host}); err != nil {
		return err
	}
	w.grants, err = grant.New(grant.Config{
		Store: a.state.store, Ring: a.state.keys.Ring(), Now: a.around.Now,
		AccessLife: a.cfg.Tokens.Access, AbsoluteLife: a.cfg.Tokens.Session, IdleLife: a.cfg.Tokens.Idle,
	})
	if err != nil {
		return err
	}
	if w.signing, err = a.state.signingKeys(ctx, a.around.Now); err != nil {
		return err
	}
	if w.compiler, err = condition.New(condition.Config{}); err != nil {
		return err
	}
	if w.entra, err = a.newEntraClient(); err != nil {
		return err
	}
	if w.auth, err = w.newAuthServer(); err != nil {
		return err
	}
	if a.gateway, err = w.newGateway(); err != nil {
		return err
	}
	a.handler = a.newHouse(w.auth, w.pages)
	return nil
}

func newLogger(c config.Log, w io.Writer) (*slog.Logger, error) {
	level, err := telemetry.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	return telemetry.NewLogger(telemetry.LogConfig{Writer: w, Format: telemetry.Format(c.Format), Level: level})
}

// ready says what keeps clients from coming; nil when nothing does.
func (a *App) ready(ctx context.Context) error {
	if err := a.audit.Ready(); err != nil {
		return err
	}
	_, err := a.state.store.Get(ctx, "ready", "ready")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
