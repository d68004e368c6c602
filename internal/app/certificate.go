package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/genkan-mcp/genkan/internal/config"
)

// certificate is a certificate in files that somebody renews. It is read anew when they change; while what they hold is
// no certificate, the last good one is shown.
type certificate struct {
	files  config.TLS
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex // guards the rest
	current *tls.Certificate
	read    time.Time // when the files were last looked at
	stamp   [2]time.Time
}

// lookAgain is how often the files are looked at.
const lookAgain = 10 * time.Second

// newTLS is how https is served: TLS 1.2 or newer, with what the files hold or an authority issues.
func (a *App) newTLS(cfg *config.Config) (*tls.Config, error) {
	if cfg.TLS.ACME.Email != "" {
		return a.newACME(cfg)
	}
	c := &certificate{files: cfg.TLS, logger: a.logger, now: a.around.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}, nil
}

// newACME gets certificates for the public host, by the TLS-ALPN challenge (RFC 8737), and renews them.
func (a *App) newACME(cfg *config.Config) (*tls.Config, error) {
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: cfg.TLS.ACME.Email, HostPolicy: autocert.HostWhitelist(public.Hostname()),
		Cache: autocert.DirCache(a.state.path("acme")),
	}
	if cfg.TLS.ACME.Directory != "" {
		manager.Client = &acme.Client{DirectoryURL: cfg.TLS.ACME.Directory}
	}
	encrypted := manager.TLSConfig()
	encrypted.MinVersion = tls.VersionTLS12
	return encrypted, nil
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.read).Abs() >= lookAgain {
		if err := c.load(); err != nil {
			c.logger.Error("the certificate can't be read; the last one is shown", "error", err)
		}
	}
	return c.current
}

// load reads the files, if they changed.
func (c *certificate) load() error {
	c.read = c.now()
	var stamp [2]time.Time
	for i, name := range []string{c.files.Certificate, c.files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("read the certificate: %w", err)
		}
		stamp[i] = info.ModTime()
	}
	if c.current != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}
