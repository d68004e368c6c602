package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/bridge"
	"github.com/genkan-mcp/genkan/internal/config"
)

func local() *cobra.Command {
	var o bridge.LocalOptions
	var rules string
	cmd := &cobra.Command{
		Use:   "local --tenant TENANT --client-id CLIENT [--rules FILE] -- COMMAND [ARGUMENT...]",
		Short: "Guard a local MCP server: its tools work only after you signed in with Entra, and as the rules allow",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if rules != "" {
				if o.Rules, err = config.LoadRules(rules); err != nil {
					return err
				}
			}
			dir, err := os.UserConfigDir()
			if err != nil {
				return fmt.Errorf("find a folder for this person: %w", err)
			}
			o.Place.Dir = bridge.DataDir(dir)
			o.Command, o.Env = args, os.Environ()
			o.Streams = bridge.Streams{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Log: cmd.ErrOrStderr()}
			browser, none := bridge.BrowserFromEnv(os.LookupEnv)
			o.SignIn.Browser = browser
			o.SignIn.NoBrowser = o.SignIn.NoBrowser || none
			return bridge.Local(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Tenant, "tenant", "", "the tenant's GUID")
	flags.StringVar(&o.ClientID, "client-id", "", "the app registration: a public client with the redirect URI http://localhost")
	flags.StringVar(&rules, "rules", "", "YAML file with a list of rules (default: everybody of the tenant may use everything)")
	flags.StringVar(&o.Scope, "scope", "", "the scope of the API whose roles the rules name (default: CLIENT/access_as_user)")
	flags.StringVar(&o.Cloud, "cloud", "public", "public, us_government or china")
	flags.StringVar(&o.Authority, "authority", "", "a dev tenant on this machine, such as http://localhost:8081")
	flags.StringVar(&o.Token.Scope, "token-scope", "", "hand the server a token of yours with this scope")
	flags.StringVar(&o.Token.Env, "token-env", "", "in this environment variable (the first token only)")
	flags.StringVar(&o.Token.FileEnv, "token-file-env", "", "or by a file descriptor whose number is in this one: a token a line, renewed")
	flags.BoolVar(&o.SignIn.DeviceCode, "device-code", false, "show a code and an address instead of opening a browser")
	flags.BoolVar(&o.SignIn.NoBrowser, "no-browser", false, "show the address and open nothing")
	flags.BoolVar(&o.Place.InsecureFile, "insecure-file-store", false, "without a key store, keep tokens in a file with its key beside it")
	flags.DurationVar(&o.SignIn.Timeout, "sign-in-timeout", 0, "how long you have to sign in (default 5m)")
	flags.BoolVar(&o.Verbose, "verbose", false, "log more")
	for _, flag := range []string{"tenant", "client-id"} {
		cobra.CheckErr(cmd.MarkFlagRequired(flag))
	}
	return cmd
}
