package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

// The patience with a process.
const (
	writePatience = 30 * time.Second // until it reads what was written to it
	closePatience = 2 * time.Second  // from the end of its input to the request to end, and from there to its death
)

// process is a command that speaks MCP on its standard input and output, one message a line (MCP 2025-11-25,
// Transports, stdio).
type process struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	err    io.ReadCloser
	logger *slog.Logger

	mu sync.Mutex // held while a message is written
	in io.WriteCloser

	once            sync.Once
	terminate, kill *time.Timer // set by close
}

var _ duplex = (*process)(nil)

// startProcess starts a command with an environment of its own: nothing is inherited.
func startProcess(command, environment []string, dir string, logger *slog.Logger) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // the command is the operator's, and ends with close
	cmd.Env = append([]string{}, environment...)
	cmd.Dir = dir
	ownGroup(cmd)
	p := &process{cmd: cmd, logger: logger}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	if p.err, err = cmd.StderrPipe(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	return p, nil
}

// send writes one message as one line. A process that does not read for half a minute is ended: what was written of
// the message can't be taken back.
func (p *process) send(_ context.Context, message []byte, _ Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pipe, ok := p.in.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		_ = pipe.SetWriteDeadline(time.Now().Add(writePatience))
	}
	if _, err := p.in.Write(append(message[:len(message):len(message)], '\n')); err != nil {
		p.close()
		return fmt.Errorf("write to command: %w", err)
	}
	return nil
}

// run reads messages until the command ends its output, and waits for its end.
func (p *process) run(deliver func([]byte)) error {
	var complaints sync.WaitGroup
	complaints.Go(p.complain)
	read := p.read(deliver)
	p.close()
	complaints.Wait()
	err := p.cmd.Wait()
	p.terminate.Stop()
	p.kill.Stop()
	killGroup(p.cmd) // what the command started and left behind
	if err != nil {
		return errors.Join(read, fmt.Errorf("command: %w", err))
	}
	return read
}

func (p *process) read(deliver func([]byte)) error {
	in := bufio.NewReaderSize(p.out, 16<<10)
	limit := int(serverLimits().Bytes)
	for {
		line, err := readBounded(in, limit)
		if len(line) > 0 {
			deliver(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from command: %w", err)
		}
	}
}

var errLineTooLong = errors.New("a line is longer than any message may be")

func readBounded(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLineTooLong
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
			line = line[:len(line)-1]
		}
		return line, err
	}
}

// complain takes what the command writes on standard error to the log.
func (p *process) complain() {
	const longest = 1000
	in := bufio.NewReaderSize(p.err, longest)
	for {
		line, err := in.ReadSlice('\n')
		if text := trimLine(line); text != "" {
			p.logger.Info("a server behind says", slog.String("stderr", text))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func trimLine(line []byte) string {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return string(line)
}

// close ends the input, which asks the command to end (MCP 2025-11-25, Lifecycle, Shutdown); one that does not is
// told, and then made to. It does not wait.
func (p *process) close() {
	p.once.Do(func() {
		_ = p.in.Close()
		p.terminate = time.AfterFunc(closePatience, func() { terminateGroup(p.cmd) })
		p.kill = time.AfterFunc(2*closePatience, func() { killGroup(p.cmd); _ = p.out.Close(); _ = p.err.Close() })
	})
}
