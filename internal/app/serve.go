package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/config"
)

// ServeOptions say what `genkan serve` serves.
type ServeOptions struct {
	Config string        // the configuration file
	Env    config.Lookup // the environment
	Out    io.Writer     // what a person reads
	Log    io.Writer     // the log
}

// Serve runs until ctx ends, then drains.
func Serve(ctx context.Context, o ServeOptions) error {
	cfg, err := config.LoadFile(o.Config, o.Env)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	return run{
		cfg: cfg, around: Surroundings{Log: o.Log, Out: o.Out}, listener: listener,
		beside: func(ctx context.Context, a *App) { a.watch(ctx, o.Config, o.Env) },
		ready: func() {
			_, _ = fmt.Fprintf(o.Out, "Ready: %s at %s, listening on %s\n", config.Count(len(cfg.Servers), "server"), cfg.PublicURL, listener.Addr())
		},
	}.untilDone(ctx)
}

// run is an app on a listener.
type run struct {
	cfg      *config.Config
	around   Surroundings
	listener net.Listener
	beside   func(context.Context, *App) // runs as long as the app does; may be nil
	ready    func()                      // called once clients may come
}

// untilDone serves until ctx ends, then drains.
func (r run) untilDone(ctx context.Context) (err error) {
	a, err := New(ctx, r.cfg, r.around)
	if err != nil {
		return errors.Join(err, r.listener.Close())
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.ShutdownGrace)
		defer cancel()
		err = errors.Join(err, a.Close(closing))
	}()
	services, err := a.services(ctx, r.listener)
	if err != nil {
		return errors.Join(err, r.listener.Close())
	}
	beside, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { a.Tidy(beside) })
	if r.beside != nil {
		background.Go(func() { r.beside(beside, a) })
	}
	defer background.Wait()
	defer stop()
	return serveAll(ctx, services, r.ready)
}

// services are what an app serves: itself, over https if it has a certificate, and its metrics.
func (a *App) services(ctx context.Context, listener net.Listener) ([]service, error) {
	cfg := a.cfg.Load()
	if cfg.TLS.Encrypted() {
		encrypted, err := a.newTLS(cfg)
		if err != nil {
			return nil, err
		}
		listener = tls.NewListener(listener, encrypted)
	}
	services := []service{{listener, a, a.Drain}}
	if cfg.Metrics.Listen != "" {
		metrics, err := listen(ctx, cfg.Metrics.Listen)
		if err != nil {
			return nil, err
		}
		services = append(services, service{metrics, a.Metrics(), nil})
	}
	return services, nil
}

// service is a handler on a listener.
type service struct {
	listener net.Listener
	handler  http.Handler
	drain    func() // told before the server is shut down; may be nil
}

// serveAll serves until ctx ends or one of the services fails, then finishes what is under way and stops all of them.
func serveAll(ctx context.Context, services []service, ready func()) error {
	failed := make(chan error, len(services))
	var running sync.WaitGroup
	var servers []*http.Server
	for _, s := range services {
		server := &http.Server{
			Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		}
		servers = append(servers, server)
		running.Go(func() {
			if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
			}
		})
	}
	ready()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.ShutdownGrace)
	defer cancel()
	for i, s := range services {
		if s.drain != nil {
			s.drain()
		}
		if shutdown := servers[i].Shutdown(closing); shutdown != nil {
			err = errors.Join(err, fmt.Errorf("requests were cut off after %v: %w", config.ShutdownGrace, shutdown), servers[i].Close())
		}
	}
	running.Wait()
	return err
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (choose another address if it is taken): %w", address, err)
	}
	return l, nil
}
