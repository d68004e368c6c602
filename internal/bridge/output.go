package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// output is the way to the MCP client: whole messages, one a line.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// errNoMessage means that somebody sent something that is not a JSON-RPC message.
var errNoMessage = errors.New("it is not a JSON-RPC message")

// message writes one message, or each message of a batch. What is not JSON is not written.
func (o *output) message(raw []byte) error {
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		var batch []json.RawMessage
		if err := json.Unmarshal(raw, &batch); err != nil {
			return errNoMessage
		}
		for _, one := range batch {
			if err := o.message(one); err != nil {
				return err
			}
		}
		return nil
	} else if len(trimmed) == 0 || trimmed[0] != '{' {
		return errNoMessage
	}
	var line bytes.Buffer
	line.Grow(len(raw) + 1)
	if err := json.Compact(&line, raw); err != nil {
		return errNoMessage
	}
	line.WriteByte('\n')
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.w.Write(line.Bytes()); err != nil {
		return fmt.Errorf("write to the MCP client: %w", err)
	}
	return nil
}

// failure answers a request with an error of the bridge's own.
func (o *output) failure(id mcpwire.ID, code int, message string) error {
	e := mcpwire.Error{Code: code, ID: id, Message: message}
	return o.message(e.Body())
}

// notify sends a message of the bridge's own.
func (o *output) notify(method string, params any) error {
	return o.object(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
}

// request asks the MCP client for something.
func (o *output) request(id, method string, params any) error {
	return o.object(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

func (o *output) object(object map[string]any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return o.message(raw)
}
