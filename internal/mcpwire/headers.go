package mcpwire

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Revisions of MCP, oldest first.
const (
	Revision2024_11_05 = "2024-11-05"
	Revision2025_03_26 = "2025-03-26"
	Revision2025_06_18 = "2025-06-18"
	Revision2025_11_25 = "2025-11-25"
	Revision2026_07_28 = "2026-07-28"
)

// Headers that repeat what stands in the body.
const (
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
	paramPrefix   = "Mcp-Param-"
)

const (
	encodedPrefix = "=?base64?"
	encodedSuffix = "?="
)

// Revisions are those that the wire knows, oldest first.
func Revisions() []string {
	return []string{Revision2024_11_05, Revision2025_03_26, Revision2025_06_18, Revision2025_11_25, Revision2026_07_28}
}

func knownRevision(version string) bool {
	for _, r := range Revisions() {
		if r == version {
			return true
		}
	}
	return false
}

// CheckHeaders refuses headers that don't say what the body says (2026-07-28, Streamable HTTP §Server
// Validation). From that revision on they must be there; in earlier ones they need not, but must be right
// when they are: something on the way may have believed them.
func (m *Message) CheckHeaders(h http.Header) error {
	for _, name := range []string{headerVersion, headerMethod, headerName} {
		if len(h.Values(name)) > 1 {
			return m.mismatch("the header %s is there %d times: send it once", name, len(h.Values(name)))
		}
	}
	for name, values := range h {
		if err := m.checkParam(name, values); err != nil {
			return err
		}
	}
	if err := m.checkVersion(h); err != nil {
		return err
	}
	if m.kind == Response && h.Get(headerVersion) >= Revision2026_07_28 {
		return m.invalid(CodeInvalidRequest, "the body is a response: since revision "+Revision2026_07_28+
			" a client answers the server in a new request (inputResponses)")
	}
	if err := m.checkMethod(h); err != nil {
		return err
	}
	return m.checkName(h)
}

// mustRepeat says whether the headers must repeat what the body says. The version was checked.
func (m *Message) mustRepeat(h http.Header) bool {
	return m.kind == Request && h.Get(headerVersion) >= Revision2026_07_28
}

func (m *Message) mismatch(format string, args ...any) error {
	return m.invalid(CodeHeaderMismatch, fmt.Sprintf(format, args...))
}

// checkVersion holds the header to _meta. The body of initialize is an offer, and need not be what the header
// says.
func (m *Message) checkVersion(h http.Header) error {
	header := h.Get(headerVersion)
	_, stated := m.Meta(versionKey)
	body := ""
	if stated {
		if body = m.ProtocolVersion(); body == "" {
			return m.invalid(CodeInvalidParams, "params._meta["+versionKey+"] is not a string: send the revision, for example "+Revision2026_07_28)
		}
	}
	switch {
	case stated && header == "":
		return m.mismatch("the header MCP-Protocol-Version is missing: send %s, as the body says", quote([]byte(body)))
	case stated && header != body:
		return m.mismatch("the header MCP-Protocol-Version says %s and the body says %s: send the same in both",
			quote([]byte(header)), quote([]byte(body)))
	case header != "" && !knownRevision(header):
		return m.unsupported(header)
	case header >= Revision2026_07_28 && !stated && m.kind == Request:
		return m.invalid(CodeInvalidParams, "params._meta["+versionKey+"] is missing: revision "+header+" wants it in every request")
	}
	return nil
}

func (m *Message) unsupported(requested string) error {
	data := []byte(`{"supported":[`)
	for i, r := range Revisions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = appendText(data, r)
	}
	data = append(appendText(append(data, `],"requested":`...), strings.ToValidUTF8(requested, "?")), '}')
	e := m.invalid(CodeUnsupportedVersion, "unsupported protocol version "+quote([]byte(requested))+": use one of data.supported")
	e.Data = data
	return e
}

func (m *Message) checkMethod(h http.Header) error {
	header := h.Get(headerMethod)
	switch {
	case len(h.Values(headerMethod)) == 0 && m.mustRepeat(h):
		return m.mismatch("the header Mcp-Method is missing: send %q, as the body says", m.method)
	case len(h.Values(headerMethod)) == 0:
		return nil
	case header != m.method:
		return m.mismatch("the header Mcp-Method says %s and the body says %q: send the same in both", quote([]byte(header)), m.method)
	}
	return nil
}

func (m *Message) checkName(h http.Header) error {
	name, named := m.Name()
	if len(h.Values(headerName)) == 0 {
		if named && m.mustRepeat(h) {
			return m.mismatch("the header Mcp-Name is missing: send %s, as the body says", quote([]byte(encodeHeader(name))))
		}
		return nil
	}
	header := h.Get(headerName)
	decoded, ok := decodeHeader(header)
	switch {
	case !ok:
		return m.mismatch("the header Mcp-Name has characters that a header can't have, or isn't Base64: send %s",
			quote([]byte(encodeHeader(name))))
	case !named && m.mustRepeat(h):
		return m.mismatch("the header Mcp-Name is there, but %s names nothing: remove it", m.method)
	case named && decoded != name:
		return m.mismatch("the header Mcp-Name says %s and the body says %s: send the same in both",
			quote([]byte(decoded)), quote([]byte(name)))
	case !named && decoded != "":
		return m.mismatch("the header Mcp-Name says %s, but the body names nothing: remove it", quote([]byte(decoded)))
	}
	return nil
}

// checkParam wants headers of tool parameters to be readable. Whether they say what the arguments say only
// the server can tell, since its tools' schemas bind them.
func (m *Message) checkParam(name string, values []string) error {
	if len(name) < len(paramPrefix) || !strings.EqualFold(name[:len(paramPrefix)], paramPrefix) {
		return nil
	}
	if len(values) > 1 {
		return m.mismatch("the header %s is there %d times: send it once", quote([]byte(name)), len(values))
	}
	if _, ok := decodeHeader(values[0]); !ok {
		return m.mismatch("the header %s has characters that a header can't have, or isn't Base64: encode it as =?base64?...?=", quote([]byte(name)))
	}
	return nil
}

// SetHeaders writes MCP-Protocol-Version, Mcp-Method and Mcp-Name as the body says, if its revision has
// them. Headers that it doesn't write it leaves as they are: start from an empty set.
func (m *Message) SetHeaders(h http.Header) {
	if _, stated := m.Meta(versionKey); !stated || m.kind == Response {
		return
	}
	h.Set(headerVersion, m.ProtocolVersion())
	h.Set(headerMethod, m.method)
	if name, ok := m.Name(); ok {
		h.Set(headerName, encodeHeader(name))
	}
}

// encodeHeader makes a header value of any text (2026-07-28, Streamable HTTP §Value Encoding).
func encodeHeader(s string) string {
	padded := s != "" && (s[0] == ' ' || s[len(s)-1] == ' ')
	if !padded && visible(s) && !encoded(s) {
		return s
	}
	return encodedPrefix + base64.StdEncoding.EncodeToString([]byte(s)) + encodedSuffix
}

func decodeHeader(s string) (string, bool) {
	if !visible(strings.ReplaceAll(s, "\t", " ")) {
		return "", false
	}
	if !encoded(s) {
		return s, true
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(s[len(encodedPrefix) : len(s)-len(encodedSuffix)])
	return string(decoded), err == nil
}

func encoded(s string) bool {
	return len(s) >= len(encodedPrefix)+len(encodedSuffix) && strings.HasPrefix(s, encodedPrefix) && strings.HasSuffix(s, encodedSuffix)
}

func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
