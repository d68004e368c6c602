package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
)

func serve() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run with a configuration file",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.Serve(cmd.Context(), app.ServeOptions{
				Config: file, Env: os.LookupEnv, Out: cmd.OutOrStdout(), Log: cmd.ErrOrStderr(),
			})
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// configFlag adds --config, which the command can't do without.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "the configuration file (YAML)")
	cobra.CheckErr(cmd.MarkFlagRequired("config"))
}
