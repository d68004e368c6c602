package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	listTime = 10 * time.Second
	callTime = 5 * time.Minute
	maxTools = 500 // of one server
)

// serverTools is a server with the tools that the person may use, or why they can't be listed.
type serverTools struct {
	Server  Server
	Tools   []tool
	Hidden  []hiddenTool
	Trouble string
}

// tool is a tool of a server, with what the server says about it cleaned of what no page should show.
type tool struct {
	Name     string
	Title    string
	About    string
	ReadOnly bool
	Schema   any
}

// hiddenTool is a tool that the rules hide from the person, for those who are allowed to know.
type hiddenTool struct {
	Name    string
	Refusal *policy.Refusal
	Nearest string // the rule that would allow it if the fewest things were otherwise
	Lacks   []policy.Step
}

type toolsView struct {
	Servers     []serverTools
	History     []called
	Administers bool
}

// toolsPage lists the tools of all servers.
func (k *Console) toolsPage(w http.ResponseWriter, r *http.Request, s *session) error {
	return k.showTools(w, r, s, k.Servers())
}

// serverPage lists the tools of one server.
func (k *Console) serverPage(w http.ResponseWriter, r *http.Request, s *session) error {
	server, ok := k.server(r.PathValue("server"))
	if !ok {
		return k.nowhere(w, r)
	}
	return k.showTools(w, r, s, []Server{server})
}

func (k *Console) showTools(w http.ResponseWriter, r *http.Request, s *session, servers []Server) error {
	all, err := k.toolsOf(r, s, servers)
	if err != nil {
		return err
	}
	history, err := k.history(r.Context(), s)
	if err != nil {
		return err
	}
	if len(servers) == 1 {
		history = slices.DeleteFunc(history, func(c called) bool { return c.Server != servers[0].Name })
	}
	title := "Tools"
	if len(servers) == 1 {
		title = servers[0].Label()
	}
	return k.render(w, r, s, view{Name: "tools", Title: title, Data: toolsView{Servers: all, History: history, Administers: k.administers(s)}})
}

// toolsOf asks all servers at once. The doors are opened before, one by one, because each changes the session.
func (k *Console) toolsOf(r *http.Request, s *session, servers []Server) ([]serverTools, error) {
	ctx, cancel := context.WithTimeout(r.Context(), listTime)
	defer cancel()
	for _, server := range servers {
		if _, err := k.door(ctx, s, server); err != nil {
			return nil, err
		}
	}
	all := make([]serverTools, len(servers))
	var asked sync.WaitGroup
	for i, server := range servers {
		asked.Go(func() {
			all[i] = k.askTools(ctx, r, s, server)
		})
	}
	asked.Wait()
	return all, ctx.Err()
}

func (k *Console) askTools(ctx context.Context, r *http.Request, s *session, server Server) serverTools {
	t := serverTools{Server: server}
	listed, err := k.listTools(ctx, k.Door, r, s, server)
	if err != nil {
		t.Trouble = k.trouble(r, err)
		return t
	}
	for _, l := range listed {
		t.Tools = append(t.Tools, readTool(l))
	}
	if k.administers(s) && k.Admin.Inventory != nil {
		t.Hidden = k.hiddenTools(ctx, r, s, server)
	}
	return t
}

func (k *Console) listTools(ctx context.Context, door http.Handler, r *http.Request, s *session, server Server) ([]*mcp.Tool, error) {
	client, err := k.connectTo(ctx, door, r, s, server, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	var all []*mcp.Tool
	for t, err := range client.Tools(ctx, nil) {
		if err != nil {
			return nil, &serverError{server: server.Label(), err: err}
		}
		if all = append(all, t); len(all) == maxTools {
			break
		}
	}
	return all, nil
}

// hiddenTools holds the whole list of a server against its rules.
func (k *Console) hiddenTools(ctx context.Context, r *http.Request, s *session, server Server) []hiddenTool {
	listed, err := k.listTools(ctx, k.Admin.Inventory, r, s, server)
	if err != nil {
		k.Logger.WarnContext(ctx, "the whole list of tools can't be had", "server", server.Name, "error", err)
		return nil
	}
	id := s.person()
	id.Scopes = server.allScopes()
	var hidden []hiddenTool
	for _, t := range listed {
		if server.Rules.Visible(id, policy.Tool, t.Name) {
			continue
		}
		hidden = append(hidden, explainHidden(server, id, t.Name))
	}
	return hidden
}

func explainHidden(server Server, id policy.Identity, name string) hiddenTool {
	why := server.Rules.Explain(id, policy.Call{Server: server.Name, Target: policy.Tool, Name: name})
	h := hiddenTool{Name: printable(name), Refusal: why.Decision.Refusal}
	if why.Nearest >= 0 {
		nearest := why.Rules[why.Nearest]
		h.Nearest = nearest.Rule.Name
		for _, step := range nearest.Steps {
			if !step.Holds {
				h.Lacks = append(h.Lacks, step)
			}
		}
	}
	return h
}

// readTool takes over what a server says about a tool. Servers are strangers: nothing of it is markup.
func readTool(t *mcp.Tool) tool {
	read := tool{Name: t.Name, Title: printable(t.Title), About: printable(t.Description), Schema: t.InputSchema}
	if a := t.Annotations; a != nil {
		read.ReadOnly = a.ReadOnlyHint
		if read.Title == "" {
			read.Title = printable(a.Title)
		}
	}
	if read.Title == "" {
		read.Title = printable(t.Name)
	}
	return read
}

// findTool asks the server for one tool. What the person may not see is not there.
func (k *Console) findTool(ctx context.Context, r *http.Request, s *session, server Server, name string) (tool, error) {
	listed, err := k.listTools(ctx, k.Door, r, s, server)
	if err != nil {
		return tool{}, err
	}
	i := slices.IndexFunc(listed, func(t *mcp.Tool) bool { return t.Name == name })
	if i < 0 {
		return tool{}, &notice{Status: http.StatusNotFound, Title: "There is no such tool", Text: "The server has no tool of that name, or you may not use it.", Remedy: "Choose one of the list."}
	}
	return readTool(listed[i]), nil
}

// trouble is what to tell a person when a server does not answer. The cause can name internal addresses: it goes to
// the log only.
func (k *Console) trouble(r *http.Request, err error) string {
	k.Logger.WarnContext(r.Context(), "a server could not be asked", "error", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return "It did not answer in time."
	}
	return "It can't be reached at the moment."
}

// clean is what a page may show of a text that a server wrote: whole, but without anything that looks like a token.
func clean(text string) string { return telemetry.Scrub(text) }
