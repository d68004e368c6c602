package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/genkan-mcp/genkan/internal/bridge"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// connectFlags are what `genkan connect` can be told beside the server.
type connectFlags struct {
	status, signOut, print, yes bool
	install, name               string
	insecureFileStore           bool
	transport                   string
	verbose                     bool
	signIn                      bridge.SignIn
}

func connect() *cobra.Command {
	var f connectFlags
	cmd := &cobra.Command{
		Use:   "connect URL",
		Short: "Let an MCP client that speaks stdio use a protected server; signs you in",
		Long: `Speaks stdio to the MCP client that starts it, and streamable HTTP to the server. Signs you in where the server
wants it: silently if it can, else in your browser. Tokens are kept in your system's key store.

A client secret, where a server's sign-in needs one, is read from GENKAN_CLIENT_SECRET.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.status, "status", false, "say where you are signed in, and end")
	flags.BoolVar(&f.signOut, "sign-out", false, "sign out of URL, or of all servers, and end")
	flags.StringVar(&f.install, "install", "", fmt.Sprintf("write the entry for a program, one of %v, and end", bridge.Programs()))
	flags.StringVar(&f.name, "name", "", "the entry's name, with --install")
	flags.BoolVar(&f.print, "print", false, "only print the entry, with --install")
	flags.BoolVar(&f.yes, "yes", false, "don't ask before writing, with --install")
	flags.BoolVar(&f.insecureFileStore, "insecure-file-store", false, "without a key store, keep tokens in a file with its key beside it")
	flags.StringVar(&f.transport, "transport", string(bridge.Auto), "auto, http (streamable HTTP) or sse")
	flags.BoolVar(&f.verbose, "verbose", false, "log more")
	flags.BoolVar(&f.signIn.DeviceCode, "device-code", false, "show a code and an address instead of opening a browser")
	flags.BoolVar(&f.signIn.NoBrowser, "no-browser", false, "show the address and open nothing")
	flags.StringVar(&f.signIn.ClientID, "client-id", "", "a client that is registered already; Entra needs one")
	flags.StringVar(&f.signIn.ClientMetadata, "client-metadata", "", "address of a client ID metadata document that names this program")
	flags.StringSliceVar(&f.signIn.Scopes, "scope", nil, "a scope to ask for beside those that the server names; may be repeated")
	flags.IntVar(&f.signIn.CallbackPort, "callback-port", 0, "the port on 127.0.0.1 that the browser comes back to (default: one that fits the server)")
	flags.DurationVar(&f.signIn.Timeout, "sign-in-timeout", 0, "how long you have to sign in (default 5m)")
	return cmd
}

func (f *connectFlags) run(cmd *cobra.Command, args []string) error {
	dir, err := os.UserConfigDir()
	if err != nil {
		return fmt.Errorf("find a folder for this person: %w", err)
	}
	place := bridge.Place{Dir: bridge.DataDir(dir), InsecureFile: f.insecureFileStore}
	server := ""
	if len(args) == 1 {
		server = args[0]
	}
	switch {
	case f.status:
		return bridge.Status(cmd.Context(), bridge.StatusOptions{Place: place, Out: cmd.OutOrStdout()})
	case f.signOut:
		return bridge.SignOut(cmd.Context(), bridge.SignOutOptions{Server: server, Place: place, Out: cmd.OutOrStdout()})
	case server == "":
		return errors.New("say which server: genkan connect https://mcp.contoso.com/weather/mcp")
	case f.install != "":
		return f.installEntry(cmd, server)
	}
	f.signIn.ClientSecret = secret.NewText(os.Getenv("GENKAN_CLIENT_SECRET"))
	command, none := bridge.BrowserFromEnv(os.LookupEnv)
	f.signIn.Browser = command
	f.signIn.NoBrowser = f.signIn.NoBrowser || none
	return bridge.Connect(cmd.Context(), bridge.ConnectOptions{
		Streams: bridge.Streams{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Log: cmd.ErrOrStderr()},
		Server:  server, Transport: bridge.Transport(f.transport), SignIn: f.signIn, Place: place, Verbose: f.verbose,
	})
}

func (f *connectFlags) installEntry(cmd *cobra.Command, server string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return fmt.Errorf("find your home folder: %w", err)
	}
	return bridge.Install(bridge.InstallOptions{
		Program: bridge.Program(f.install), Server: server, Name: f.name, Command: filepath.Clean(self), Args: f.kept(),
		Print: f.print, Yes: f.yes, Home: home, AppData: os.Getenv("APPDATA"), In: cmd.InOrStdin(), Out: cmd.OutOrStdout(),
	})
}

// kept are the flags that belong into an entry.
func (f *connectFlags) kept() []string {
	var args []string
	add := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name, value)
		}
	}
	add("client-id", f.signIn.ClientID)
	add("client-metadata", f.signIn.ClientMetadata)
	if f.transport != string(bridge.Auto) {
		add("transport", f.transport)
	}
	for _, scope := range f.signIn.Scopes {
		add("scope", scope)
	}
	if f.signIn.CallbackPort != 0 {
		add("callback-port", strconv.Itoa(f.signIn.CallbackPort))
	}
	if f.signIn.Timeout != 0 {
		add("sign-in-timeout", f.signIn.Timeout.String())
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"device-code", f.signIn.DeviceCode}, {"no-browser", f.signIn.NoBrowser}, {"insecure-file-store", f.insecureFileStore}} {
		if flag.set {
			args = append(args, "--"+flag.name)
		}
	}
	return args
}
