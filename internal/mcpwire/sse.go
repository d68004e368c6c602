package mcpwire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Event is one event of a stream (WHATWG HTML §9.2.6).
type Event struct {
	Type string // "" is "message"
	ID   string
	Data []byte // lines joined by "\n"; valid only during the call
}

// Verdict says what becomes of an event.
type Verdict int

// The verdicts.
const (
	Pass    Verdict = iota // as it came
	Replace                // with other data, its other lines kept
	Remove                 // not at all
)

// Edit looks at an event. The bytes count with Replace only.
type Edit func(Event) (Verdict, []byte)

// ErrEventTooLarge ends a stream with an event over the limit.
var ErrEventTooLarge = errors.New("the server behind sent an event over the limit")

// EditEvents passes a stream through edit, event by event, holding back no more than the event that isn't
// complete. Each Read gives what is ready at once; flush after each. Events that pass, pass byte for byte, but
// for two things that parsers disagree on: a lone CR at the end of a line becomes CRLF, and an event with
// fields that nobody knows loses these. Comments pass as soon as their line is complete.
//
// Some clients take an event at the end of a stream although its empty line is missing; so it goes through
// edit too. An event over the limit (16 MiB when zero) ends the stream with [ErrEventTooLarge].
func EditEvents(r io.ReadCloser, limit int, edit Edit) io.ReadCloser {
	return &eventReader{src: r, edit: edit, limit: cmp.Or(limit, defaultAnswer), atStart: true}
}

// maxLines bounds the lines of one event, which cost more to remember than an empty one is long.
const maxLines = 1 << 18

// idle is what a stream may keep in memory while nothing comes.
const idle = 4 << 10

type eventReader struct {
	src   io.ReadCloser
	edit  Edit
	limit int

	held    []byte // what isn't let go yet, lines ended by LF, CRLF or, at the very end, CR
	from    int    // where in held the event that isn't complete begins
	line    int    // where its last, incomplete line begins
	seen    int    // up to where that line was searched for its end
	lines   []span // its complete lines, ends and all
	fields  bool   // it has more than comments
	wasCR   bool   // the last byte taken in was a CR
	atStart bool   // nothing was looked at yet: a byte order mark may come

	out []byte
	err error
}

// Close closes the stream behind.
func (e *eventReader) Close() error { return e.src.Close() }

// Read gives what is ready, and waits only when nothing is.
func (e *eventReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(e.out) == 0 && e.err == nil {
		n, err := e.src.Read(p)
		e.take(p[:n])
		if e.err == nil && err != nil {
			e.finish(err)
		}
	}
	if len(e.out) == 0 {
		return 0, e.err
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	if len(e.out) == 0 {
		e.out = nil
	}
	return n, nil
}

// take adds bytes to what is held, and lets go what is complete.
func (e *eventReader) take(b []byte) {
	for len(b) > 0 && e.err == nil {
		if e.wasCR {
			b = e.afterCR(b)
			continue
		}
		end := bytes.IndexByte(b, '\r')
		if end < 0 {
			end = len(b) - 1
		}
		e.wasCR = b[end] == '\r'
		e.held = append(e.held, b[:end+1]...)
		b = b[end+1:]
		e.advance()
	}
}

// afterCR completes a CRLF, also where the LF was missing. The line itself was complete with the CR.
func (e *eventReader) afterCR(b []byte) []byte {
	e.wasCR = false
	if len(e.held) == 0 {
		e.out = append(e.out, '\n')
	} else {
		e.held = append(e.held, '\n')
		e.lines[len(e.lines)-1].to++
		e.line, e.seen = len(e.held), len(e.held)
	}
	if b[0] == '\n' {
		return b[1:]
	}
	return b
}

// advance finds complete lines in what is held.
func (e *eventReader) advance() {
	if e.atStart && e.waitForMark() {
		return
	}
	for {
		to := e.lineEnd()
		if to == 0 {
			e.seen = len(e.held)
			break
		}
		e.lines = append(e.lines, span{e.line, to})
		blank := to == e.line+1
		comment := e.held[e.line] == ':'
		e.line, e.seen = to, to
		switch {
		case blank:
			e.release(e.dispatch())
		case comment && !e.fields:
			e.release(e.held[e.from:to])
		case !comment:
			e.fields = true
		}
	}
	e.compact()
	if len(e.held) > e.limit || len(e.lines) > maxLines {
		e.held, e.out, e.lines = nil, nil, nil
		e.err = fmt.Errorf("%w of %d bytes", ErrEventTooLarge, e.limit)
	}
}

// lineEnd finds where the line ends, end and all; 0 when it doesn't. A CR only ever stands at the very end, and
// the LF behind one was taken in with it.
func (e *eventReader) lineEnd() int {
	if i := bytes.IndexByte(e.held[e.seen:], '\n'); i >= 0 {
		return e.seen + i + 1
	}
	if n := len(e.held); n > e.seen && e.held[n-1] == '\r' {
		return n
	}
	return 0
}

// waitForMark drops a byte order mark at the beginning of a stream, on which clients disagree. It says
// whether more bytes must come to tell.
func (e *eventReader) waitForMark() bool {
	const mark = "\xef\xbb\xbf"
	if len(e.held) < len(mark) && bytes.HasPrefix([]byte(mark), e.held) {
		return true
	}
	e.atStart = false
	e.held = bytes.TrimPrefix(e.held, []byte(mark))
	return false
}

// release lets bytes go and forgets the lines that they were made of.
func (e *eventReader) release(b []byte) {
	e.lines, e.fields = e.lines[:0], false
	if len(e.out) == 0 && e.line == len(e.held) && cap(e.held) > idle {
		e.out, e.held = b, nil // handed over, not copied
		e.from, e.line, e.seen = 0, 0, 0
		return
	}
	e.out = append(e.out, b...)
	e.from = e.line
}

// compact forgets what was let go. Streams are many and idle: none keeps a large buffer.
func (e *eventReader) compact() {
	if e.from == 0 {
		return
	}
	by := e.from
	if by == len(e.held) && cap(e.held) > idle {
		e.held = nil
	} else {
		e.held = append(e.held[:0], e.held[by:]...)
	}
	e.from, e.line, e.seen = 0, e.line-by, e.seen-by
	for i := range e.lines {
		e.lines[i].from -= by
		e.lines[i].to -= by
	}
}

// finish ends the stream. At its proper end the event that has no empty line behind it is let go as if it had.
func (e *eventReader) finish(err error) {
	e.err = err
	if !errors.Is(err, io.EOF) || len(e.held) == 0 {
		return
	}
	if e.line < len(e.held) {
		e.lines = append(e.lines, span{e.line, len(e.held)})
		e.line = len(e.held)
	}
	e.release(e.dispatch())
}
