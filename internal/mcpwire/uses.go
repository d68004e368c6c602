package mcpwire

import "strings"

// Thing says what kind of thing a message uses. Its words are those of policy.Target.
type Thing string

// The kinds of things.
const (
	Tool     Thing = "tool"
	Prompt   Thing = "prompt"
	Resource Thing = "resource"
	Template Thing = "template" // in lists only: a resource template, named by its uriTemplate
	Method   Thing = "method"   // the message uses nothing that has a name: Name is its method
)

// Use is one thing that a message wants to use.
type Use struct {
	Thing Thing
	Name  string
}

// Methods whose messages name what they use.
const (
	methodCall        = "tools/call"
	methodPrompt      = "prompts/get"
	methodRead        = "resources/read"
	methodSubscribe   = "resources/subscribe"
	methodUnsubscribe = "resources/unsubscribe"
	methodComplete    = "completion/complete"
	methodListen      = "subscriptions/listen"
)

// findUses says what the message wants to use. Completion asks a prompt or a resource for its values, and a
// subscription tells of changes of resources: both are uses of them.
func (p *parser) findUses() error {
	switch p.m.method {
	case methodCall:
		return p.use(Tool, "params.name", p.name)
	case methodPrompt:
		return p.use(Prompt, "params.name", p.name)
	case methodRead, methodSubscribe, methodUnsubscribe:
		if !p.uri.there && p.removed() {
			break // it can touch no resource, and whoever sends it is to hear that the method is gone
		}
		return p.use(Resource, "params.uri", p.uri)
	case methodComplete:
		return p.useOfReference()
	}
	p.m.uses = append(p.m.uses, Use{Method, p.m.method})
	if p.m.method != methodListen {
		return nil
	}
	for _, uri := range p.subscriptions {
		if err := p.use(Resource, "params.notifications.resourceSubscriptions", text{true, true, uri}); err != nil {
			return err
		}
	}
	return nil
}

// removed says whether the message's revision has taken its method away (2026-07-28, Changes: subscriptions/listen
// replaces both).
func (p *parser) removed() bool {
	return (p.m.method == methodSubscribe || p.m.method == methodUnsubscribe) && p.m.ProtocolVersion() >= Revision2026_07_28
}

func (p *parser) useOfReference() error {
	switch p.refType.value {
	case "ref/prompt":
		return p.use(Prompt, "params.ref.name", p.refName)
	case "ref/resource":
		return p.use(Resource, "params.ref.uri", p.refURI)
	default:
		return p.m.invalid(CodeInvalidParams, `params.ref.type is neither "ref/prompt" nor "ref/resource": say what to complete`)
	}
}

func (p *parser) use(thing Thing, field string, name text) error {
	control := strings.ContainsFunc(name.value, func(r rune) bool { return r < ' ' || r == 0x7f })
	switch {
	case !name.there || name.ok && name.value == "":
		return p.m.invalid(CodeInvalidParams, field+" is missing: name the "+string(thing))
	case !name.ok:
		return p.m.invalid(CodeInvalidParams, field+" is not a string: name the "+string(thing))
	case control:
		return p.m.invalid(CodeInvalidParams, field+" has control characters: send the name alone")
	}
	p.m.uses = append(p.m.uses, Use{thing, name.value})
	return nil
}

// Name is what the header Mcp-Name must say (2026-07-28, Streamable HTTP §Standard Request Headers), if the
// message has one.
func (m *Message) Name() (string, bool) {
	switch m.method {
	case methodCall, methodPrompt, methodRead:
		return m.uses[0].Name, true
	}
	return "", false
}
