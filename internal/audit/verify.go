package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line that Verify reads.
const maxLine = 16 << 20

// Report is what Verify found in a chain without a break.
type Report struct {
	Lines int
	// After is the head before the first line: of an empty chain if the log is whole, of the file before if the
	// log was rotated.
	After Head
	// Last is the head after the last line.
	Last Head
}

// Whole says whether the chain begins at its beginning.
func (r Report) Whole() bool { return r.After == start() }

// BrokenError says where a chain breaks first.
type BrokenError struct {
	Line int // counted from 1
	Why  string
}

// Error describes the break.
func (e *BrokenError) Error() string { return fmt.Sprintf("audit: line %d: %s", e.Line, e.Why) }

// Verify reads lines and says whether each follows from the one before. The first that does not is told in a
// *BrokenError. Give it rotated files in their order, joined by io.MultiReader.
func Verify(r io.Reader) (Report, error) {
	var report Report
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return report, nil
		}
		n := report.Lines + 1
		if errors.Is(err, errUnfinished) || errors.Is(err, errTooLong) {
			return report, &BrokenError{Line: n, Why: err.Error()}
		}
		if err != nil {
			return report, fmt.Errorf("read audit log: %w", err)
		}
		link, err := readLink(line)
		if err != nil {
			return report, &BrokenError{Line: n, Why: err.Error()}
		}
		if n == 1 {
			report.After = Head{Seq: link.Seq - 1, Hash: link.Prev}
			report.Last = report.After
		}
		if why := link.follows(report.Last); why != "" {
			return report, &BrokenError{Line: n, Why: why}
		}
		report.Lines, report.Last = n, Head{Seq: link.Seq, Hash: hashLine(line)}
	}
}

// link is the part of a line that chains it.
type link struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
}

func readLink(line []byte) (link, error) {
	var l link
	if !bytes.HasPrefix(line, []byte(`{"seq":`)) || json.Unmarshal(line, &l) != nil {
		return l, errors.New("it is not a line of an audit log")
	}
	if l.Seq == 0 || len(l.Prev) != len(genesis) {
		return l, errors.New("its number or the hash of the line before is malformed")
	}
	if l.Seq == 1 && l.Prev != genesis {
		return l, errors.New("it says that it is the first of all, but names a line before it")
	}
	return l, nil
}

func (l link) follows(head Head) string {
	switch {
	case l.Prev == head.Hash && l.Seq == head.Seq+1:
		return ""
	case l.Seq != head.Seq+1:
		return fmt.Sprintf("its number is %d where %d follows: lines were removed, added or moved", l.Seq, head.Seq+1)
	default:
		return "it does not hold the hash of the line before: one of the two was changed"
	}
}

var (
	errUnfinished = errors.New("it is unfinished: the line feed is missing")
	errTooLong    = errors.New("it is longer than any line of an audit log")
)

// readLine reads one line and takes its line feed off.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, errUnfinished
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}
