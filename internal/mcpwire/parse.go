package mcpwire

import (
	"bytes"
	"cmp"
	"errors"
	"strings"
)

// The members that JSON-RPC and MCP define. A key that differs from one of them only in case would be read
// as that one by parsers that don't mind the case (CVE-2026-27896), and is refused.
const (
	envelopeKeys = "jsonrpc id method params result error"
	paramKeys    = "name arguments uri _meta cursor ref argument context protocolVersion capabilities clientInfo " +
		"level requestId progressToken progress total message reason taskId task inputResponses requestState " +
		"notifications roots"
	metaKeys = "progressToken traceparent tracestate baggage io.modelcontextprotocol/protocolVersion " +
		"io.modelcontextprotocol/clientInfo io.modelcontextprotocol/clientCapabilities io.modelcontextprotocol/logLevel " +
		"io.modelcontextprotocol/subscriptionId io.modelcontextprotocol/related-task"
	refKeys          = "type name uri"
	notificationKeys = "toolsListChanged promptsListChanged resourcesListChanged resourceSubscriptions"
)

// parser reads one message.
type parser struct {
	scanner
	m    *Message
	seen struct{ jsonrpc, method, result, failure bool }

	name, uri        text
	refType, refName text
	refURI           text
	subscriptions    []string
}

// text is a member that should be a string.
type text struct {
	there, ok bool
	value     string
}

// Parse is Read of a body that is already here. It takes the body over and writes into it.
func Parse(body []byte, limits Limits) (*Message, error) {
	if limit := cmp.Or(limits.Bytes, defaultBytes); int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	p := parser{m: &Message{}}
	p.scanner = scanner{src: body, dst: body[:0], shared: true, twins: true, most: cmp.Or(limits.Depth, defaultDepth)}
	if err := p.message(); err != nil {
		if syntax := (*syntaxError)(nil); errors.As(err, &syntax) {
			return nil, refused(syntax, p.m.id)
		}
		return nil, err
	}
	p.m.body = p.dst
	if err := p.classify(); err != nil {
		return nil, err
	}
	return p.m, nil
}

func (p *parser) message() error {
	if len(bytes.TrimSpace(p.src)) == 0 {
		return &syntaxError{problem: "is empty"}
	}
	if err := p.begin(); err != nil {
		return err
	}
	switch p.next() {
	case '{':
	case '[':
		return p.m.invalid(CodeInvalidRequest, "the body is a batch: send each message as a request of its own "+
			"(batches existed in revision 2025-03-26 only, and were taken out of MCP in 2025-06-18)")
	default:
		if err := p.value(); err != nil {
			return err
		}
		return p.refuse("is not an object")
	}
	if err := p.object(p.envelope); err != nil {
		return err
	}
	return p.end()
}

// known refuses a key that is one of ours in another case.
func (p *parser) known(key []byte, keys string) error {
	for k := range strings.SplitSeq(keys, " ") {
		if len(k) <= len(key) && string(key) != k && bytes.EqualFold(key, []byte(k)) {
			return p.refuse("has the key %s: write it %q", quote(key), k)
		}
	}
	return nil
}

func (p *parser) text(into *text) error {
	raw, err := p.written(p.value)
	into.there = true
	if err == nil {
		into.value, into.ok = unquote(raw.of(p.dst))
	}
	return err
}

func (p *parser) envelope(key []byte) error {
	switch string(key) {
	case "jsonrpc":
		p.seen.jsonrpc = true
		return p.version()
	case "id":
		return p.identifier()
	case "method":
		p.seen.method = true
		return p.method()
	case paramsKey:
		return p.params()
	case "result":
		p.seen.result = true
	case "error":
		p.seen.failure = true
	default:
		if err := p.known(key, envelopeKeys); err != nil {
			return err
		}
	}
	return p.value()
}

func (p *parser) version() error {
	var version text
	if err := p.text(&version); err != nil {
		return err
	}
	if version.value != "2.0" {
		return p.refuse(`has another "jsonrpc" than "2.0"`)
	}
	return nil
}

// identifier wants a string or a whole number (MCP, basic §Requests): null and fractions could be matched
// with the wrong answer.
func (p *parser) identifier() error {
	raw, err := p.written(p.value)
	if err != nil {
		return err
	}
	id := raw.of(p.dst)
	whole := id[0] == '-' || '0' <= id[0] && id[0] <= '9'
	if whole && bytes.ContainsAny(id, ".eE") || !whole && id[0] != '"' {
		return p.refuse(`has an "id" that is neither a string nor a whole number`)
	}
	if len(id) > maxID {
		return p.refuse(`has an "id" of more than %d bytes`, maxID)
	}
	p.m.id = ID(id)
	return nil
}

func (p *parser) method() error {
	var method text
	if err := p.text(&method); err != nil {
		return err
	}
	odd := strings.IndexFunc(method.value, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0
	if !method.ok || method.value == "" || len(method.value) > maxMethod || odd {
		return p.refuse(`has a "method" that is not the name of one`)
	}
	p.m.method = method.value
	return nil
}

func (p *parser) params() error {
	if p.next() != '{' {
		return p.refuse(`has "params" that are not an object`)
	}
	var err error
	p.m.members = make([]member, 0, 4)
	p.m.params, err = p.written(func() error { return p.object(p.param) })
	return err
}

func (p *parser) param(key []byte) error {
	at := span{len(p.dst) - len(key) - len(`":`), len(p.dst) - len(`":`)}
	value, err := p.written(func() error { return p.paramValue(string(key)) })
	p.m.members = append(p.m.members, member{at, value})
	return err
}

func (p *parser) paramValue(key string) error {
	switch key {
	case "name":
		return p.text(&p.name)
	case "uri":
		return p.text(&p.uri)
	case "arguments":
		if c := p.next(); c != '{' && c != 'n' {
			return p.refuse(`has "arguments" that are not an object`)
		}
		var err error
		p.m.arguments, err = p.written(p.value)
		return err
	case metaKey:
		if p.next() != '{' {
			return p.refuse(`has a "_meta" that is not an object`)
		}
		var err error
		p.m.metadata, err = p.written(func() error { return p.object(p.metaMember) })
		return err
	case "ref":
		if p.next() == '{' {
			return p.object(p.reference)
		}
	case "notifications":
		if p.next() == '{' {
			return p.object(p.subscription)
		}
	default:
		if err := p.known([]byte(key), paramKeys); err != nil {
			return err
		}
	}
	return p.value()
}

func (p *parser) metaMember(key []byte) error {
	if err := p.known(key, metaKeys); err != nil {
		return err
	}
	at := span{len(p.dst) - len(key) - len(`":`), len(p.dst) - len(`":`)}
	value, err := p.written(p.value)
	p.m.meta = append(p.m.meta, member{at, value})
	return err
}

func (p *parser) reference(key []byte) error {
	switch string(key) {
	case "type":
		return p.text(&p.refType)
	case "name":
		return p.text(&p.refName)
	case "uri":
		return p.text(&p.refURI)
	}
	if err := p.known(key, refKeys); err != nil {
		return err
	}
	return p.value()
}

func (p *parser) subscription(key []byte) error {
	if string(key) != "resourceSubscriptions" {
		if err := p.known(key, notificationKeys); err != nil {
			return err
		}
		return p.value()
	}
	if p.next() != '[' {
		return p.refuse(`has "resourceSubscriptions" that are not a list of addresses`)
	}
	return p.array(func() error {
		var uri text
		if err := p.text(&uri); err != nil {
			return err
		}
		if !uri.ok {
			return p.refuse(`has "resourceSubscriptions" that are not a list of addresses`)
		}
		p.subscriptions = append(p.subscriptions, uri.value)
		return nil
	})
}

// classify says what the message is, and refuses what is two things at once.
func (p *parser) classify() error {
	m := p.m
	answer := p.seen.result || p.seen.failure
	problem := ""
	switch {
	case !p.seen.jsonrpc:
		problem = `has no "jsonrpc":"2.0"`
	case p.seen.method && answer:
		problem = "is a request and a response at once"
	case p.seen.result && p.seen.failure:
		problem = "has a result and an error"
	case !p.seen.method && !answer:
		problem = "has no method, no result and no error"
	case answer && m.id == "":
		problem = "is a response without an id"
	case answer && m.params.to > 0:
		problem = "is a response with params"
	}
	if problem != "" {
		return m.invalid(CodeInvalidRequest, "the body is not one well-formed JSON-RPC message: it "+problem)
	}
	switch {
	case answer:
		m.kind = Response
		return nil
	case m.id != "":
		m.kind = Request
	default:
		m.kind = Notification
	}
	return p.findUses()
}
