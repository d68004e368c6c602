package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/config"
)

func check() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Say every mistake in a configuration file at once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadFile(file, os.LookupEnv)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in order: %s at %s\n", file, config.Count(len(cfg.Servers), "server"), cfg.PublicURL)
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}
