package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
)

func tenant() *cobra.Command {
	var options app.TenantOptions
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Run the dev tenant alone: Entra's endpoints and Microsoft Graph on loopback",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Out = cmd.OutOrStdout()
			return app.Tenant(cmd.Context(), options)
		},
	}
	cmd.Flags().StringVar(&options.Listen, "listen", "127.0.0.1:8081", "where the tenant listens, on loopback; port 0 takes a free one")
	cmd.Flags().BoolVar(&options.HTTPS, "https", false, "serve https, vouched for by an authority of its own")
	cmd.Flags().StringVar(&options.CA, "ca", defaultCA(), "folder that keeps the authority")
	cmd.Flags().StringVar(&options.Declaration, "declaration", "", "YAML that declares people, groups and applications (default: contoso.example)")
	return cmd
}

// defaultCA is where the authority is kept from one run to the next.
func defaultCA() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "genkan", "tenant")
}
