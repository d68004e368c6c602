package config

import (
	"fmt"
	"strings"
)

// Mistake is one thing wrong with a configuration.
type Mistake struct {
	Line   int    // in the file, from 1; 0 where the key is absent
	Key    string // as a path: servers.weather.url
	What   string // what is wrong
	Remedy string // what to do, in one sentence
}

// String says the mistake in one line.
func (m Mistake) String() string {
	var b strings.Builder
	if m.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", m.Line)
	}
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.What)
	if m.Remedy != "" {
		b.WriteString("; " + m.Remedy)
	}
	return b.String()
}

// Mistakes is the error that Load returns: all that is wrong, in the order of the file.
type Mistakes struct {
	File string
	List []Mistake
}

// Error lists every mistake on a line of its own.
func (m *Mistakes) Error() string {
	lines := make([]string, 0, len(m.List)+1)
	lines = append(lines, fmt.Sprintf("%s has %s:", m.File, Count(len(m.List), "mistake")))
	for _, mistake := range m.List {
		lines = append(lines, "  "+mistake.String())
	}
	return strings.Join(lines, "\n")
}

// Count says how many there are of a thing: "1 server", "2 servers".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
