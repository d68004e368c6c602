package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/config"
)

// VerifyAudit checks the chain that files of an audit log make, in their order.
func VerifyAudit(files []string, out io.Writer) error {
	var readers []io.Reader
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("verify the audit log: %w", err)
		}
		defer func() { _ = file.Close() }()
		readers = append(readers, file)
	}
	report, err := audit.Verify(io.MultiReader(readers...))
	if err != nil {
		return err
	}
	begins := "the chain is whole from its beginning"
	if !report.Whole() {
		begins = fmt.Sprintf("the chain goes on from line %d of an earlier file", report.After.Seq)
	}
	_, err = fmt.Fprintf(out, "%s, none changed; %s\nlast: %d %s\n", config.Count(report.Lines, "line"), begins, report.Last.Seq, report.Last.Hash)
	return err
}

// ExplainOptions say what to explain a token against.
type ExplainOptions struct {
	Config string
	In     io.Reader // the token
	Out    io.Writer
}

// ErrTokenRefused means that a token passed not all of the checks.
var ErrTokenRefused = errors.New("the token would be refused")

// ExplainToken prints the checks of a token of Entra's for Genkan's own API, with what was wanted and what came. The
// token itself is not printed.
func ExplainToken(ctx context.Context, o ExplainOptions) error {
	cfg, err := config.LoadFile(o.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	cloud, err := cloudOf(cfg.Entra)
	if err != nil {
		return err
	}
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{cfg.Entra.Tenant}, Audiences: entra.AudiencesOf(cfg.Entra.ClientID),
		HTTPClient: &http.Client{Timeout: 10 * time.Second},
	})
	if err != nil {
		return err
	}
	const longest = 64 << 10
	token, err := io.ReadAll(io.LimitReader(o.In, longest))
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CHECK\tVERDICT\tWANTED\tGOT")
	refused := false
	for _, c := range verifier.Explain(ctx, strings.TrimSpace(string(token))) {
		verdict := "passed"
		if !c.Passed {
			verdict, refused = "refused", true
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Check, verdict, plain(c.Wanted), plain(c.Got))
		if c.Remedy != "" {
			_, _ = fmt.Fprintf(w, "\t\t%s\t\n", c.Remedy)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if refused {
		return ErrTokenRefused
	}
	return nil
}
