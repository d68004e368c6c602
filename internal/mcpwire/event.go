package mcpwire

import "bytes"

// field is what a line of a stream says.
type field struct{ name, value []byte }

// parseLine reads a line without its end (WHATWG HTML §9.2.6): one space behind the colon goes.
func parseLine(line []byte) field {
	name, value, _ := bytes.Cut(line, []byte(":"))
	return field{name, bytes.TrimPrefix(value, []byte(" "))}
}

// dispatch shows the held event to edit and gives the bytes to let go.
func (e *eventReader) dispatch() []byte {
	raw := e.held[e.from:e.line]
	event, data, odd := e.event()
	if data == 0 {
		if odd {
			return e.written(nil)
		}
		return raw
	}
	verdict, replacement := e.edit(event)
	switch {
	case verdict == Remove:
		return nil
	case verdict == Replace:
		return e.written(replacement)
	case odd:
		return e.written(event.Data)
	default:
		return raw
	}
}

// event reads the lines. It says how many have data, and whether some are odd.
func (e *eventReader) event() (event Event, data int, odd bool) {
	for _, s := range e.lines {
		line := bytes.TrimRight(s.of(e.held), "\r\n")
		if len(line) == 0 || line[0] == ':' {
			continue
		}
		f := parseLine(line)
		switch string(f.name) {
		case "data":
			switch data++; data {
			case 1:
				event.Data = f.value
			case 2:
				event.Data = bytes.Join([][]byte{event.Data, f.value}, []byte("\n"))
			default:
				event.Data = append(append(event.Data, '\n'), f.value...)
			}
		case "event":
			event.Type = string(f.value)
		case "id":
			event.ID = string(f.value)
		case "retry":
		default:
			odd = true
		}
	}
	return event, data, odd
}

// written writes the event again, with other data where the first of its data was. One that was not ended by an
// empty line isn't now.
func (e *eventReader) written(data []byte) []byte {
	var b []byte
	done := false
	for _, s := range e.lines {
		line := bytes.TrimRight(s.of(e.held), "\r\n")
		if len(line) == 0 {
			return append(b, '\n')
		}
		f := parseLine(line)
		switch name := string(f.name); {
		case name == "data" && !done:
			done = true
			for part := range bytes.SplitSeq(data, []byte("\n")) {
				b = append(append(append(b, "data: "...), part...), '\n')
			}
		case line[0] == ':', name == "event", name == "id", name == "retry":
			b = append(append(b, line...), '\n')
		}
	}
	return b
}
