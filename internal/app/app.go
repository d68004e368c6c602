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
	"sync/atomic"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/telemetry"
)

// Surroundings are what a test may replace. The zero value is the real world.
type Surroundings struct {
	Now  func() time.Time // time.Now
	HTTP *http.Client     // reaches Entra; a client with a timeout
	Log  io.Writer        // the log; nothing is logged when nil
	Out  io.Writer        // audit events, where they are asked for; nowhere when nil
	// InsecureDocuments says how client ID metadata documents are fetched, where a test keeps them on this machine.
	InsecureDocuments authserver.Documents
}

// App is a Genkan that is ready to serve. Close it when it is no longer needed.
type App struct {
	cfg     atomic.Pointer[config.Config]
	around  Surroundings
	logger  *slog.Logger
	metrics *telemetry.Metrics
	state   *state
	audit   *audit.Log
	tracing *telemetry.Tracing // nil: no traces are sent
	rooms   atomic.Pointer[rooms]
}

// New wires a Genkan. The configuration must come from config.Load.
func New(ctx context.Context, cfg *config.Config, around Surroundings) (_ *App, err error) {
	a := &App{around: around.withDefaults(), metrics: telemetry.NewMetrics()}
	a.cfg.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if a.logger, err = newLogger(cfg.Log, a.around.Log); err != nil {
		return nil, err
	}
	if a.state, err = openState(ctx, cfg, a.around.Now); err != nil {
		return nil, err
	}
	if err = a.openAudit(cfg.Audit); err != nil {
		return nil, err
	}
	if cfg.Traces.Endpoint != "" {
		a.tracing, err = telemetry.NewTracing(ctx, telemetry.TraceConfig{Endpoint: cfg.Traces.Endpoint, Ratio: cfg.Traces.Ratio})
		if err != nil {
			return nil, err
		}
	}
	made, err := a.openRooms(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a.rooms.Store(made)
	return a, nil
}

func (s Surroundings) withDefaults() Surroundings {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.HTTP == nil {
		s.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if s.Log == nil {
		s.Log = io.Discard
	}
	if s.Out == nil {
		s.Out = io.Discard
	}
	return s
}

// ServeHTTP serves everything under the public address.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		current := a.rooms.Load()
		if current.enter() {
			defer current.leave()
			current.handler.ServeHTTP(w, r)
			return
		}
		if a.rooms.Load() == current { // not replaced but closed
			w.Header().Set("Retry-After", "5")
			http.Error(w, "closing: come back in a moment", http.StatusServiceUnavailable)
			return
		}
	}
}

// Metrics serves the metrics, for a listener of its own.
func (a *App) Metrics() http.Handler { return a.metrics.Handler() }

// Drain tells those who only wait for messages to come back elsewhere. Call it before the server is shut down.
func (a *App) Drain() { a.rooms.Load().gateway.Drain() }

// Close gives back what the app holds: it waits for requests that are inside, writes what waits to be written, and
// closes the store.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	if current := a.rooms.Load(); current != nil {
		current.replace()
		errs = append(errs, current.wait(ctx))
	}
	if a.tracing != nil {
		errs = append(errs, a.tracing.Close(ctx))
	}
	if a.audit != nil {
		errs = append(errs, a.audit.Close(ctx))
	}
	if a.state != nil {
		errs = append(errs, a.state.store.Close())
	}
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

func (a *App) openAudit(c config.Audit) error {
	file, err := audit.OpenFile(a.state.path("audit.jsonl"))
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	sinks := []audit.Sink{file}
	if c.Stdout {
		sinks = append(sinks, audit.NewStream(a.around.Out))
	}
	a.audit, err = audit.New(audit.Config{Sinks: sinks, Now: a.around.Now, Logger: a.logger})
	if err != nil {
		return errors.Join(fmt.Errorf("open the audit log: %w", err), file.Close())
	}
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
	return a.storeReady(ctx)
}

func (a *App) storeReady(ctx context.Context) error {
	_, err := a.state.store.Get(ctx, "ready", "ready")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
