package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// outcome is what came of a call, fit to be shown.
type outcome struct {
	Failed     bool          `json:"failed"`
	Text       string        `json:"text,omitempty"`
	Structured string        `json:"structured,omitempty"` // JSON, indented
	Other      []string      `json:"other,omitempty"`      // content that a page can't show, said in words
	Took       time.Duration `json:"-"`
	Spent      string        `json:"took"`
}

// short is the outcome in a few words, for the history.
func (o outcome) short() string {
	text := o.Text
	if text == "" {
		text = strings.Join(strings.Fields(o.Structured), " ")
	}
	if text == "" {
		text = strings.Join(o.Other, ", ")
	}
	return printable(text)
}

// whole is the outcome as text, for a model or a record.
func (o outcome) whole() string {
	var parts []string
	if o.Structured != "" {
		parts = append(parts, o.Structured)
	}
	if o.Text != "" {
		parts = append(parts, o.Text)
	}
	return strings.Join(append(parts, o.Other...), "\n")
}

type toolView struct {
	Server    Server
	Tool      tool
	Fields    []field
	Mistakes  []mistake
	JSON      string
	Arguments string // as sent
	Outcome   *outcome
	History   []called
}

// toolPage shows a tool with a form for its arguments.
func (k *Console) toolPage(w http.ResponseWriter, r *http.Request, s *session) error {
	server, t, err := k.toolOf(r, s)
	if err != nil {
		return err
	}
	v, err := k.toolView(r, s, server, t)
	if err != nil {
		return err
	}
	if again := r.URL.Query().Get("arguments"); again != "" && json.Valid([]byte(again)) {
		v.JSON = pretty(json.RawMessage(again))
	}
	return k.render(w, r, s, view{Name: "tool", Title: t.Title, Script: "tool.js", Data: v})
}

func (k *Console) toolOf(r *http.Request, s *session) (Server, tool, error) {
	server, ok := k.server(r.PathValue("server"))
	if !ok {
		return Server{}, tool{}, k.nowhere(nil, r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), listTime)
	defer cancel()
	t, err := k.findTool(ctx, r, s, server, r.PathValue("tool"))
	if trouble, ok := errors.AsType[*serverError](err); ok {
		err = &notice{Status: http.StatusBadGateway, Title: trouble.server + " does not answer", Text: k.trouble(r, err), Remedy: "Try again in a moment."}
	}
	return server, t, err
}

func (k *Console) toolView(r *http.Request, s *session, server Server, t tool) (toolView, error) {
	history, err := k.history(r.Context(), s)
	if err != nil {
		return toolView{}, err
	}
	v := toolView{Server: server, Tool: t, Fields: formOf(t.Schema)}
	for _, c := range history {
		if c.Server == server.Name && c.Tool == t.Name {
			v.History = append(v.History, c)
		}
	}
	return v, nil
}

// callTool reads the form, calls the tool through the door, and shows what came of it: as a page, or as a stream
// of events if a script asked.
func (k *Console) callTool(w http.ResponseWriter, r *http.Request, s *session) error {
	server, t, err := k.toolOf(r, s)
	if err != nil {
		return err
	}
	v, err := k.toolView(r, s, server, t)
	if err != nil {
		return err
	}
	arguments, mistakes := readArguments(v.Fields, r.PostForm)
	if len(mistakes) > 0 {
		if script(r) {
			k.writeJSON(w, http.StatusOK, map[string]any{"mistakes": mistakes})
			return nil
		}
		v.Mistakes, v.JSON = mistakes, r.PostFormValue("json")
		fill(v.Fields, r.PostForm)
		return k.render(w, r, s, view{Name: "tool", Title: t.Title, Script: "tool.js", Status: http.StatusUnprocessableEntity, Data: v})
	}
	if script(r) {
		return k.streamCall(w, r, s, server, t.Name, arguments)
	}
	result := k.call(r.Context(), r, s, server, t.Name, arguments, nil)
	v.Outcome, v.Arguments = &result, pretty(arguments)
	fill(v.Fields, r.PostForm)
	return k.render(w, r, s, view{Name: "tool", Title: t.Title, Script: "tool.js", Data: v})
}

// streamCall tells progress while the tool runs, and the result when it is there. When the browser hangs up, the call
// is cancelled.
func (k *Console) streamCall(w http.ResponseWriter, r *http.Request, s *session, server Server, name string, arguments map[string]any) error {
	e := k.openEvents(w, r)
	defer e.close()
	heard := &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, n *mcp.ProgressNotificationClientRequest) {
			e.send("progress", map[string]any{"progress": n.Params.Progress, "total": n.Params.Total, "message": printable(n.Params.Message)})
		},
		LoggingMessageHandler: func(_ context.Context, n *mcp.LoggingMessageRequest) { //nolint:staticcheck // servers of the older revisions still log
			e.send("log", map[string]any{"level": string(n.Params.Level), "text": clean(printable(plainText(n.Params.Data)))})
		},
	}
	e.send("result", k.call(r.Context(), r, s, server, name, arguments, heard))
	return nil
}

// call calls a tool as any client does, and remembers it. Every failure is an outcome: the person sees what the
// client of an MCP server would.
func (k *Console) call(ctx context.Context, r *http.Request, s *session, server Server, name string, arguments map[string]any, heard *mcp.ClientOptions) outcome {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	began := k.Now()
	o := k.tryCall(ctx, r, s, server, name, arguments, heard)
	o.Took = k.Now().Sub(began)
	o.Spent = shortDuration(o.Took)
	if err := k.remember(context.WithoutCancel(ctx), s, called{At: began, Server: server.Name, Tool: name, Arguments: compact(arguments), Failed: o.Failed, Took: o.Took, Result: o.short()}); err != nil {
		k.Logger.WarnContext(ctx, "the history of calls can't be written", "error", err)
	}
	return o
}

func (k *Console) tryCall(ctx context.Context, r *http.Request, s *session, server Server, name string, arguments map[string]any, heard *mcp.ClientOptions) outcome {
	client, err := k.connect(ctx, r, s, server, heard)
	if err != nil {
		return k.failedCall(ctx, r, err)
	}
	defer func() { _ = client.Close() }()
	params := &mcp.CallToolParams{Name: name, Arguments: arguments}
	if heard != nil {
		params.SetProgressToken("call")
	}
	result, err := client.CallTool(ctx, params)
	if err != nil {
		return k.failedCall(ctx, r, err)
	}
	return readResult(result)
}

// failedCall says why a call brought no result. A protocol error is the door's or the server's own sentence; anything
// else is told in our words.
func (k *Console) failedCall(ctx context.Context, r *http.Request, err error) outcome {
	o := outcome{Failed: true}
	protocol, isProtocol := errors.AsType[*jsonrpc.Error](err)
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		o.Text = "The call was cancelled."
	case errors.Is(err, context.DeadlineExceeded):
		o.Text = "The tool did not answer within " + shortDuration(callTime) + "."
	case isProtocol:
		o.Text = fmt.Sprintf("Refused: %s (code %d)", clean(printable(protocol.Message)), protocol.Code)
	default:
		o.Text = "The server can't be used. " + k.trouble(r, err)
	}
	return o
}

// readResult takes out of a result what a page can show.
func readResult(result *mcp.CallToolResult) outcome {
	o := outcome{Failed: result.IsError}
	if result.StructuredContent != nil {
		o.Structured = clean(pretty(result.StructuredContent))
	}
	var texts []string
	for _, content := range result.Content {
		switch c := content.(type) {
		case *mcp.TextContent:
			if o.Structured == "" || !sameJSON(c.Text, result.StructuredContent) {
				texts = append(texts, clean(c.Text))
			}
		case *mcp.ImageContent:
			o.Other = append(o.Other, fmt.Sprintf("an image (%s, %d bytes)", printable(c.MIMEType), len(c.Data)))
		case *mcp.AudioContent:
			o.Other = append(o.Other, fmt.Sprintf("a sound (%s, %d bytes)", printable(c.MIMEType), len(c.Data)))
		case *mcp.ResourceLink:
			o.Other = append(o.Other, "a link to the resource "+clean(printable(c.URI)))
		case *mcp.EmbeddedResource:
			if c.Resource != nil && c.Resource.Text != "" {
				texts = append(texts, clean(c.Resource.Text))
			} else {
				o.Other = append(o.Other, "a resource that is no text")
			}
		default:
			o.Other = append(o.Other, "content of a kind that can't be shown here")
		}
	}
	const most = 256 << 10
	o.Text = strings.Join(texts, "\n\n")
	if len(o.Text) > most {
		o.Text = strings.ToValidUTF8(o.Text[:most], "") + "\n… (cut here: the result is longer)"
	}
	return o
}

// sameJSON says whether the text is the structured content once more, as servers repeat it for old clients.
func sameJSON(text string, structured any) bool {
	var read any
	if json.Unmarshal([]byte(text), &read) != nil {
		return false
	}
	return compact(read) == compact(structured)
}

func compact(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

func plainText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return compact(value)
}

// segment escapes a name for one segment of a path.
func segment(name string) string { return url.PathEscape(name) }
