package bridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// paramHeaders knows which parameters of which tools the server wants repeated in HTTP headers. On stdio there
// are none, so the bridge adds them (2026-07-28, Streamable HTTP §Custom Headers from Tool Parameters).
type paramHeaders struct {
	mu    sync.Mutex
	tools map[string][]paramHeader
}

// paramHeader is one parameter, by its path below the arguments, and its header.
type paramHeader struct {
	path   []string
	header string
}

const annotation = "x-mcp-header"

// learn reads an answer to tools/list, and takes out the tools whose annotations break the rules.
func (p *paramHeaders) learn(raw []byte, log *slog.Logger) []byte {
	if !bytes.Contains(raw, []byte(annotation)) {
		return raw
	}
	var answer, result map[string]json.RawMessage
	var tools []json.RawMessage
	if json.Unmarshal(raw, &answer) != nil || json.Unmarshal(answer["result"], &result) != nil || json.Unmarshal(result["tools"], &tools) != nil {
		return raw
	}
	kept := make([]json.RawMessage, 0, len(tools))
	for _, tool := range tools {
		var named struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"inputSchema"`
		}
		_ = json.Unmarshal(tool, &named)
		headers, err := readAnnotations(named.Schema)
		if err != nil {
			log.Warn("a tool was left out, because its schema is wrong", "tool", oneLine(named.Name), "why", err)
			continue
		}
		p.remember(named.Name, headers)
		kept = append(kept, tool)
	}
	if len(kept) == len(tools) {
		return raw
	}
	return replaceTools(raw, answer, result, kept)
}

func (p *paramHeaders) remember(tool string, headers []paramHeader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tools == nil {
		p.tools = map[string][]paramHeader{}
	}
	p.tools[tool] = headers
}

func replaceTools(raw []byte, answer, result map[string]json.RawMessage, kept []json.RawMessage) []byte {
	var err error
	if result["tools"], err = json.Marshal(kept); err != nil {
		return raw
	}
	if answer["result"], err = json.Marshal(result); err != nil {
		return raw
	}
	if out, err := json.Marshal(answer); err == nil {
		return out
	}
	return raw
}

// readAnnotations finds the annotated properties of an input schema.
func readAnnotations(schema json.RawMessage) ([]paramHeader, error) {
	var found []paramHeader
	allowed := 0
	var walk func(raw json.RawMessage, path []string) error
	walk = func(raw json.RawMessage, path []string) error {
		var object struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if json.Unmarshal(raw, &object) != nil {
			return nil
		}
		for name, property := range object.Properties {
			here := append(path[:len(path):len(path)], name)
			header, there, err := annotationOf(property)
			if err != nil {
				return fmt.Errorf("parameter %q: %w", strings.Join(here, "."), err)
			}
			if there {
				allowed++
				found = append(found, paramHeader{path: here, header: header})
			}
			if err := walk(property, here); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(schema, nil); err != nil {
		return nil, err
	}
	if countAnnotations(schema) != allowed {
		return nil, fmt.Errorf("%s stands where no chain of properties leads", annotation)
	}
	seen := map[string]bool{}
	for _, p := range found {
		if lower := strings.ToLower(p.header); seen[lower] {
			return nil, fmt.Errorf("%s %q is there twice", annotation, p.header)
		} else {
			seen[lower] = true
		}
	}
	return found, nil
}

func annotationOf(property json.RawMessage) (header string, there bool, err error) {
	var p struct {
		Type   string          `json:"type"`
		Header json.RawMessage `json:"x-mcp-header"`
	}
	if json.Unmarshal(property, &p) != nil || p.Header == nil {
		var probe map[string]json.RawMessage
		if json.Unmarshal(property, &probe) == nil && probe[annotation] != nil {
			return "", true, fmt.Errorf("%s is only for string, integer and boolean", annotation)
		}
		return "", false, nil
	}
	switch p.Type {
	case "string", "integer", "boolean":
	default:
		return "", true, fmt.Errorf("%s is only for string, integer and boolean, not for %q", annotation, p.Type)
	}
	if json.Unmarshal(p.Header, &header) != nil || header == "" || strings.ContainsFunc(header, notToken) {
		return "", true, fmt.Errorf("%s is no part of a header name", annotation)
	}
	return header, true, nil
}

// notToken finds what may not stand in a header name (RFC 9110 §5.6.2).
func notToken(r rune) bool {
	alphanumeric := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// countAnnotations counts annotations anywhere in a schema, except for properties that have that very name.
func countAnnotations(schema json.RawMessage) int {
	var value any
	if json.Unmarshal(schema, &value) != nil {
		return 0
	}
	var count func(v any, names bool) int
	count = func(v any, names bool) int {
		n := 0
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if key == annotation && !names {
					n++
					continue
				}
				n += count(inner, key == "properties" && !names)
			}
		case []any:
			for _, inner := range v {
				n += count(inner, false)
			}
		}
		return n
	}
	return count(value, false)
}

// set writes the headers that the tool of a call wants.
func (p *paramHeaders) set(h http.Header, m *mcpwire.Message) {
	if m.Method() != "tools/call" {
		return
	}
	var name string
	raw, _ := m.Param("name")
	_ = json.Unmarshal(raw, &name)
	p.mu.Lock()
	wanted := p.tools[name]
	p.mu.Unlock()
	arguments, _ := m.Param("arguments")
	for _, w := range wanted {
		if value, ok := lookUp(arguments, w.path); ok {
			h.Set("Mcp-Param-"+w.header, encodeHeader(value))
		}
	}
}

// lookUp reads a primitive argument at a path as the text of a header.
func lookUp(arguments json.RawMessage, path []string) (string, bool) {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(arguments, &object) != nil || object[name] == nil {
			return "", false
		}
		arguments = object[name]
	}
	var value any
	if json.Unmarshal(arguments, &value) != nil {
		return "", false
	}
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10), true
		}
	}
	return "", false
}

// encodeHeader makes a header value of any text (2026-07-28, Streamable HTTP §Value Encoding).
func encodeHeader(s string) string {
	encoded := strings.HasPrefix(s, "=?base64?") && strings.HasSuffix(s, "?=")
	if !encoded && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

// isMismatch says whether the server refuses a call for its headers. The body can still be read afterwards.
func isMismatch(resp *http.Response) bool {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	var answer struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(raw, &answer) == nil && answer.Error.Code == mcpwire.CodeHeaderMismatch
}

// relist asks for the tools again, to learn which headers a call wants: the client may have listed them before
// this bridge was started.
func (r *remote) relist(ctx context.Context, call *mcpwire.Message) error {
	meta, _ := call.Param("_meta")
	list, err := mcpwire.Parse(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"genkan-tools","method":"tools/list","params":{"_meta":%s}}`, meta), mcpwire.Limits{})
	if err != nil {
		return err
	}
	_, resp, err := r.post(ctx, list, func() {})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := r.soleAnswer(list, resp)
	if err != nil {
		return err
	}
	r.tools.learn(answer, r.log)
	return nil
}
