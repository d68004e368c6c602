package mcpwire

import (
	"errors"
	"io"
	"net/http"
)

// Filter takes from the answers of a server what an identity may not see. It is for one request, or one
// stream; safe for use by one goroutine.
type Filter struct {
	// Visible says whether the identity may see a thing.
	Visible func(Use) bool
	// Method says which method the request had that this ID answers, "" when it isn't known (a resumed
	// stream): then the shape of the answer decides. Nil knows none.
	Method func(ID) string
	// Limit bounds a body or an event; 16 MiB when zero.
	Limit int
	// Problem, when set, is told of every event that was removed because it isn't one well-formed message.
	Problem func(error)
}

// Wanted says whether answers to the method must go through a filter. All others can be copied as they are.
func Wanted(_ string) bool { return true }

// JSON filters a body of type application/json. The error means that the body can't be trusted and must
// not be passed on.
func (f *Filter) JSON(_ []byte) ([]byte, error) { return nil, errors.New("not yet") }

// Events filters a body of type text/event-stream. Each Read gives what is ready at once; flush after each.
// Closing the result closes r.
func (f *Filter) Events(_ io.ReadCloser) io.ReadCloser { return nil }

// Shape says how the body of an answer is to be read.
type Shape int

// The shapes of an answer.
const (
	Other  Shape = iota // neither of the below: no MCP client reads it
	JSON                // application/json
	Stream              // text/event-stream
)

// ShapeOf reads Content-Type and Content-Encoding. It refuses an encoded body (gzip), which no filter can
// see through: ask the server behind for identity only.
func ShapeOf(_ http.Header) (Shape, error) { return Other, errors.New("not yet") }

// Event is one event of a stream.
type Event struct {
	Type string // "" is "message"
	ID   string
	Data []byte // lines joined by "\n"; valid only during the call
}

// Edit says what becomes of an event: its data (the same slice when nothing changes), or false to remove it.
type Edit func(Event) ([]byte, bool)

// EditEvents passes a stream through edit, event by event. Unchanged events pass byte for byte. An event
// over the limit ends the stream with an error.
func EditEvents(_ io.ReadCloser, _ int, _ Edit) io.ReadCloser { return nil }
