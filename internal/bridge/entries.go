package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// errNotOurs means that a configuration file is not understood, and is left alone.
var errNotOurs = errors.New("the file is not an object in JSON (comments are fine)")

// putEntry puts an entry into an object of a configuration file, and leaves everything else as it is: order,
// comments, spaces. What is there under the name is replaced.
func putEntry(before []byte, key, name, entry string) ([]byte, error) {
	text := string(before)
	if lines := strings.Count(text, "\n"); lines > 0 && strings.Count(text, "\r\n") == lines {
		after, err := putEntry([]byte(strings.ReplaceAll(text, "\r\n", "\n")), key, name, entry)
		return []byte(strings.ReplaceAll(string(after), "\n", "\r\n")), err
	}
	if strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")) == "" {
		text = "{}\n"
	}
	s := &jsonc{text: text}
	s.skip()
	root, err := s.object()
	if err != nil {
		return nil, err
	}
	if s.skip(); s.pos != len(s.text) {
		return nil, errNotOurs
	}
	unit := indentUnit(text)
	servers := root.find(key)
	if servers == nil {
		block := fmt.Sprintf("%s: {\n%s\n}", jsonText(key), indentLines(jsonText(name)+": "+entryWith(entry, unit), unit))
		return []byte(root.insert(text, block, unit, 0)), nil
	}
	inner := &jsonc{text: text, pos: servers.from}
	list, err := inner.object()
	if err != nil {
		return nil, fmt.Errorf("%q is not an object: %w", key, errNotOurs)
	}
	if old := list.find(name); old != nil {
		return []byte(text[:old.from] + indentRest(entryWith(entry, unit), unit+unit) + text[old.to:]), nil
	}
	return []byte(list.insert(text, jsonText(name)+": "+entryWith(entry, unit), unit, 1)), nil
}

// jsonc reads JSON with comments and trailing commas, as the programs themselves do, and remembers places.
type jsonc struct {
	text string
	pos  int
}

// jsonObject is an object in a text.
type jsonObject struct {
	open, close int // of the braces
	members     []jsonMember
	comma       int // behind the last member, 0 when there is none
}

type jsonMember struct {
	name     string
	from, to int // of the value
}

func (o *jsonObject) find(name string) *jsonMember {
	for i := range o.members {
		if o.members[i].name == name {
			return &o.members[i]
		}
	}
	return nil
}

// insert puts a member behind the last one.
func (o *jsonObject) insert(text, member, unit string, depth int) string {
	outer := strings.Repeat(unit, depth)
	member = outer + unit + indentRest(member, outer+unit)
	if len(o.members) == 0 {
		return text[:o.open+1] + "\n" + member + "\n" + outer + text[o.close:]
	}
	last := o.members[len(o.members)-1].to
	if o.comma > 0 {
		return text[:o.comma+1] + "\n" + member + text[o.comma+1:]
	}
	return text[:last] + ",\n" + member + text[last:]
}

// skip passes over spaces and comments.
func (s *jsonc) skip() {
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			s.pos++
		case strings.HasPrefix(rest, "\ufeff") && s.pos == 0:
			s.pos += len("\ufeff")
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				s.pos += end
			} else {
				s.pos = len(s.text)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				s.pos = len(s.text)
				return
			}
			s.pos += end + 4
		default:
			return
		}
	}
}

func (s *jsonc) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *jsonc) object() (*jsonObject, error) {
	if s.peek() != '{' {
		return nil, errNotOurs
	}
	o := &jsonObject{open: s.pos}
	s.pos++
	for {
		s.skip()
		if s.peek() == '}' {
			o.close = s.pos
			s.pos++
			return o, nil
		}
		if len(o.members) > 0 && o.comma == 0 {
			return nil, errNotOurs
		}
		name, err := s.string()
		if err != nil {
			return nil, err
		}
		if s.skip(); s.peek() != ':' {
			return nil, errNotOurs
		}
		s.pos++
		s.skip()
		from := s.pos
		if err := s.value(); err != nil {
			return nil, err
		}
		o.members = append(o.members, jsonMember{name: name, from: from, to: s.pos})
		s.skip()
		if o.comma = 0; s.peek() == ',' {
			o.comma = s.pos
			s.pos++
		}
	}
}

func (s *jsonc) string() (string, error) {
	if s.peek() != '"' {
		return "", errNotOurs
	}
	for end := s.pos + 1; end < len(s.text); end++ {
		switch s.text[end] {
		case '\\':
			end++
		case '"':
			var value string
			if json.Unmarshal([]byte(s.text[s.pos:end+1]), &value) != nil {
				return "", errNotOurs
			}
			s.pos = end + 1
			return value, nil
		}
	}
	return "", errNotOurs
}

func (s *jsonc) value() error {
	switch s.peek() {
	case '{':
		_, err := s.object()
		return err
	case '[':
		return s.array()
	case '"':
		_, err := s.string()
		return err
	}
	from := s.pos
	for s.pos < len(s.text) && !strings.ContainsRune(",]} \t\r\n/", rune(s.text[s.pos])) {
		s.pos++
	}
	if !json.Valid([]byte(s.text[from:s.pos])) {
		return errNotOurs
	}
	return nil
}

func (s *jsonc) array() error {
	s.pos++
	for comma := true; ; {
		s.skip()
		if s.peek() == ']' {
			s.pos++
			return nil
		}
		if !comma {
			return errNotOurs
		}
		if err := s.value(); err != nil {
			return err
		}
		s.skip()
		if comma = s.peek() == ','; comma {
			s.pos++
		}
	}
}

// indentUnit is how a file indents: as its first indented line does, else with two spaces.
func indentUnit(text string) string {
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimLeft(line, " \t"); trimmed != line && strings.TrimSpace(trimmed) != "" {
			return line[:len(line)-len(trimmed)]
		}
	}
	return "  "
}

func entryWith(entry, unit string) string { return strings.ReplaceAll(entry, "\n  ", "\n"+unit) }

func indentLines(text, indent string) string { return indent + indentRest(text, indent) }

func indentRest(text, indent string) string { return strings.ReplaceAll(text, "\n", "\n"+indent) }

// jsonText writes a string as JSON, without the escapes for HTML that nobody needs here.
func jsonText(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}
