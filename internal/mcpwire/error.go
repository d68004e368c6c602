package mcpwire

import (
	"encoding/json"
	"net/http"
	"strconv"
)

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

// Body is the JSON-RPC error response. Where no ID could be read it has none: MCP knows no "id": null
// (2026-07-28, basic §Error Responses; the earlier revisions say the same).
func (e *Error) Body() []byte {
	b := []byte(`{"jsonrpc":"2.0"`)
	if e.ID != "" {
		b = append(append(b, `,"id":`...), e.ID...)
	}
	b = strconv.AppendInt(append(b, `,"error":{"code":`...), int64(e.Code), 10)
	b = appendText(append(b, `,"message":`...), e.Message)
	if len(e.Data) > 0 {
		b = append(append(b, `,"data":`...), e.Data...)
	}
	return append(b, '}', '}')
}

// refused makes the answer to a message that the scanner did not accept.
func refused(err *syntaxError, id ID) *Error {
	code := CodeParse
	if err.rule {
		code = CodeInvalidRequest
	}
	return &Error{Code: code, Status: http.StatusBadRequest, ID: id,
		Message: "the body is not one well-formed JSON-RPC message: it " + err.Error()}
}

func (m *Message) invalid(code int, message string) *Error {
	return &Error{Code: code, Status: http.StatusBadRequest, ID: m.id, Message: message}
}
