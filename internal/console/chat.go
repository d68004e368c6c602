package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	mostSteps   = 10      // how often the model may use tools before it must stop
	mostMessage = 8 << 10 // of what a person writes
)

type chatView struct {
	Turns   []turn
	Model   string
	IsModel bool
	Waits   bool
	Tools   int
	Trouble []string
	Ideas   []string
}

// chatPage shows the conversation so far.
func (k *Console) chatPage(w http.ResponseWriter, r *http.Request, s *session) error {
	t, err := k.readTalk(r.Context(), s)
	if err != nil {
		return err
	}
	v := chatView{Turns: t.Turns, Model: k.model.name(), IsModel: k.model.thinks(), Waits: t.waits()}
	offers, trouble, err := k.offers(r, s)
	if err != nil {
		return err
	}
	v.Tools, v.Trouble, v.Ideas = len(offers), trouble, ideas(offers)
	return k.render(w, r, s, view{Name: "chat", Title: "Chat", Script: "chat.js", Data: v})
}

// offer is a tool as it is offered to the model.
type offer struct {
	tool
	server Server
	called string // what the model calls it
}

// offers are the tools that the person may use. Nothing else is offered, and nothing else can be called.
func (k *Console) offers(r *http.Request, s *session) ([]offer, []string, error) {
	all, err := k.toolsOf(r, s, k.Servers())
	if err != nil {
		return nil, nil, err
	}
	var offers []offer
	var trouble []string
	taken := map[string]bool{}
	for _, server := range all {
		if server.Trouble != "" {
			trouble = append(trouble, server.Server.Label()+": "+server.Trouble)
		}
		for _, t := range server.Tools {
			o := offer{tool: t, server: server.Server, called: modelName(server.Server.Name, t.Name)}
			for i := 2; taken[o.called]; i++ {
				o.called = modelName(server.Server.Name, t.Name) + "_" + strings.Repeat("x", i)
			}
			taken[o.called] = true
			offers = append(offers, o)
		}
	}
	return offers, trouble, nil
}

// modelName is a name that models accept: letters, digits, _ and -, 64 at most.
func modelName(server, tool string) string {
	name := regexp.MustCompile(`[^a-zA-Z0-9_-]`).ReplaceAllString(server+"__"+tool, "_")
	return name[:min(len(name), 60)]
}

func ideas(offers []offer) []string {
	var found []string
	for _, o := range offers {
		switch o.Name {
		case "get_user_info":
			found = append(found, "Tell me about myself")
		case "get_forecast":
			found = append(found, "What will the weather be in Kyoto?")
		case "set_alert":
			found = append(found, "Set an alert for Lisbon")
		}
	}
	return found
}

// chatSay takes what the person wrote and streams the answer.
func (k *Console) chatSay(w http.ResponseWriter, r *http.Request, s *session) error {
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text == "" || len(text) > mostMessage {
		return badRequest("There is nothing to answer, or too much.", "Write up to 8,000 characters.")
	}
	t, err := k.readTalk(r.Context(), s)
	if err != nil {
		return err
	}
	t.decline() // who writes on has not said yes
	t.Turns = append(t.Turns, turn{By: byPerson, Text: text})
	return k.converse(w, r, s, t)
}

// chatDecide takes the person's yes or no to a call that changes something.
func (k *Console) chatDecide(w http.ResponseWriter, r *http.Request, s *session) error {
	t, err := k.readTalk(r.Context(), s)
	if err != nil {
		return err
	}
	call := t.waiting(r.PostFormValue("call"))
	if call == nil {
		return badRequest("Nothing waits for that decision.", "Load the page again.")
	}
	if r.PostFormValue("verdict") == "allow" {
		call.State = callAllowed
	} else {
		call.State = callDeclined
	}
	return k.converse(w, r, s, t)
}

// chatClear forgets the conversation.
func (k *Console) chatClear(w http.ResponseWriter, r *http.Request, s *session) error {
	t, err := k.readTalk(r.Context(), s)
	if err != nil {
		return err
	}
	t.Turns = nil
	if err := k.saveTalk(r.Context(), s, t); err != nil {
		return err
	}
	http.Redirect(w, r, Root+"chat", http.StatusSeeOther)
	return nil
}

// decline gives an outcome to every call that was not carried out.
func (t *talk) decline() {
	for i := range t.Turns {
		for j := range t.Turns[i].Calls {
			if call := &t.Turns[i].Calls[j]; call.State == callWaiting || call.State == callAllowed {
				call.State, call.Outcome = callDeclined, outcome{Failed: true, Text: "This call was not carried out."}
			}
		}
	}
}

func (t *talk) waiting(id string) *toolCall {
	if len(t.Turns) == 0 {
		return nil
	}
	calls := t.Turns[len(t.Turns)-1].Calls
	for i := range calls {
		if calls[i].ID == id && calls[i].State == callWaiting {
			return &calls[i]
		}
	}
	return nil
}

// conversation is one request of the chat on its way: the talk, the tools, and the browser that listens.
type conversation struct {
	k      *Console
	r      *http.Request
	s      *session
	t      *talk
	offers []offer
	e      *events
}

// converse goes on until the model has said all, or a decision of the person is needed, or the browser hangs up. What
// was said until then is kept.
func (k *Console) converse(w http.ResponseWriter, r *http.Request, s *session, t *talk) error {
	offers, _, err := k.offers(r, s)
	if err != nil {
		return err
	}
	if err := k.saveTalk(r.Context(), s, t); err != nil {
		return err
	}
	c := &conversation{k: k, r: r, s: s, t: t, offers: offers, e: k.openEvents(w, r)}
	defer c.e.close()
	err = c.run(r.Context())
	if saveErr := k.saveTalk(context.WithoutCancel(r.Context()), s, t); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	if err != nil && r.Context().Err() == nil {
		c.e.send("problem", k.explain(r, err))
	}
	c.e.send("end", map[string]any{"waiting": t.waits()})
	return nil
}

func (c *conversation) run(ctx context.Context) error {
	for range mostSteps {
		if err := c.settle(ctx); err != nil || c.t.waits() {
			return err
		}
		answer, err := c.k.model.answer(ctx, question{turns: c.t.Turns, offers: c.offers, person: c.s.Identity.Name}, func(text string) {
			c.e.send("delta", map[string]string{"text": clean(text)})
		})
		answer.By, answer.Stopped, answer.Text = byModel, ctx.Err() != nil, clean(answer.Text)
		if answer.Text != "" || len(answer.Calls) > 0 {
			c.t.Turns = append(c.t.Turns, answer)
		}
		if err != nil || ctx.Err() != nil {
			c.t.decline()
			return err
		}
		if len(answer.Calls) == 0 {
			return nil
		}
		c.prepare()
	}
	c.t.decline()
	return &notice{Status: http.StatusOK, Title: "Stopped", Text: "The model used tools too often without coming to an end.", Remedy: "Ask for less at once."}
}

// prepare looks at the calls that the model wants: whether there is such a tool for this person, and whether the person
// must be asked first.
func (c *conversation) prepare() {
	calls := c.t.Turns[len(c.t.Turns)-1].Calls
	for i := range calls {
		call := &calls[i]
		call.State = callUnknown
		for _, o := range c.offers {
			if o.called == call.Name {
				call.Server, call.Tool, call.ReadOnly = o.server.Name, o.Name, o.ReadOnly
				call.State = callAllowed
				if !o.ReadOnly {
					call.State = callWaiting
				}
			}
		}
		c.tell(call)
	}
}

// tell shows a call to the browser.
func (c *conversation) tell(call *toolCall) {
	arguments := clean(pretty(json.RawMessage(call.Arguments)))
	tool, server := call.Tool, call.Server
	if call.State == callUnknown {
		tool = printable(call.Name)
	}
	c.e.send("call", map[string]any{"id": call.ID, "tool": tool, "server": server, "arguments": arguments, "state": call.State})
}

// settle carries out what may be, and gives an outcome to what may not.
func (c *conversation) settle(ctx context.Context) error {
	calls := c.t.Turns[len(c.t.Turns)-1].Calls
	for i := range calls {
		call := &calls[i]
		switch call.State {
		case callUnknown:
			call.Outcome = outcome{Failed: true, Text: "There is no tool of that name."}
		case callDeclined:
			call.Outcome = outcome{Failed: true, Text: "The person declined this call."}
		case callAllowed:
			c.carryOut(ctx, call)
		default:
			continue
		}
		c.e.send("result", map[string]any{"id": call.ID, "state": call.State, "outcome": call.Outcome})
	}
	return ctx.Err()
}

func (c *conversation) carryOut(ctx context.Context, call *toolCall) {
	call.State = callDone
	server, ok := c.k.server(call.Server)
	var arguments map[string]any
	decoder := json.NewDecoder(strings.NewReader(call.Arguments))
	decoder.UseNumber()
	if err := decoder.Decode(&arguments); !ok || err != nil {
		call.Outcome = outcome{Failed: true, Text: "The arguments are not one JSON object."}
		return
	}
	heard := &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, n *mcp.ProgressNotificationClientRequest) {
		c.e.send("progress", map[string]any{"id": call.ID, "progress": n.Params.Progress, "total": n.Params.Total, "message": printable(n.Params.Message)})
	}}
	call.Outcome = c.k.call(ctx, c.r, c.s, server, call.Tool, arguments, heard)
}
