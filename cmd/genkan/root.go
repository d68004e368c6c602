package main

import "github.com/spf13/cobra"

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "genkan",
		Short:         "The front door for MCP servers: sign-in with Microsoft Entra ID, rules, audit",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(dev(), serve(), check(), tenant(), policyCommands(), sessions(), clients(), keys(), auditCommands(), token(), connect(), local())
	return cmd
}
