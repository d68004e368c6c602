package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
	"github.com/genkan-mcp/genkan/internal/config"
)

func policyCommands() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Try out the rules of a configuration"}
	cmd.AddCommand(policyTest(), policyWhy())
	return cmd
}

func policyTest() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: `Run sentences such as "alice may get_forecast" against the rules`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.LoadFile(file, os.LookupEnv)
			if err != nil {
				return err
			}
			return app.TestPolicy(cfg, args[0], cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func policyWhy() *cobra.Command {
	var q app.Question
	cmd := admin(&cobra.Command{Use: "why", Short: "Explain who may use a tool, rule by rule", Args: cobra.NoArgs},
		func(ctx context.Context, a *app.Admin, _ []string) error { return a.WhyPolicy(ctx, q) })
	cmd.Flags().StringVar(&q.As, "as", "", "who: an address, an object ID or tenant/object of somebody who is signed in, or any name with --role")
	cmd.Flags().StringSliceVar(&q.Roles, "role", nil, "a role of theirs, for somebody who is not signed in; may be repeated")
	cmd.Flags().StringVar(&q.Server, "server", "", "at which server (default: the only one)")
	cmd.Flags().StringVar(&q.Tool, "tool", "", "which tool")
	cmd.Flags().StringVar(&q.Arguments, "arguments", "", "its arguments, as a JSON object")
	for _, flag := range []string{"as", "tool"} {
		cobra.CheckErr(cmd.MarkFlagRequired(flag))
	}
	return cmd
}
