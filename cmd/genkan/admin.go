package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/app"
)

// admin is a command that works on the store of a configuration.
func admin(cmd *cobra.Command, do func(ctx context.Context, a *app.Admin, args []string) error) *cobra.Command {
	var file string
	configFlag(cmd, &file)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		a, err := app.OpenAdmin(cmd.Context(), app.AdminOptions{Config: file, Env: os.LookupEnv, Out: cmd.OutOrStdout()})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		return do(cmd.Context(), a, args)
	}
	return cmd
}

func sessions() *cobra.Command {
	cmd := &cobra.Command{Use: "sessions", Short: "List, show and end sessions"}
	var of, all string
	list := admin(&cobra.Command{Use: "list", Short: "List the sessions that live", Args: cobra.NoArgs},
		func(ctx context.Context, a *app.Admin, _ []string) error { return a.Sessions(ctx, of) })
	list.Flags().StringVar(&of, "person", "", "only those of a person: an address, an object ID, or tenant/object")
	end := admin(&cobra.Command{Use: "end [SESSION]", Short: "End a session, or all of a person", Args: cobra.MaximumNArgs(1)},
		func(ctx context.Context, a *app.Admin, args []string) error {
			switch {
			case len(args) == 1 && all == "":
				return a.EndSession(ctx, args[0])
			case len(args) == 0 && all != "":
				return a.EndSessionsOf(ctx, all)
			}
			return errors.New("say which session, or --person for all of one person")
		})
	end.Flags().StringVar(&all, "person", "", "end all sessions of a person: an address, an object ID, or tenant/object")
	cmd.AddCommand(list, end, admin(&cobra.Command{Use: "show SESSION", Short: "Show a session", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, a *app.Admin, args []string) error { return a.Session(ctx, args[0]) }))
	return cmd
}

func clients() *cobra.Command {
	cmd := &cobra.Command{Use: "clients", Short: "List and remove clients that registered themselves"}
	cmd.AddCommand(
		admin(&cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs},
			func(ctx context.Context, a *app.Admin, _ []string) error { return a.Clients(ctx) }),
		admin(&cobra.Command{Use: "remove CLIENT", Short: "Remove one, and end its sessions", Args: cobra.ExactArgs(1)},
			func(ctx context.Context, a *app.Admin, args []string) error { return a.RemoveClient(ctx, args[0]) }))
	return cmd
}

func keys() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Look after the keys under which tokens are sealed"}
	cmd.AddCommand(admin(&cobra.Command{
		Use: "rotate", Short: "Make a new key, and seal everything anew under it, while Genkan runs", Args: cobra.NoArgs,
	}, func(ctx context.Context, a *app.Admin, _ []string) error { return a.RotateKeys(ctx) }))
	return cmd
}
