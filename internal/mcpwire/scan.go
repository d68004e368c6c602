package mcpwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads one JSON text (RFC 8259, narrowed by I-JSON, RFC 7493) and writes it again: without space,
// with one spelling for each string, numbers and order of keys as they were. What it writes is never longer
// than what it has read, so dst may be the beginning of src.
//
// Being strict is the point: whatever two parsers could read differently is refused here, so that the
// server behind can't see another message than the one that was authorised.
type scanner struct {
	src    []byte
	pos    int
	dst    []byte
	depth  int // of objects and arrays that are open
	most   int // depth that is allowed
	twins  bool
	keys   []span // keys of the open objects, innermost last; only when twins are refused
	shared bool   // dst is the beginning of src
	mute   bool   // nothing is written but the keys that somebody reads, and these only as long as they do
}

// span is a part of what the scanner wrote.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// syntaxError is text that isn't what the scanner accepts.
type syntaxError struct {
	offset  int
	problem string
	rule    bool // valid JSON, but not accepted
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s (at byte %d)", e.problem, e.offset) }

func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{offset: s.pos, problem: fmt.Sprintf(format, args...)}
}

func (s *scanner) refuse(format string, args ...any) error {
	return &syntaxError{offset: s.pos, problem: fmt.Sprintf(format, args...), rule: true}
}

// begin refuses what isn't text at all.
func (s *scanner) begin() error {
	if bytes.HasPrefix(s.src, []byte("\xef\xbb\xbf")) {
		return s.fail("begins with a byte order mark")
	}
	if !utf8.Valid(s.src) {
		return s.fail("is not UTF-8")
	}
	return nil
}

// end refuses anything behind the value.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.src) {
		return s.fail("has something behind the message")
	}
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next skips space and shows the byte behind it, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.pos == len(s.src) {
		return 0
	}
	return s.src[s.pos]
}

// write writes one byte.
func (s *scanner) write(c byte) {
	if !s.mute {
		s.dst = append(s.dst, c)
	}
}

// copied takes src[from:pos] over as it is.
func (s *scanner) copied(from int) {
	if s.mute {
		return
	}
	if s.shared && len(s.dst) == from {
		s.dst = s.dst[:s.pos]
		return
	}
	s.dst = append(s.dst, s.src[from:s.pos]...)
}

func (s *scanner) value() error {
	switch c := s.next(); c {
	case '{':
		return s.object(nil)
	case '[':
		return s.array(nil)
	case '"':
		return s.str()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	case 0:
		return s.fail("ends too early")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number()
		}
		return s.fail("has %q where a value is expected", c)
	}
}

// open and shut keep the depth.
func (s *scanner) open() error {
	if s.depth++; s.depth > s.most {
		return s.refuse("nests objects or arrays deeper than %d", s.most)
	}
	s.write(s.src[s.pos])
	s.pos++
	return nil
}

func (s *scanner) shut() {
	s.depth--
	s.write(s.src[s.pos])
	s.pos++
}

// object reads an object. The function, if there is one, reads the value of each member, and may take the
// member back by cutting dst to before its key; the key is in its one spelling, without quotes, and valid
// during the call.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.open(); err != nil {
		return err
	}
	first, start := len(s.keys), len(s.dst)
	var many map[string]struct{}
	for n := 0; ; n++ {
		if s.next() == '}' && n == 0 {
			break
		}
		mark, content := s.separate(start)
		key, err := s.key(member != nil || s.twins)
		if err != nil {
			return err
		}
		if s.twins {
			if many, err = s.unlike(first, key, many); err != nil {
				return err
			}
		}
		if err := s.member(member, key); err != nil {
			return err
		}
		if s.mute {
			s.dst = s.dst[:mark]
		}
		if more, err := s.more(mark, content, '}'); err != nil {
			return err
		} else if !more {
			break
		}
	}
	s.keys = s.keys[:first]
	s.shut()
	return nil
}

// separate writes a comma if something is before it, and says what is written before and with it.
func (s *scanner) separate(start int) (mark, content int) {
	mark = len(s.dst)
	if mark > start {
		s.write(',')
	}
	return mark, len(s.dst)
}

// more says whether another member or element follows. What took itself back takes its comma along.
func (s *scanner) more(mark, content int, closing byte) (bool, error) {
	if len(s.dst) == content {
		s.dst = s.dst[:mark]
	}
	switch c := s.next(); c {
	case closing:
		return false, nil
	case ',':
		s.pos++
		return true, nil
	default:
		return false, s.fail("has %s where a comma or %q is expected", show(c), closing)
	}
}

// key reads a key and its colon. The span is without quotes.
func (s *scanner) key(wanted bool) (span, error) {
	if c := s.next(); c != '"' {
		return span{}, s.fail("has %s where a key is expected", show(c))
	}
	mute, from, at := s.mute, s.pos, len(s.dst)
	s.mute = mute && !wanted
	err := s.str()
	if s.mute = mute; err != nil {
		return span{}, err
	}
	if s.next() != ':' {
		return span{}, s.fail("has no colon behind the key %s", quote(s.src[from:s.pos]))
	}
	key := span{at + 1, len(s.dst) - 1}
	s.write(':')
	s.pos++
	return key, nil
}

func (s *scanner) member(read func(key []byte) error, key span) error {
	if read == nil { // the key may not have been written
		return s.value()
	}
	return read(key.of(s.dst))
}

// array reads an array. The function, if there is one, reads each element, and may take back what it wrote.
func (s *scanner) array(element func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	start := len(s.dst)
	for n := 0; ; n++ {
		if s.next() == ']' && n == 0 {
			break
		}
		mark, content := s.separate(start)
		if err := s.element(element); err != nil {
			return err
		}
		if more, err := s.more(mark, content, ']'); err != nil {
			return err
		} else if !more {
			break
		}
	}
	s.shut()
	return nil
}

func (s *scanner) element(read func() error) error {
	if read == nil {
		return s.value()
	}
	return read()
}

// few is up to how many keys are compared one by one; more are put into a map.
const few = 12

// unlike refuses a key that the object already has, in whatever case: of two such keys, one parser takes the
// first, another the last, a third reads both as one (CVE-2026-27896).
func (s *scanner) unlike(first int, key span, many map[string]struct{}) (map[string]struct{}, error) {
	name := key.of(s.dst)
	siblings := s.keys[first:]
	s.keys = append(s.keys, key)
	if len(siblings) < few {
		for _, other := range siblings {
			if bytes.EqualFold(other.of(s.dst), name) {
				return nil, s.twin(other.of(s.dst), name)
			}
		}
		return nil, nil
	}
	if many == nil {
		many = make(map[string]struct{}, 4*few)
		for _, other := range siblings {
			many[fold(other.of(s.dst))] = struct{}{}
		}
	}
	folded := fold(name)
	if _, there := many[folded]; there {
		return nil, s.twin(nil, name)
	}
	many[folded] = struct{}{}
	return many, nil
}

func (s *scanner) twin(other, name []byte) error {
	if other == nil || bytes.Equal(other, name) {
		return s.refuse("has the key %s twice in one object, perhaps in another case: send it once", quote(name))
	}
	return s.refuse("has the keys %s and %s, which differ only in case, in one object: send one of them", quote(other), quote(name))
}

// fold maps texts that bytes.EqualFold holds equal to one.
func fold(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			if r != 'k' && r != 's' { // the only letters of ASCII with a relative outside of it
				return r
			}
			return r
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A'
		}
		return least
	}, b))
}

// written reads something and says where it wrote it.
func (s *scanner) written(read func() error) (span, error) {
	from := len(s.dst)
	err := read()
	return span{from, len(s.dst)}, err
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.src[s.pos:], []byte(w)) {
		return s.fail("has a word that is not true, false or null")
	}
	from := s.pos
	s.pos += len(w)
	s.copied(from)
	return nil
}

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
