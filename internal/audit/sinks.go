package audit

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

var (
	_ Sink      = (*File)(nil)
	_ continued = (*File)(nil)
	_ Sink      = (*Stream)(nil)
	_ Sink      = (*Memory)(nil)
)

// Stream writes lines to a writer that is not its own: standard output, for a collector that reads it.
type Stream struct {
	w    io.Writer
	rest int // how many bytes of the batch are written already, when a write was cut short
}

// NewStream writes to w. Closing the sink does not close w.
func NewStream(w io.Writer) *Stream { return &Stream{w: w} }

// Write writes the lines; after a short write the next attempt goes on where this one ended.
func (s *Stream) Write(lines []byte) error {
	n, err := s.w.Write(lines[s.rest:])
	if err != nil {
		s.rest += n
		return fmt.Errorf("write audit lines: %w", err)
	}
	s.rest = 0
	return nil
}

// Close does nothing.
func (s *Stream) Close() error { return nil }

// Memory keeps the lines, for tests.
type Memory struct {
	mu   sync.Mutex // above data
	data []byte
}

// Write keeps the lines.
func (m *Memory) Write(lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = append(m.data, lines...)
	return nil
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

// Bytes is a copy of what was written.
func (m *Memory) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.data)
}
