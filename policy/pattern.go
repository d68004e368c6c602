package policy

import "strings"

// pattern is text in which "*" stands for any number of any characters, cut at its stars.
type pattern struct {
	source string
	parts  []string // the literal text between stars; one part: no star
}

func newPattern(source string) pattern {
	return pattern{source: source, parts: strings.Split(source, "*")}
}

func (p pattern) exact() bool { return len(p.parts) == 1 }

// matches takes time in proportion to the name, whatever the pattern: each literal is looked for only
// behind the one before it, and the first place is always the best one.
func (p pattern) matches(name string) bool {
	if p.exact() {
		return name == p.source
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	rest := name[len(first) : len(name)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}

// overlap says whether some text matches both patterns.
func overlap(a, b string) bool {
	// reach[j] says whether a[:i] and b[:j] can describe the same text.
	reach := make([]bool, len(b)+1)
	reach[0] = true
	for j := range len(b) {
		reach[j+1] = reach[j] && b[j] == '*'
	}
	for i := range len(a) {
		diagonal := reach[0]
		reach[0] = reach[0] && a[i] == '*'
		for j := range len(b) {
			above := reach[j+1]
			switch {
			case a[i] == '*' || b[j] == '*':
				reach[j+1] = diagonal || above || reach[j]
			default:
				reach[j+1] = diagonal && a[i] == b[j]
			}
			diagonal = above
		}
	}
	return reach[len(b)]
}

// index finds the rules that name something: exact names by one look-up, patterns one by one.
type index struct {
	exact map[string][]int
	globs []globRule
}

type globRule struct {
	pattern pattern
	rule    int
}

func (x *index) add(p pattern, rule int) {
	if !p.exact() {
		x.globs = append(x.globs, globRule{p, rule})
		return
	}
	if x.exact == nil {
		x.exact = map[string][]int{}
	}
	x.exact[p.source] = append(x.exact[p.source], rule)
}

// find appends the rules that name the text, in no order, perhaps twice.
func (x *index) find(found []int, name string) []int {
	found = append(found, x.exact[name]...)
	for i := range x.globs {
		if x.globs[i].pattern.matches(name) {
			found = append(found, x.globs[i].rule)
		}
	}
	return found
}

// findOverlap appends the rules that name some text that the pattern stands for.
func (x *index) findOverlap(found []int, glob string) []int {
	p := newPattern(glob)
	for name, rules := range x.exact {
		if p.matches(name) {
			found = append(found, rules...)
		}
	}
	for i := range x.globs {
		if overlap(x.globs[i].pattern.source, glob) {
			found = append(found, x.globs[i].rule)
		}
	}
	return found
}
