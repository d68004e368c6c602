package policy

import (
	"net/url"
	"strings"
)

// hasDotSegments says whether the address, decoded as often as a careless server might, has a "." or ".."
// segment: such an address means another one than it says.
func hasDotSegments(address string) bool {
	for range 4 {
		for segment := range strings.FieldsFuncSeq(address, isSeparator) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(address)
		if err != nil || decoded == address {
			return false
		}
		address = decoded
	}
	return true // still encoded after four rounds: nobody writes that in good faith
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' || r == '?' || r == '#' }

// normalAddress is the normal form of RFC 3986 §6.2.2: scheme and host in lower case, unreserved characters
// not percent-encoded, other escapes in upper case.
func normalAddress(address string) string {
	scheme, rest, found := strings.Cut(address, ":")
	if !found {
		return unescapeUnreserved(address)
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		end := strings.IndexAny(after, "/?#")
		if end < 0 {
			end = len(after)
		}
		rest = "//" + strings.ToLower(after[:end]) + after[end:]
	}
	return unescapeUnreserved(strings.ToLower(scheme) + ":" + rest)
}

func unescapeUnreserved(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			b.WriteByte(s[i])
			continue
		}
		if c := unhex(s[i+1])<<4 | unhex(s[i+2]); isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

func isUnreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}

// templateGlob is the pattern of all addresses that a URI template (RFC 6570) can expand to, or more.
func templateGlob(template string) string {
	var b strings.Builder
	for rest := template; rest != ""; {
		open := strings.IndexByte(rest, '{')
		end := strings.IndexByte(rest, '}')
		if open < 0 || end < open {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:open] + "*")
		rest = rest[end+1:]
	}
	return b.String()
}
