package app

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/console"
)

// printBanner tells a newcomer where things are, who can sign in, and what to paste where. Its last line says that
// clients may come.
func printBanner(out io.Writer, cfg *config.Config, b *behind) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	line("Genkan", cfg.PublicURL)
	line("Console", cfg.PublicURL+console.Root, "tokens, tools, chat, sessions")
	line("Dev tenant", b.tenant.URL, b.tenant.Domain+", not Microsoft")
	line()
	label := "Servers"
	for _, name := range sortedKeys(cfg.Servers) {
		s := cfg.Servers[name]
		line(label, cfg.PublicURL+s.Path, s.Title+": "+s.Description)
		label = ""
	}
	line()
	label = "Sign in as"
	for _, who := range [][2]string{
		{"alice", "reads the weather and sets alerts"}, {"bob", "reads the weather"}, {"carol", "has no role: Weather shows her nothing"},
		{"dave", "is disabled: Entra refuses him"}, {"erin", "is in 250 groups, and has no role"}, {"frank", "reads the weather, and administers Genkan"},
	} {
		line(label, who[0]+"@"+b.tenant.Domain, who[1])
		label = ""
	}
	line()
	_ = w.Flush()

	address := cfg.PublicURL + cfg.Servers["weather"].Path
	fmt.Fprintf(&text, "Claude Code  claude mcp add --transport http weather %s\n", address)
	fmt.Fprintf(&text, "VS Code      code --add-mcp '{\"name\":\"weather\",\"type\":\"http\",\"url\":\"%s\"}'\n", address)
	fmt.Fprintf(&text, "Cursor       {\"mcpServers\":{\"weather\":{\"url\":\"%s\"}}}   in ~/.cursor/mcp.json\n", address)
	fmt.Fprintf(&text, "\nReady. Ctrl-C stops it.\n")
	_, _ = io.WriteString(out, text.String())
}
