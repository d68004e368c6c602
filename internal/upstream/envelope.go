package upstream

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// envelope is a JSON-RPC message taken apart, to be sent on under another ID.
type envelope struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// serverLimits bound a message of a server behind.
func serverLimits() mcpwire.Limits { return mcpwire.Limits{Bytes: 16 << 20, Depth: 256} }

// open takes a message apart that was read strictly before.
func open(m *mcpwire.Message) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(m.Bytes(), &e); err != nil {
		return e, fmt.Errorf("take message apart: %w", err)
	}
	return e, nil
}

// bytes writes the message again.
func (e envelope) bytes() ([]byte, error) {
	e.Version = "2.0"
	out, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return out, nil
}

// failure is the answer to a request that the server behind won't answer any more.
func failure(id mcpwire.ID, message string) []byte {
	e := mcpwire.Error{Code: mcpwire.CodeInternal, Message: message, ID: id}
	return e.Body()
}

// number is our own ID of a request, as the server behind sees it.
func number(n int64) json.RawMessage { return strconv.AppendInt(nil, n, 10) }

// member reads a member of an object.
func member(object json.RawMessage, name string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return nil
	}
	return members[name]
}

// withMember writes an object with one member changed; the empty object if it is none.
func withMember(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil || members == nil {
		members = map[string]json.RawMessage{}
	}
	members[name] = value
	out, err := json.Marshal(members)
	if err != nil {
		return object
	}
	return out
}

const (
	metaKey         = "_meta"
	progressKey     = "progressToken"
	subscriptionKey = "io.modelcontextprotocol/subscriptionId"
)

// withSubscription restores the ID under which the client knows its subscription.
func withSubscription(object json.RawMessage, id mcpwire.ID) json.RawMessage {
	meta := member(object, metaKey)
	if member(meta, subscriptionKey) == nil {
		return object
	}
	return withMember(object, metaKey, withMember(meta, subscriptionKey, json.RawMessage(id)))
}
