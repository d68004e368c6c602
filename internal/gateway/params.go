package gateway

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/upstream"
)

// paramPrefix begins headers that repeat an argument of a tool, so that proxies can route by it (MCP 2026-07-28,
// Transports, Custom Headers).
const paramPrefix = "Mcp-Param-"

// params are the headers that repeat arguments. Only the server behind knows which argument each stands for; but
// what is in none of them is something else that wants to get past the rules, and is refused.
func (x *exchange) params() ([]upstream.Param, error) {
	var params []upstream.Param
	var arguments map[string]any
	for name, values := range x.r.Header {
		if !strings.HasPrefix(name, paramPrefix) {
			continue
		}
		if x.message == nil || x.event.Method != "tools/call" || !x.stateless() {
			continue // it means nothing there, so it does not go on
		}
		if arguments == nil {
			arguments = x.message.Arguments()
		}
		if len(values) != 1 || !repeats(arguments, decodeParam(values[0])) {
			return nil, &mcpwire.Error{Code: mcpwire.CodeHeaderMismatch, Status: http.StatusBadRequest, ID: x.message.ID(),
				Message: "the header " + name + " is not what the arguments say"}
		}
		params = append(params, upstream.Param{Name: name, Value: values[0]})
	}
	return params, nil
}

// decodeParam undoes the encoding of values that a header can't hold.
func decodeParam(value string) string {
	inner, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value
	}
	inner, ok = strings.CutSuffix(inner, "?=")
	if !ok {
		return value
	}
	decoded, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return value
	}
	return string(decoded)
}

// repeats says whether a text, truth value or whole number in the arguments reads like the header.
func repeats(v any, header string) bool {
	switch v := v.(type) {
	case string:
		return v == header
	case bool:
		return strconv.FormatBool(v) == header
	case int64:
		return strconv.FormatInt(v, 10) == header
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64) == header
	case map[string]any:
		for _, inner := range v {
			if repeats(inner, header) {
				return true
			}
		}
	}
	return false
}
