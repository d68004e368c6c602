package mcpwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// Kind says what a message is.
type Kind int

// The kinds of JSON-RPC messages.
const (
	Request      Kind = iota + 1 // has a method and an ID: an answer is owed
	Notification                 // has a method and no ID
	Response                     // has a result or an error: the client answers the server
)

// ID is a request's ID as the JSON text that stands in the message: 7 and "7" differ. Empty: none.
type ID string

// Limits bound what is read. The zero value is a good default.
type Limits struct {
	Bytes int64 // size of the body; 4 MiB when zero
	Depth int   // nesting of objects and arrays; 64 when zero
}

const (
	defaultBytes = 4 << 20
	defaultDepth = 64
	maxID        = 512
	maxMethod    = 256
)

// Message is one well-formed JSON-RPC message: what is authorised, and what is forwarded. It is for one
// goroutine at a time.
type Message struct {
	kind      Kind
	method    string
	id        ID
	body      []byte
	params    span // the object, {0, 0} when there is none
	metadata  span // params._meta
	members   []member
	meta      []member
	uses      []Use
	arguments span
}

// member is a member of an object that was remembered.
type member struct{ key, value span }

// Read reads one message and nothing else. What it refuses, it refuses with an [*Error]; any other error is
// that of the reader.
func Read(r io.Reader, limits Limits) (*Message, error) {
	limit := limits.Bytes
	if limit <= 0 {
		limit = defaultBytes
	}
	body, err := readAll(r, limit)
	if err != nil {
		return nil, err
	}
	return Parse(body, limits)
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	body := make([]byte, 0, min(2048, limit+1))
	for {
		n, err := r.Read(body[len(body):min(int64(cap(body)), limit+1)])
		body = body[:len(body)+n]
		if int64(len(body)) > limit {
			return nil, tooLarge(limit)
		}
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if over := (*http.MaxBytesError)(nil); errors.As(err, &over) {
			return nil, tooLarge(over.Limit)
		}
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		if len(body) == cap(body) {
			body = slices.Grow(body, cap(body))
		}
	}
}

func tooLarge(limit int64) *Error {
	return &Error{Code: CodeInvalidRequest, Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("the body is larger than %d bytes: send less, or ask for a higher limit on this server", limit)}
}

// Kind says what the message is.
func (m *Message) Kind() Kind { return m.kind }

// Method is the method of a request or notification, "" for a response.
func (m *Message) Method() string { return m.method }

// ID is the ID of a request or response.
func (m *Message) ID() ID { return m.id }

// Uses are the things that the message wants to use, at least one for a request or notification, none for a
// response. Each must be allowed.
func (m *Message) Uses() []Use { return m.uses }

// Bytes is the message written again: what goes to the server behind. It must not be changed, and is
// valid until SetMeta.
func (m *Message) Bytes() []byte { return m.body }

// Param gives a member of params as it stands in the message.
func (m *Message) Param(key string) (json.RawMessage, bool) { return m.find(m.members, key) }

// Meta gives a member of params._meta as it stands in the message.
func (m *Message) Meta(key string) (json.RawMessage, bool) { return m.find(m.meta, key) }

func (m *Message) find(members []member, key string) (json.RawMessage, bool) {
	for _, c := range members {
		if string(c.key.of(m.body)) == key {
			return c.value.of(m.body), true
		}
	}
	return nil, false
}

// Arguments decodes those of tools/call and prompts/get, for a decision: numbers are int64 where they are
// whole and fit, else float64. It is nil when there are none.
func (m *Message) Arguments() map[string]any {
	if m.arguments.to == 0 {
		return nil
	}
	arguments, _ := decode(m.arguments.of(m.body)).(map[string]any)
	return arguments
}

const (
	versionKey  = "io.modelcontextprotocol/protocolVersion"
	initialize  = "initialize"
	paramsKey   = "params"
	metaKey     = "_meta"
	cacheScope  = "cacheScope"
	versionName = "protocolVersion"
)

// ProtocolVersion is the revision that the body names: in _meta since 2026-07-28, in the params of
// initialize before. "" when it names none.
func (m *Message) ProtocolVersion() string {
	raw, ok := m.Meta(versionKey)
	if !ok && m.method == initialize {
		raw, ok = m.Param(versionName)
	}
	if !ok {
		return ""
	}
	version, _ := unquote(raw)
	return version
}

// SetMeta sets a member of params._meta to a string: trace context. A response has no params, and stays as
// it is.
func (m *Message) SetMeta(key, value string) { m.setMeta(key, appendText(nil, value)) }

// SetMetaValue sets a member of params._meta to any JSON value, which must be well-formed.
func (m *Message) SetMetaValue(key string, value json.RawMessage) { m.setMeta(key, value) }

func (m *Message) setMeta(key string, text []byte) {
	i := slices.IndexFunc(m.meta, func(c member) bool { return string(c.key.of(m.body)) == key })
	switch {
	case m.kind == Response:
	case i >= 0:
		m.splice(m.meta[i].value, text)
	case m.metadata.to > 0:
		m.prepend(m.metadata, key, text, &m.meta)
	case m.params.to > 0:
		at := m.prepend(m.params, metaKey, []byte("{}"), &m.members)
		m.metadata = m.members[at].value
		m.prepend(m.metadata, key, text, &m.meta)
	default:
		end := len(m.body) - 1
		m.splice(span{end, end}, []byte(`,"params":{}`))
		m.params = span{end + len(`,"params":`), end + len(`,"params":{}`)}
		m.setMeta(key, text)
	}
}

// prepend puts a member at the beginning of an object.
func (m *Message) prepend(object span, key string, value []byte, members *[]member) int {
	text := append(appendText(nil, key), ':')
	keySpan := span{object.from + 2, object.from + len(text) - 1}
	valueSpan := span{object.from + 1 + len(text), object.from + 1 + len(text) + len(value)}
	text = append(text, value...)
	if object.to-object.from > len("{}") {
		text = append(text, ',')
	}
	m.splice(span{object.from + 1, object.from + 1}, text)
	*members = append(*members, member{keySpan, valueSpan})
	return len(*members) - 1
}

// splice replaces a part of the body, and moves every span behind it.
func (m *Message) splice(old span, text []byte) {
	body := make([]byte, 0, len(m.body)+len(text)+16)
	body = append(append(append(body, m.body[:old.from]...), text...), m.body[old.to:]...)
	m.body = body
	by := len(text) - (old.to - old.from)
	move := func(s *span) {
		if s.from >= old.to && s.to > 0 {
			s.from += by
		}
		if s.to >= old.to && s.to > 0 {
			s.to += by
		}
	}
	for _, s := range []*span{&m.params, &m.metadata, &m.arguments} {
		move(s)
	}
	for _, all := range [][]member{m.members, m.meta} {
		for i := range all {
			move(&all[i].key)
			move(&all[i].value)
		}
	}
}

// unquote reads a string that the scanner wrote.
func unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}
