package main

import (
	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
)

func auditCommands() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Check the audit log"}
	cmd.AddCommand(&cobra.Command{
		Use:   "verify FILE...",
		Short: "Verify that no line was changed, removed, added or moved; rotated files in their order",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.VerifyAudit(args, cmd.OutOrStdout())
		},
	})
	return cmd
}

func token() *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "token", Short: "Look into tokens of Entra"}
	explain := &cobra.Command{
		Use:   "explain --config FILE < TOKEN",
		Short: "Say which of the checks a token of Entra passes; the token is read from standard input",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.ExplainToken(cmd.Context(), app.ExplainOptions{Config: file, In: cmd.InOrStdin(), Out: cmd.OutOrStdout()})
		},
	}
	configFlag(explain, &file)
	cmd.AddCommand(explain)
	return cmd
}
