package mcpwire_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// through reads a stream in pieces of the given size; 0 is all at once.
func through(t testing.TB, f *mcpwire.Filter, stream string, piece int) string {
	t.Helper()
	var source io.Reader = strings.NewReader(stream)
	if piece == 1 {
		source = iotest.OneByteReader(source)
	} else if piece > 1 {
		source = &pieces{source, piece}
	}
	got, err := io.ReadAll(f.Events(io.NopCloser(source)))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

type pieces struct {
	io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }

func TestAStreamPassesByteForByteWhereNothingIsHidden(t *testing.T) {
	for name, stream := range map[string]string{
		"LF":              "event: message\nid: 1_0\ndata: {\"id\":9,\"method\":\"x\"}\n\n",
		"CRLF":            "event: message\r\nid: 1_0\r\ndata: {\"id\":9,\"method\":\"x\"}\r\n\r\n",
		"mixed":           "event: message\r\nid:7\ndata:{\"a\":1}\r\n\ndata: {}\n\r\n",
		"many lines":      "data: {\"a\":\ndata: 1}\n\n",
		"comments":        ": keep-alive\n\n:\n:x\r\n\r\ndata: {}\n: within\n\n",
		"no data":         "id: 5\n\nretry: 100\n\n\n\n",
		"the old kind":    "event: endpoint\ndata: /message?sessionId=1\n\n",
		"text":            "data: hello {\n\n",
		"empty data":      "data\n\ndata:\n\ndata: \n\n",
		"without an end":  "data: {\"id\":9,\"method\":\"x\"}",
		"line, no end":    "data: {\"id\":9,\"method\":\"x\"}\n",
		"other responses": "data: {\"id\":2,  \"result\":{\"tools\":[{\"name\":\"hidden\"}]}}\n\n",
		"odd bytes":       "data: \xff\xfe\x00\n\n",
		"large":           "data: {\"id\":2,\"result\":\"" + strings.Repeat("x", 100_000) + "\"}\n\ndata: 1\n\n",
		"nothing":         "",
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{0, 1, 2, 7} {
				if got := through(t, answering("tools/list", "tools/call"), stream, piece); got != stream {
					t.Errorf("in pieces of %d:\ngot  %.200q\nwant %.200q", piece, got, stream)
				}
			}
		})
	}
}

func TestListsInAStreamAreWrittenAgainAndTheRestOfTheEventIsKept(t *testing.T) {
	const list = `{"id":1,"result":{"tools":[{"name":"a"},{"name":"hidden"}]}}`
	const left = `{"id":1,"result":{"tools":[{"name":"a"}]}}`
	for name, test := range map[string]struct{ stream, want string }{
		"LF":            {"id: 1\ndata: " + list + "\n\n", "id: 1\ndata: " + left + "\n\n"},
		"CRLF":          {"id: 1\r\nretry: 5\r\ndata: " + list + "\r\nevent: message\r\n\r\n", "id: 1\nretry: 5\ndata: " + left + "\nevent: message\n\n"},
		"no space":      {"data:" + list + "\n\n", "data: " + left + "\n\n"},
		"more space":    {"data:   " + list + "  \n\n", "data: " + left + "  \n\n"},
		"many lines":    {"data: " + strings.ReplaceAll(list, ",", ",\nid: 3\ndata: ") + "\n\n", "data: " + strings.Replace(left, ",", ",\ndata: ", 1) + "\nid: 3\nid: 3\n\n"},
		"odd type":      {"event: other\ndata: " + list + "\n\n", "event: other\ndata: " + left + "\n\n"},
		"with comments": {": a\ndata: " + list + "\n: b\n\n", ": a\ndata: " + left + "\n: b\n\n"},
		"at the end":    {"data: " + list, "data: " + left + "\n"},
		"between":       {"data: {}\n\ndata: " + list + "\n\ndata: {}\n\n", "data: {}\n\ndata: " + left + "\n\ndata: {}\n\n"},
		"marked":        {"\xef\xbb\xbfdata: " + list + "\n\n", "data: " + left + "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{0, 1, 2, 7} {
				got := through(t, answering("tools/list"), test.stream, piece)
				if strings.Contains(test.stream, "\r\n") {
					got = strings.TrimSuffix(got, "\n\n") + "\n\n" // the CR of the empty line may come first
					got = strings.ReplaceAll(got, "\n\n\n", "\n\n")
				}
				if got != test.want {
					t.Errorf("in pieces of %d:\ngot  %q\nwant %q", piece, got, test.want)
				}
			}
		})
	}
}

// What is complete is there at once, and what is not is held back.
func TestNothingThatIsCompleteWaits(t *testing.T) {
	r, w := io.Pipe()
	events := answering("tools/list").Events(r)
	buffer := make([]byte, 1000)
	for _, step := range []struct{ in, out string }{
		{": ping\n", ": ping\n"},
		{"data: {\"id\":9}\n\n", "data: {\"id\":9}\n\n"},
		{"data: {\"id\":9}\r\n\r", "data: {\"id\":9}\r\n\r"},
		{"\ndata: {\"id\":8}\n\ndata: {\"id\"", "\ndata: {\"id\":8}\n\n"},
		{":7}\n\n", "data: {\"id\":7}\n\n"},
	} {
		go func() { _, _ = io.WriteString(w, step.in) }()
		n, err := events.Read(buffer)
		if err != nil || string(buffer[:n]) != step.out {
			t.Errorf("%q: got %q, %v; want %q", step.in, buffer[:n], err, step.out)
		}
	}
	go func() { _ = w.Close() }()
	if n, err := events.Read(buffer); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v", n, err)
	}
	if err := events.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("closing did not close the stream behind")
	}
}

func TestAnEndlessEventEndsTheStream(t *testing.T) {
	for name, piece := range map[string]string{
		"a line":          "x",
		"many lines":      "data: {\n",
		"empty fields":    "data\n",
		"fields, no data": "id: 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := answering("tools/list")
			f.Limit = 1 << 20
			read := 0
			events := f.Events(io.NopCloser(io.MultiReader(strings.NewReader("data: {}\n\n"), counted{strings.NewReader(strings.Repeat(piece, 4<<20/len(piece))), &read})))
			got, err := io.ReadAll(events)
			if !errors.Is(err, mcpwire.ErrEventTooLarge) || string(got) != "data: {}\n\n" {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if read > 2<<20 {
				t.Errorf("it read on for %d bytes", read)
			}
		})
	}
}

type counted struct {
	io.Reader
	n *int
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

func TestABrokenStreamIsNotMadeWhole(t *testing.T) {
	broken := errors.New("reset")
	source := io.MultiReader(strings.NewReader("data: {}\n\ndata: {\"id\":1,"), iotest.ErrReader(broken))
	got, err := io.ReadAll(answering("tools/list").Events(io.NopCloser(source)))
	if !errors.Is(err, broken) || string(got) != "data: {}\n\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEventsCanBeEdited(t *testing.T) {
	edit := func(e mcpwire.Event) (mcpwire.Verdict, []byte) {
		switch e.Type {
		case "endpoint":
			return mcpwire.Replace, []byte("/weather/message?" + strings.TrimPrefix(string(e.Data), "/message?"))
		case "secret":
			return mcpwire.Remove, nil
		}
		return mcpwire.Pass, nil
	}
	stream := "event: endpoint\ndata: /message?s=1\n\nevent: secret\ndata: x\n\nid: 3\ndata: a\ndata: b\n\n"
	got, err := io.ReadAll(mcpwire.EditEvents(io.NopCloser(strings.NewReader(stream)), 0, edit))
	want := "event: endpoint\ndata: /weather/message?s=1\n\nid: 3\ndata: a\ndata: b\n\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	var seen []string
	watch := func(e mcpwire.Event) (mcpwire.Verdict, []byte) {
		seen = append(seen, fmt.Sprintf("%s|%s|%s", e.Type, e.ID, e.Data))
		return mcpwire.Pass, nil
	}
	stream = "data: 1\ndata:  2\ndata\nid: 7\n\nevent:x\n\ndata:3\nid\n\n"
	if _, err := io.ReadAll(mcpwire.EditEvents(io.NopCloser(strings.NewReader(stream)), 0, watch)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"|7|1\n 2\n", "||3"}, seen); diff != "" {
		t.Error(diff)
	}
}

// Clients disagree on a CR that no LF follows, and on nothing else about the ends of lines.
func TestALoneCRBecomesCRLF(t *testing.T) {
	for in, want := range map[string]string{
		"data: {}\rid: 1\r\r":       "data: {}\r\nid: 1\r\n\r",
		"data: {}\r\rdata: {}\n\n":  "data: {}\r\n\r\ndata: {}\n\n",
		": x\rdata: {}\r\n\rid\n\n": ": x\r\ndata: {}\r\n\r\nid\n\n",
	} {
		for _, piece := range []int{0, 1, 3} {
			if got := through(t, answering(), in, piece); got != want {
				t.Errorf("%q in pieces of %d: got %q, want %q", in, piece, got, want)
			}
		}
	}
}

func TestFieldsThatNobodyKnowsAreDropped(t *testing.T) {
	for in, want := range map[string]string{
		"Data: 1\ndata: 2\nx\n\n":        "data: 2\n\n",
		"data : 1\n\n":                   "\n",
		"\xef\xbb\xbfid: 1\ndata: 2\n\n": "id: 1\ndata: 2\n\n",
		" data: 1\nid: 2\n\n":            "id: 2\n\n",
	} {
		if got := through(t, answering(), in, 0); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAnEventOfTooManyLinesEndsTheStream(t *testing.T) {
	read := 0
	source := counted{strings.NewReader(strings.Repeat("x\n", 2<<20)), &read}
	if _, err := io.ReadAll(answering().Events(io.NopCloser(source))); !errors.Is(err, mcpwire.ErrEventTooLarge) || read > 1<<20 {
		t.Errorf("got %v after %d bytes", err, read)
	}
}
