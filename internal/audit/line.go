package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/genkan-mcp/genkan/policy"
)

// Head is the end of a chain: how many lines there are, and the hash of the last.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// genesis is the hash before the first line.
const genesis = "0000000000000000000000000000000000000000000000000000000000000000"

// start is the head of an empty chain.
func start() Head { return Head{Hash: genesis} }

// hashLine is what the next line says about this one; line has no line feed.
func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// appendLine writes the next line of a chain, with its line feed, and returns the head after it.
// It is written by hand, because one is written for every call.
func appendLine(dst []byte, head Head, e *Event) ([]byte, Head) {
	begin := len(dst)
	seq := head.Seq + 1
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"prev":"`...)
	dst = append(dst, head.Hash...)
	dst = append(dst, `","time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	dst = appendMember(dst, "kind", string(e.Kind))
	dst = appendMember(dst, "decision", string(e.Decision))
	dst = appendMember(dst, "tid", e.Tenant)
	dst = appendMember(dst, "oid", e.Object)
	dst = appendMember(dst, "name", e.Name)
	dst = appendMember(dst, "on_behalf_of", e.OnBehalfOf)
	dst = appendMember(dst, "client", e.Client)
	dst = appendMember(dst, "server", e.Server)
	dst = appendMember(dst, "method", e.Method)
	dst = appendMember(dst, "target", e.Target)
	dst = appendMember(dst, "rule", e.Rule)
	dst = appendRefusal(dst, e.Refusal)
	dst = appendNumber(dst, "status", int64(e.Status))
	dst = appendNumber(dst, "duration_ns", int64(e.Duration))
	dst = appendMember(dst, "request_id", e.RequestID)
	dst = appendMember(dst, "session_id", e.SessionID)
	dst = appendMember(dst, "address", e.Address)
	dst = appendMember(dst, "detail", e.Detail)
	dst = appendRaw(dst, "arguments", e.Arguments)
	dst = append(dst, '}')
	next := Head{Seq: seq, Hash: hashLine(dst[begin:])}
	return append(dst, '\n'), next
}

func appendRefusal(dst []byte, r *policy.Refusal) []byte {
	if r == nil {
		return dst
	}
	dst = append(dst, `,"refusal":{"check":`...)
	dst = appendString(dst, string(r.Check))
	dst = appendMember(dst, "wanted", r.Wanted)
	dst = appendMember(dst, "got", r.Got)
	dst = appendMember(dst, "remedy", r.Remedy)
	return append(dst, '}')
}

func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, value)
}

func appendNumber(dst []byte, name string, value int64) []byte {
	if value == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, value, 10)
}

// appendRaw writes JSON that was read strictly before. A line feed in it would end the line, so white space
// between tokens becomes a space; inside strings JSON allows none.
func appendRaw(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	for _, c := range value {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// appendString quotes s as JSON. Everything below a space, the delete character, the two line separators of
// JavaScript and bidirectional controls are escaped, so that a name can't forge a line or its look.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20 || r == 0x7f || r == '\u2028' || r == '\u2029' || bidirectional(r):
			dst = appendEscape(dst, r)
		default: // invalid UTF-8 arrives here as U+FFFD
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

func bidirectional(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f'
}

func appendEscape(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
