package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// event is one server-sent event (HTML, "Server-sent events").
type event struct {
	kind  string // "" is "message"
	id    string // the last that was named
	data  []byte
	retry time.Duration // the server's wish for the wait before the next connection; 0: none
}

// events reads a stream of events up to its end. The error, if there is one, is the last.
func events(r io.Reader) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		lines := lineReader{in: bufio.NewReaderSize(r, 16<<10)}
		var e event
		var pending, hasData bool
		for {
			line, err := lines.line()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(event{}, fmt.Errorf("read the stream: %w", err))
				}
				return
			}
			if len(line) > 0 {
				hasData = e.field(line) || hasData
				pending = true
				continue
			}
			if pending {
				if hasData {
					e.data = bytes.TrimSuffix(e.data, []byte("\n"))
				}
				if !yield(e, nil) {
					return
				}
			}
			e = event{id: e.id}
			pending, hasData, lines.size = false, false, 0
		}
	}
}

// field takes one line of an event, and says whether it was data.
func (e *event) field(line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		e.data = append(append(e.data, value...), '\n')
		return true
	case "event":
		e.kind = string(value)
	case "id":
		if !bytes.ContainsRune(value, 0) {
			e.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			e.retry = time.Duration(ms) * time.Millisecond
		}
	}
	return false
}

// isMessage says whether the event holds a message of the protocol.
func (e *event) isMessage() bool {
	return (e.kind == "" || e.kind == "message") && len(bytes.TrimSpace(e.data)) > 0
}

// lineReader reads lines that end in LF, CRLF or CR, and does not wait for the LF of a CRLF.
type lineReader struct {
	in      *bufio.Reader
	size    int // of the event so far
	afterCR bool
}

func (l *lineReader) line() ([]byte, error) {
	var line []byte
	for {
		c, err := l.in.ReadByte()
		if err != nil {
			return nil, err // a line without an end is no line
		}
		if c == '\n' && l.afterCR {
			l.afterCR = false
			continue
		}
		l.afterCR = c == '\r'
		if c == '\n' || c == '\r' {
			return line, nil
		}
		if l.size++; l.size > messageLimit {
			return nil, fmt.Errorf("an event is longer than %d bytes", messageLimit)
		}
		line = append(line, c)
	}
}

// oneLine makes somebody else's text fit for a log or an error message.
func oneLine(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || (r >= 0x80 && r < 0xa0) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return ' '
		}
		return r
	}, s)
	const limit = 300
	if len(clean) > limit {
		clean = strings.ToValidUTF8(clean[:limit], "") + "…"
	}
	return strings.Join(strings.Fields(clean), " ")
}
