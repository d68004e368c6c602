package mcpwire

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
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

// Limits bound what is read. The zero value is a good default.
type Limits struct {
	Bytes int64 // size of the body; 4 MiB when zero
	Depth int   // nesting of objects and arrays; 64 when zero
}

// Message is one well-formed JSON-RPC message: what is authorised, and what is forwarded.
type Message struct{}

// Read reads one message and nothing else. What it refuses, it refuses with an [*Error].
func Read(_ io.Reader, _ Limits) (*Message, error) { return nil, errors.New("not yet") }

// Parse is Read of a body that is already here. It takes the body over and writes into it.
func Parse(_ []byte, _ Limits) (*Message, error) { return nil, errors.New("not yet") }

// Kind says what the message is.
func (m *Message) Kind() Kind { return 0 }

// Method is the method of a request or notification, "" for a response.
func (m *Message) Method() string { return "" }

// ID is the ID of a request or response.
func (m *Message) ID() ID { return "" }

// Uses are the things that the message wants to use, at least one for a request or notification. Each
// must be allowed.
func (m *Message) Uses() []Use { return nil }

// Arguments are those of tools/call and prompts/get: numbers are int64 where they fit, else float64.
func (m *Message) Arguments() map[string]any { return nil }

// Param gives a member of params as it stands in the message.
func (m *Message) Param(_ string) (json.RawMessage, bool) { return nil, false }

// Meta gives a member of params._meta as it stands in the message.
func (m *Message) Meta(_ string) (json.RawMessage, bool) { return nil, false }

// SetMeta sets a member of params._meta to a string, for trace context.
func (m *Message) SetMeta(_, _ string) {}

// ProtocolVersion is the revision that the body names: in _meta since 2026-07-28, in the params of
// initialize before. "" when it names none.
func (m *Message) ProtocolVersion() string { return "" }

// Bytes is the message written again: what goes to the server behind. It must not be changed.
func (m *Message) Bytes() []byte { return nil }

// CheckHeaders refuses headers that don't say what the body says.
func (m *Message) CheckHeaders(_ http.Header) error { return errors.New("not yet") }

// SetHeaders writes Mcp-Method and Mcp-Name as the body says, when the revision has them, and removes
// what was there.
func (m *Message) SetHeaders(_ http.Header) {}
