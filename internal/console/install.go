package console

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

type installView struct {
	Servers []installServer
	Public  bool // reachable from the internet, as far as the address tells
}

type installServer struct {
	Server  Server
	Clients []installClient
}

// installClient is how one MCP client learns of a server: a button, a line to paste, or both.
type installClient struct {
	Name   string
	Button template.URL // an address of the client's own scheme
	Where  string       // where to paste
	Line   string
	Note   string
}

// installPage shows how to add each server to the clients that people use.
func (k *Console) installPage(w http.ResponseWriter, r *http.Request, s *session) error {
	v := installView{Public: k.PublicURL.Scheme == "https"}
	for _, server := range k.Servers() {
		v.Servers = append(v.Servers, installServer{Server: server, Clients: installClients(server, v.Public)})
	}
	return k.render(w, r, s, view{Name: "install", Title: "Install", Data: v})
}

func installClients(server Server, public bool) []installClient {
	name, address := server.Name, server.Resource
	vscode := compact(map[string]any{"name": name, "type": "http", "url": address})
	cursor := base64.StdEncoding.EncodeToString([]byte(compact(map[string]any{"url": address})))
	clients := []installClient{
		{
			Name: "Visual Studio Code", Button: template.URL("vscode:mcp/install?" + url.QueryEscape(vscode)), //nolint:gosec // made of our own configuration
			Where: "or run in a terminal", Line: "code --add-mcp " + shellQuote(vscode),
		},
		{Name: "Claude Code", Where: "run in a terminal", Line: "claude mcp add --transport http " + name + " " + address},
		{
			Name: "Claude Desktop", Where: "Settings, Connectors, Add custom connector; paste the address", Line: address,
			Note: localNote(public, "Claude Desktop connects from the internet: for an address like this one use the bridge below."),
		},
		{
			Name: "Cursor", Button: template.URL("cursor://anysphere.cursor-deeplink/mcp/install?name=" + url.QueryEscape(name) + "&config=" + url.QueryEscape(cursor)), //nolint:gosec // see above
			Where: "or put into ~/.cursor/mcp.json", Line: pretty(map[string]any{"mcpServers": map[string]any{name: map[string]any{"url": address}}}),
		},
		{
			Name: "ChatGPT", Where: "Settings, Connectors, Create (developer mode); paste the address, choose OAuth", Line: address,
			Note: localNote(public, "ChatGPT connects from the internet: it can't reach an address like this one."),
		},
		{Name: "Any client that starts programs", Where: "the bridge speaks standard input and output", Line: "genkan connect " + address},
		{
			Name: "The same as configuration", Where: "for clients that read mcpServers",
			Line: pretty(map[string]any{"mcpServers": map[string]any{name: map[string]any{"command": "genkan", "args": []string{"connect", address}}}}),
		},
	}
	return clients
}

func localNote(public bool, note string) string { //nolint:revive // not a mode: it says where the house stands
	if public {
		return ""
	}
	return note
}

// shellQuote makes one word of a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
