package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

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

// newTLS is how https is served: TLS 1.2 or newer, with what the files hold.
func newTLS(files config.TLS, logger *slog.Logger, now func() time.Time) (*tls.Config, error) {
	c := &certificate{files: files, logger: logger, now: now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}, nil
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
