package mcpwire

import (
	"bytes"
	"fmt"
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
