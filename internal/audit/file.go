package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// checkEvery is how often a file is made durable and looked at for rotation.
const checkEvery = time.Second

// File appends lines to a file. It continues the chain that it finds there, and when somebody moves the file
// away (logrotate), goes on in a new one under the same name. Beside it, in a file with ".head" at the end of its
// name, stands the head of the chain, so that it also continues after a rotation. Only one process may write.
type File struct {
	path    string
	now     func() time.Time
	file    *os.File
	size    int64 // of the whole lines
	torn    bool  // a write failed; what stands after the whole lines must go first
	head    Head
	checked time.Time
}

// OpenFile opens or creates the log at path, readable by its owner only. A last line that is unfinished, because
// the machine stopped in the middle of a write, is cut off.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, now: time.Now}
	if err := f.open(); err != nil {
		return nil, err
	}
	head, size, err := lastLine(f.file)
	if err == nil && head == start() {
		head, err = readHead(f.headPath())
	}
	if err == nil {
		err = f.file.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open audit log %s: %w", path, err), f.file.Close())
	}
	f.head, f.size, f.checked = head, size, f.now()
	return f, nil
}

// Head is where the chain stands.
func (f *File) Head() Head { return f.head }

// Write appends whole lines. A write that fails half-way is taken back, at the latest before the next one.
func (f *File) Write(batch []byte) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.torn {
		if err := f.file.Truncate(f.size); err != nil {
			return fmt.Errorf("take back a torn audit line: %w", err)
		}
		f.torn = false
	}
	if _, err := f.file.Write(batch); err != nil {
		f.torn = f.file.Truncate(f.size) != nil
		return fmt.Errorf("write audit lines: %w", err)
	}
	f.size += int64(len(batch))
	last := batch[:len(batch)-1]
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	f.head = Head{Seq: f.head.Seq + uint64(lines(batch)), Hash: hashLine(last)}
	return nil
}

// Close makes the file durable and closes it.
func (f *File) Close() error {
	return errors.Join(f.file.Sync(), f.writeHead(), f.file.Close())
}

// check makes the file durable once in a while, and opens a new one when the name no longer leads to ours.
func (f *File) check() error {
	now := f.now()
	if now.Sub(f.checked) < checkEvery {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("make audit lines durable: %w", err)
	}
	if err := f.writeHead(); err != nil {
		return err
	}
	ours, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("look at audit log: %w", err)
	}
	named, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(named, ours):
		err = f.reopen()
	case err == nil && !f.torn && ours.Size() > f.size:
		err = errors.New("another process writes to it")
	case err == nil && !f.torn:
		f.size = ours.Size() // cut to make room; Verify will say that the beginning is elsewhere
	}
	if err != nil {
		return fmt.Errorf("audit log %s: %w", f.path, err)
	}
	f.checked = now
	return nil
}

// reopen goes on in the file that now has the name.
func (f *File) reopen() error {
	old := f.file
	if err := f.open(); err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err != nil {
		err = errors.Join(err, f.file.Close())
		f.file = old
		return err
	}
	f.size, f.torn = info.Size(), false
	return old.Close()
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	f.file = file
	return nil
}

func (f *File) headPath() string { return f.path + ".head" }

// writeHead keeps the head beside the log; the file is replaced as a whole.
func (f *File) writeHead() error {
	data, err := json.Marshal(f.head)
	if err != nil {
		return fmt.Errorf("write head of audit log: %w", err)
	}
	temp := filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.headPath()))
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("write head of audit log: %w", err)
	}
	if err := os.Rename(temp, f.headPath()); err != nil {
		return fmt.Errorf("write head of audit log: %w", err)
	}
	return nil
}

func readHead(path string) (Head, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		return start(), nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("read head: %w", err)
	}
	var head Head
	if err := json.Unmarshal(data, &head); err != nil || len(head.Hash) != len(genesis) {
		return Head{}, fmt.Errorf("%s is damaged: compare the chain, then remove it", path)
	}
	return head, nil
}

// lastLine finds the last whole line of a log and returns the head after it and where it ends.
func lastLine(file *os.File) (Head, int64, error) {
	info, err := file.Stat()
	if err != nil {
		return Head{}, 0, err
	}
	tail, from, err := readTail(file, info.Size())
	if err != nil {
		return Head{}, 0, err
	}
	end := bytes.LastIndexByte(tail, '\n')
	if end < 0 {
		if from > 0 {
			return Head{}, 0, errTooLong
		}
		return start(), 0, nil
	}
	begin := bytes.LastIndexByte(tail[:end], '\n') + 1
	if begin == 0 && from > 0 {
		return Head{}, 0, errTooLong
	}
	link, err := readLink(tail[begin:end])
	if err != nil {
		return Head{}, 0, fmt.Errorf("the last line: %w", err)
	}
	return Head{Seq: link.Seq, Hash: hashLine(tail[begin:end])}, from + int64(end) + 1, nil
}

// readTail reads enough of the end of a file to hold two lines.
func readTail(file *os.File, size int64) (tail []byte, from int64, err error) {
	for want := int64(64 << 10); ; want *= 4 {
		from = max(0, size-want)
		tail = make([]byte, size-from)
		if _, err := file.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, fmt.Errorf("read audit log: %w", err)
		}
		if from == 0 || bytes.Count(tail, []byte{'\n'}) >= 2 || want > 2*maxLine {
			return tail, from, nil
		}
	}
}
