package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

// TenantOptions say what `genkan tenant` serves.
type TenantOptions struct {
	Listen      string // on loopback
	HTTPS       bool
	CA          string    // folder that keeps the authority for https
	Declaration string    // YAML; empty: contoso.example
	Out         io.Writer // what a person reads
}

// Tenant serves a dev tenant on loopback until ctx ends.
func Tenant(ctx context.Context, o TenantOptions) error {
	if err := onLoopback(o.Listen); err != nil {
		return err
	}
	directory, err := readDirectory(o.Declaration)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	scheme := "http"
	if o.HTTPS {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	tenant, err := entratest.New(entratest.Config{URL: scheme + "://localhost:" + port, Directory: directory})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	trust := ""
	if o.HTTPS {
		certificate, path, err := tenantCertificate(o.CA, time.Now())
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}})
		trust = path
	}
	return serveAll(ctx, []service{{listener, tenant, nil}}, func() { printTenant(o.Out, tenant, trust) })
}

func readDirectory(path string) (entratest.Directory, error) {
	if path == "" {
		return entratest.Directory{}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return entratest.Directory{}, fmt.Errorf("read the tenant's declaration: %w", err)
	}
	defer func() { _ = file.Close() }()
	return entratest.Load(file)
}

// tenantCertificate is a certificate for loopback by the authority that dir keeps, and where the authority's own
// certificate lies.
func tenantCertificate(dir string, now time.Time) (tls.Certificate, string, error) {
	certPath, keyPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	ca, err := loadCA(certPath, keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makeCA(dir, certPath, keyPath, now)
	}
	if err != nil {
		return tls.Certificate{}, "", err
	}
	certificate, err := ca.Certificate(now, "localhost", "127.0.0.1", "::1")
	return certificate, certPath, err
}

func loadCA(certPath, keyPath string) (*entratest.CA, error) {
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's authority: %w", err)
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's authority: %w", err)
	}
	return entratest.LoadCA(cert, key)
}

func makeCA(dir, certPath, keyPath string, now time.Time) (*entratest.CA, error) {
	ca, err := entratest.NewCA(now)
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	return ca, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(keyPath, key, 0o600), os.WriteFile(certPath, ca.PEM(), 0o600))
}

func printTenant(out io.Writer, tenant *entratest.Tenant, trust string) {
	_, _ = fmt.Fprintf(out, "Dev tenant   %s   %s, not Microsoft\n", tenant.URL, tenant.Domain)
	_, _ = fmt.Fprintf(out, "Tenant ID    %s\n", tenant.TenantID)
	if trust != "" {
		_, _ = fmt.Fprintf(out, "\nIts certificate is vouched for by %s. To trust it:\n", trust)
		_, _ = fmt.Fprintf(out, "  Go, curl     SSL_CERT_FILE=%s\n", trust)
		_, _ = fmt.Fprintf(out, "  Node.js      NODE_EXTRA_CA_CERTS=%s\n", trust)
		_, _ = fmt.Fprintf(out, "  Python       REQUESTS_CA_BUNDLE=%s\n", trust)
		_, _ = fmt.Fprintf(out, "  .NET, Java   add it to the system's or the JVM's trust store\n")
	}
	_, _ = fmt.Fprintf(out, "\nReady. Ctrl-C stops it.\n")
}
