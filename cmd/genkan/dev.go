package main

import (
	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
)

func dev() *cobra.Command {
	var options app.DevOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on loopback: dev tenant, sample servers, no configuration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Out, options.Log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Dev(cmd.Context(), options)
		},
	}
	cmd.Flags().StringVar(&options.Listen, "listen", "127.0.0.1:8080", "where Genkan listens, on loopback; port 0 takes a free one")
	cmd.Flags().StringVar(&options.TenantListen, "tenant-listen", "127.0.0.1:8081", "where the dev tenant listens, on loopback")
	cmd.Flags().StringVar(&options.Data, "data", "", "folder that keeps sessions (default: a temporary one, removed at the end)")
	return cmd
}
