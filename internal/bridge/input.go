package bridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// messageLimit bounds a message in either direction.
const messageLimit = 64 << 20

// messages reads what an MCP client sends, one message a line, until it closes its end. A line that is no
// message is an *mcpwire.Error; any other error is the last.
func messages(r io.Reader) iter.Seq2[*mcpwire.Message, error] {
	return func(yield func(*mcpwire.Message, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := readLine(in)
			if refusal := (*mcpwire.Error)(nil); errors.As(err, &refusal) {
				if !yield(nil, err) {
					return
				}
				continue
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(nil, fmt.Errorf("read from the MCP client: %w", err))
				}
				return
			}
			for _, one := range split(line) {
				m, err := mcpwire.Parse(one, mcpwire.Limits{Bytes: messageLimit, Depth: 256})
				if !yield(m, err) {
					return
				}
			}
		}
	}
}

// readLine reads one line that isn't blank. The last one may lack its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > messageLimit {
			return nil, skipLine(in, err)
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		line = line[:0]
	}
}

func skipLine(in *bufio.Reader, err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return &mcpwire.Error{Code: mcpwire.CodeInvalidRequest, Message: fmt.Sprintf("the message is longer than %d bytes", messageLimit)}
}

// split takes a batch apart, which revision 2025-03-26 allows on stdio and no other does.
func split(line []byte) [][]byte {
	if line[0] != '[' {
		return [][]byte{line}
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(line, &batch); err != nil || len(batch) == 0 {
		return [][]byte{line} // Parse says what is wrong with it
	}
	all := make([][]byte, len(batch))
	for i, one := range batch {
		all[i] = one
	}
	return all
}
