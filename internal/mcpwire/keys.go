package mcpwire

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

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
