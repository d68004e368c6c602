package mcpwire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Filter takes from the answers of a server what an identity may not see. It is for one answer or one
// stream at a time.
//
// An answer is known by its ID. An answer to one of the list methods is filtered; one to any other method that
// Method knows passes as it is; one that Method doesn't know (a resumed stream, a server that answers with
// an ID of its own making) is filtered if its result has the shape of a list. Anything that two parsers could
// read as two messages is not passed on.
//
// Lists are for convenience, calls are checked: a server that wants to tell a person what it hides can write
// it into any text. The filter is for honest servers, whatever framing they use.
type Filter struct {
	// Visible says whether the identity may see a thing.
	Visible func(Use) bool
	// Method says which method the request had that this ID answers, "" when it isn't known. Nil knows none.
	Method func(ID) string
	// Pending is the request that the stream answers, if there is one: it is told when its answer had to be
	// removed.
	Pending ID
	// Limit bounds a body or an event; 16 MiB when zero.
	Limit int
	// Problem, when set, is told of every event that was removed because it isn't one well-formed message.
	Problem func(error)
}

const (
	defaultAnswer = 16 << 20
	answerDepth   = 256
)

// Wanted says whether answers to the method must go through a filter. All others can be copied as they are.
func Wanted(method string) bool { return treatmentOf(method) != untouched }

type treatment int

const (
	unknown    treatment = iota // the shape decides
	untouched                   // passes as it is
	privatised                  // may not be cached for others
	filtered                    // a list
)

// treatmentOf knows the results that can be cached for everybody (2026-07-28, Caching §Cacheable Results).
// Behind a door that asks who comes, none can.
func treatmentOf(method string) treatment {
	switch method {
	case "":
		return unknown
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return filtered
	case methodRead, "server/discover":
		return privatised
	default:
		return untouched
	}
}

// JSON filters a body of type application/json. The error means that the body can't be trusted and must
// not be passed on. The result may be the body itself.
func (f *Filter) JSON(body []byte) ([]byte, error) {
	if limit := cmp.Or(f.Limit, defaultAnswer); len(body) > limit {
		return nil, fmt.Errorf("filter answer: it is larger than %d bytes", limit)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return body, nil
	}
	out, changed, err := f.message(body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("filter answer: %w", err)
	case !changed:
		return body, nil
	}
	return out, nil
}

// Events filters a body of type text/event-stream. Each Read gives what is ready at once; flush after each.
// Closing the result closes r.
func (f *Filter) Events(r io.ReadCloser) io.ReadCloser {
	return EditEvents(r, cmp.Or(f.Limit, defaultAnswer), f.edit)
}

func (f *Filter) edit(e Event) (Verdict, []byte) {
	data := bytes.TrimLeft(e.Data, " \t\r\n")
	if len(data) == 0 || data[0] != '{' && data[0] != '[' {
		return Pass, nil // no message: the address in the endpoint event of the old transport, a keep-alive
	}
	out, changed, err := f.message(data)
	switch {
	case err == nil && changed:
		return Replace, out
	case err == nil:
		return Pass, nil
	}
	if f.Problem != nil {
		f.Problem(fmt.Errorf("filter event: %w", err))
	}
	if f.Pending == "" {
		return Remove, nil
	}
	told := Error{Code: CodeInternal, ID: f.Pending, Message: "the server behind answered with something that is not one well-formed message"}
	return Replace, told.Body()
}

// message filters one message, or a batch of them (revision 2025-03-26 lets servers batch).
func (f *Filter) message(data []byte) (out []byte, changed bool, err error) {
	s := scanner{src: data, most: answerDepth, mute: true}
	if err := s.begin(); err != nil {
		return nil, false, err
	}
	if s.next() != '[' {
		return f.single(&s)
	}
	var elements []span
	err = s.array(func() error {
		s.space()
		element := span{from: s.pos}
		err := s.value()
		element.to = s.pos
		elements = append(elements, element)
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, false, err
	}
	return f.batch(data, elements)
}

func (f *Filter) batch(data []byte, elements []span) (out []byte, changed bool, err error) {
	out = append(out, '[')
	for i, element := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		one, edited, err := f.single(&scanner{src: element.of(data), most: answerDepth, mute: true})
		if err != nil {
			return nil, false, err
		}
		changed = changed || edited
		out = append(out, one...)
	}
	return append(out, ']'), changed, nil
}

func (f *Filter) single(s *scanner) (out []byte, changed bool, err error) {
	if s.next() != '{' {
		return nil, false, s.fail("has something that is not a message")
	}
	id, result, err := locate(s)
	if err != nil {
		return nil, false, err
	}
	how := unknown
	if f.Method != nil && id != "" {
		how = treatmentOf(f.Method(id))
	}
	if how == untouched || result.to == 0 {
		return s.src, false, nil
	}
	edit := resultEditor{visible: f.Visible, how: how}
	edit.scanner = scanner{src: result.of(s.src), most: answerDepth}
	edit.dst = append(make([]byte, 0, len(s.src)+len(privateScope)), s.src[:result.from]...)
	if changed, err = edit.result(); err != nil || !changed {
		return s.src, false, err
	}
	return append(edit.dst, s.src[result.to:]...), true, nil
}

// locate finds the ID and the result of an answer. It refuses what lenient parsers read differently from strict
// ones: a part that is there twice, or under a name in another case.
func locate(s *scanner) (id ID, result span, err error) {
	seen := 0
	err = s.object(func(key []byte) error {
		isID, isResult, bit := string(key) == "id", string(key) == "result", 1
		for known := range strings.SplitSeq(envelopeKeys, " ") {
			if bytes.EqualFold(key, []byte(known)) {
				if string(key) != known || seen&bit != 0 {
					return s.refuse("has the key %s twice or in another case", quote(key))
				}
				seen |= bit
			}
			bit <<= 1
		}
		s.space()
		value := span{from: s.pos}
		err := s.value()
		value.to = s.pos
		switch {
		case isID:
			id = canonicalID(value.of(s.src))
		case isResult:
			result = value
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	return id, result, err
}

// canonicalID gives an ID the spelling that Message.ID has.
func canonicalID(raw []byte) ID {
	s := scanner{src: raw, most: 1}
	if len(raw) > 6*maxID || s.value() != nil {
		return ""
	}
	return ID(s.dst)
}

// Shape says how the body of an answer is to be read.
type Shape int

// The shapes of an answer.
const (
	Other  Shape = iota // neither of the below: no MCP client reads it
	JSON                // application/json
	Stream              // text/event-stream
)

// ShapeOf reads Content-Type and Content-Encoding. It refuses an encoded body (gzip) or another character set,
// which no filter can see through: ask the server behind for identity only.
func ShapeOf(h http.Header) (Shape, error) {
	for _, encoding := range h.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return Other, fmt.Errorf("the server behind answered with Content-Encoding %s, which nobody asked for", quote([]byte(encoding)))
		}
	}
	types := h.Values("Content-Type")
	if len(types) == 0 {
		return Other, nil
	}
	if len(types) > 1 {
		return Other, errors.New("the server behind answered with more than one Content-Type")
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil {
		return Other, fmt.Errorf("the server behind answered with Content-Type %s: %w", quote([]byte(types[0])), err)
	}
	shape := Other
	switch media {
	case "application/json":
		shape = JSON
	case "text/event-stream":
		shape = Stream
	}
	if charset := params["charset"]; shape != Other && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return Other, fmt.Errorf("the server behind answered in the character set %s: MCP is UTF-8", quote([]byte(charset)))
	}
	return shape, nil
}
