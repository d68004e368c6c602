package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/policy"
)

// newConsole makes the console, unless it is off. It shows Entra's tokens, so that it needs Entra.
func (w *wiring) newConsole() (err error) {
	if w.cfg.Console.Off || w.entra == nil {
		return nil
	}
	cloud, err := cloudOf(w.cfg.Entra)
	if err != nil {
		return err
	}
	chat, err := chatOf(w.cfg.Console.Model)
	if err != nil {
		return err
	}
	inventory, err := w.inventory()
	if err != nil {
		return err
	}
	a := w.app
	w.console, err = console.New(console.Config{
		PublicURL: w.public, Pages: w.pages, Store: a.state.store, Ring: a.state.keys.Ring(), Entra: w.entra,
		SignOutURL: cloud.Authority() + "/" + w.cfg.Entra.Tenant + "/oauth2/v2.0/logout", Issuer: cloud.IssuerV2(w.cfg.Entra.Tenant),
		Servers: w.consoleServers, Door: w.gateway, Grants: w.grants, Chat: chat,
		AdminRole: w.cfg.Console.AdminRole,
		Admin: console.Admin{
			Audit:   func(context.Context) (io.ReadCloser, error) { return os.Open(a.state.path("audit.jsonl")) },
			Metrics: a.metrics.Registry(), Health: w.probes(cloud.Authority()), Inventory: inventory, Conditions: w.compiler.Compile,
		},
		Record: a.audit.Record, Logger: a.logger, Now: a.around.Now,
	})
	return err
}

func chatOf(m config.Model) (console.Chat, error) {
	chat := console.Chat{Endpoint: m.Endpoint, Model: m.Name, Key: m.Key, AzureVersion: m.AzureVersion}
	if m.ManagedIdentity == "" {
		return chat, nil
	}
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if m.ManagedIdentity != "system" {
		options.ID = azidentity.ClientID(m.ManagedIdentity)
	}
	credential, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return chat, fmt.Errorf("credential for the chat model: %w", err)
	}
	chat.Credential = credential
	return chat, nil
}

func (w *wiring) consoleServers() []console.Server {
	var servers []console.Server
	for _, s := range w.servers {
		c := w.cfg.Servers[s.Name]
		if c.Mode == "resource" {
			continue // its clients show Entra's own tokens; the console has none for it
		}
		servers = append(servers, console.Server{
			Name: s.Name, Title: s.Title, Description: c.Description, Resource: s.Resource, Scopes: s.Scopes, Rules: s.Rules, Source: c.Rules,
		})
	}
	return servers
}

// inventory is a door whose rules hide nothing: only the console can reach it, for administrators who ask what there is.
func (w *wiring) inventory() (http.Handler, error) {
	all, err := policy.Compile([]policy.Rule{{Allow: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}}}, nil)
	if err != nil {
		return nil, err
	}
	servers := append(w.servers[:0:0], w.servers...)
	for i := range servers {
		servers[i].Rules = all
	}
	return w.newDoor(servers)
}

// probes ask the things that the house stands on whether they are well.
func (w *wiring) probes(authority string) []console.Probe {
	a := w.app
	probes := []console.Probe{
		{Name: "Entra", Kind: "identity provider", Check: func(ctx context.Context) error { return reach(ctx, authority) }},
		{Name: "store", Kind: "store", Check: a.storeReady},
		{Name: "audit log", Kind: "audit log", Check: func(context.Context) error { return a.audit.Ready() }},
	}
	for _, name := range sortedKeys(w.cfg.Servers) {
		s := w.cfg.Servers[name]
		if address := s.URL + s.SSE; address != "" {
			probes = append(probes, console.Probe{Name: name, Kind: "server", Check: func(ctx context.Context) error { return reach(ctx, address) }})
		}
	}
	return probes
}

// reach says whether something listens at an address.
func reach(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("it can't be reached: %w", err)
	}
	return conn.Close()
}
