package mcpwire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// callOf is a call with arguments of about the given size: texts, numbers, nested objects.
func callOf(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"get_forecast","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"arguments":{"rows":[`)
	for i := 0; b.Len() < size-120; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"city":"Kyoto %d","note":"rain in the morning, and sun in the evening","temperature":%d.5,"wet":true}`, i, i%40)
	}
	b.WriteString(`]}}}`)
	return []byte(b.String())
}

// textOf is a call with one long text.
func textOf(size int) []byte {
	return []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"save","arguments":{"text":"` + strings.Repeat("lorem ipsum ", size/12) + `"}}}`)
}

func BenchmarkRead(b *testing.B) {
	for _, input := range []struct {
		name string
		body []byte
	}{{"1KiB", callOf(1 << 10)}, {"1MiB", callOf(1 << 20)}, {"1MiB-text", textOf(1 << 20)}} {
		run := func(name string, do func()) {
			b.Run(name+"/"+input.name, func(b *testing.B) {
				b.SetBytes(int64(len(input.body)))
				b.ReportAllocs()
				for b.Loop() {
					do()
				}
			})
		}
		reader := bytes.NewReader(nil)
		run("mcpwire", func() {
			reader.Reset(input.body)
			m, err := mcpwire.Read(reader, mcpwire.Limits{})
			if err != nil || len(m.Uses()) != 1 || len(m.Bytes()) != len(input.body) {
				b.Fatal(err)
			}
		})
		run("encoding-json-struct", func() {
			reader.Reset(input.body)
			body, _ := io.ReadAll(reader)
			var m struct {
				Method string
				ID     json.RawMessage
				Params struct {
					Name      string
					Arguments json.RawMessage
				}
			}
			if json.Unmarshal(body, &m) != nil {
				b.Fatal("not read")
			}
		})
		run("encoding-json-any-and-back", func() {
			reader.Reset(input.body)
			body, _ := io.ReadAll(reader)
			var m any
			if json.Unmarshal(body, &m) != nil {
				b.Fatal("not read")
			}
			if _, err := json.Marshal(m); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func toolList(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		name := "tool"
		if i%2 == 1 {
			name = "hidden"
		}
		fmt.Fprintf(&b, `{"name":"%s_%d","description":"does something that takes a sentence to describe","inputSchema":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}`, name, i)
	}
	b.WriteString(`]}}`)
	return []byte(b.String())
}

func BenchmarkFilterList(b *testing.B) {
	body := toolList(50)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	f := answering("tools/list")
	for b.Loop() {
		if _, err := f.JSON(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	event := "event: message\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":50}}\n\n"
	for _, input := range []struct{ name, stream string }{
		{"small", strings.Repeat(event, 1000)},
		{"small-CRLF", strings.Repeat(strings.ReplaceAll(event, "\n", "\r\n"), 1000)},
		{"1MiB-result", "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" + strings.Repeat("lorem ipsum ", 1<<20/12) + "\"}]}}\n\n"},
		{"list", "data: " + string(toolList(50)) + "\n\n"},
	} {
		b.Run(input.name, func(b *testing.B) {
			b.SetBytes(int64(len(input.stream)))
			b.ReportAllocs()
			buffer := make([]byte, 32<<10)
			f := answering("tools/list", "tools/call")
			for b.Loop() {
				r := f.Events(io.NopCloser(strings.NewReader(input.stream)))
				for {
					if _, err := r.Read(buffer); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
