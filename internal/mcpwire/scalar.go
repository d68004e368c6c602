package mcpwire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNumber bounds the digits of a number: some parsers take quadratic time, others round.
const maxNumber = 128

func (s *scanner) number() error {
	from := s.pos
	if s.src[s.pos] == '-' {
		s.pos++
	}
	whole := s.pos
	if s.digits() == 0 || s.src[whole] == '0' && s.pos > whole+1 {
		return s.fail("has a number that is not one")
	}
	if s.at('.') {
		s.pos++
		if s.digits() == 0 {
			return s.fail("has a number that is not one")
		}
	}
	mantissa, exponent := s.src[whole:s.pos], false
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if exponent = true; s.digits() == 0 {
			return s.fail("has a number that is not one")
		}
	}
	text := s.src[from:s.pos]
	if len(text) > maxNumber {
		return s.refuse("has a number of more than %d characters: send it as a string", maxNumber)
	}
	if exponent && !representable(text, mantissa) {
		return s.refuse("has the number %s, which no program can hold: send it as a string", quote(text))
	}
	s.copied(from)
	return nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

func (s *scanner) digits() int {
	from := s.pos
	for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - from
}

// representable says whether the number is neither too big nor too small for a float64.
func representable(text, mantissa []byte) bool {
	f, err := strconv.ParseFloat(string(text), 64)
	return err == nil && (f != 0 || !bytes.ContainsAny(mantissa, "123456789"))
}

// str reads a string and writes it in its one spelling: escapes only where JSON needs them.
func (s *scanner) str() error {
	from := s.pos
	s.pos++
	for {
		s.pos += plain(s.src[s.pos:])
		if s.pos >= len(s.src) {
			return s.fail("ends in the middle of a string")
		}
		switch c := s.src[s.pos]; c {
		case '"':
			s.pos++
			s.copied(from)
			return nil
		case '\\':
			s.copied(from)
			if err := s.escape(); err != nil {
				return err
			}
			from = s.pos
		default:
			return s.fail("has a control character in a string")
		}
	}
}

// plain counts the bytes before the first quote, backslash or control character, eight at a time.
func plain(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := w^('"'*ones), w^('\\'*ones)
		hits := (quote-ones)&^quote | (backslash-ones)&^backslash | (w-' '*ones)&^w
		if hits &= highs; hits != 0 {
			return n + bits.TrailingZeros64(hits)/8
		}
	}
	for ; n < len(b); n++ {
		if c := b[n]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return n
}

func (s *scanner) escape() error {
	if s.pos+1 >= len(s.src) {
		return s.fail("ends in the middle of a string")
	}
	c := s.src[s.pos+1]
	switch c {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		s.write('\\')
		s.write(c)
		s.pos += 2
		return nil
	case '/':
		s.write('/')
		s.pos += 2
		return nil
	case 'u':
		return s.unicode()
	default:
		return s.fail("has an escape that JSON doesn't know")
	}
}

func (s *scanner) unicode() error {
	r, ok := s.hex4(s.pos)
	if !ok {
		return s.fail("has an escape that JSON doesn't know")
	}
	s.pos += 6
	if utf16.IsSurrogate(r) {
		low, ok := s.hex4(s.pos)
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return s.refuse("has half a surrogate pair in a string")
		}
		s.pos += 6
	}
	if !s.mute {
		s.dst = appendRune(s.dst, r)
	}
	return nil
}

// hex4 reads \uXXXX at a place.
func (s *scanner) hex4(at int) (rune, bool) {
	if at+6 > len(s.src) || s.src[at] != '\\' || s.src[at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.src[at+2 : at+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendRune writes a character of a string in its one spelling.
func appendRune(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	if r < ' ' {
		const hex = "0123456789abcdef"
		return append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
	}
	return utf8.AppendRune(b, r)
}

// appendText writes a string as the scanner would.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		b = appendRune(b, r)
	}
	return append(b, '"')
}

// quote shows a part of what a stranger sent, shortened, for a message.
func quote(b []byte) string {
	const most = 60
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}

func show(c byte) string {
	if c == 0 {
		return "its end"
	}
	return strconv.QuoteRuneToASCII(rune(c))
}
