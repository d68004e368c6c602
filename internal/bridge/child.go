package bridge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// endPatience is how long a server may take to end after its input was closed, and again after it was told to.
const endPatience = 3 * time.Second

// child is the server that is guarded.
type child struct {
	name string
	cmd  *exec.Cmd
	out  io.ReadCloser
	done chan struct{} // closed when it has ended

	mu sync.Mutex
	in io.WriteCloser
}

// startChild starts the server. A token in its environment has to be there before it is.
func startChild(ctx context.Context, o *LocalOptions, who *visitor, working *sync.WaitGroup, log *slog.Logger) (*child, error) {
	cmd := exec.Command(o.Command[0], o.Command[1:]...) //nolint:gosec,noctx // the person's own command; stop ends it
	cmd.Env, cmd.Stderr = append([]string(nil), o.Env...), o.Log
	if o.Token.Env != "" {
		token, err := who.token(ctx, o.Token.Scope)
		if err != nil {
			return nil, fmt.Errorf("a token for %s: %w", o.Token.Scope, err)
		}
		cmd.Env = append(cmd.Env, o.Token.Env+"="+token.Reveal())
	}
	var feed *os.File
	if o.Token.FileEnv != "" {
		var err error
		if feed, err = tokenPipe(cmd, o.Token.FileEnv); err != nil {
			return nil, err
		}
	}
	c := &child{name: o.Command[0], cmd: cmd, done: make(chan struct{})}
	if err := c.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.name, err), closeAll(feed))
	}
	if feed != nil {
		working.Go(func() { c.feed(ctx, feed, who, o.Token.Scope, log) })
	}
	return c, nil
}

func (c *child) start() error {
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.in, c.out = in, out
	if err := c.cmd.Start(); err != nil {
		return err
	}
	return closeAll(c.cmd.ExtraFiles...) // the server has its own now
}

// tokenPipe gives the server the reading end of a pipe, and says its number in a variable.
func tokenPipe(cmd *exec.Cmd, variable string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the token: %w", err)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", variable, 2+len(cmd.ExtraFiles)))
	return w, nil
}

// feed writes a token, and the next one before it ends, for as long as the server lives.
func (c *child) feed(ctx context.Context, w *os.File, who *visitor, scope string, log *slog.Logger) {
	defer func() { _ = w.Close() }()
	for {
		token, err := who.token(ctx, scope)
		wait := longestWait
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("no token for the server", "scope", scope, "why", err)
			}
		} else {
			if _, err := fmt.Fprintln(w, token.Reveal()); err != nil {
				return // the server has closed its end
			}
			wait = max(token.Expires().Sub(who.options.Now())-5*time.Minute, longestWait)
		}
		select {
		case <-time.After(wait):
		case <-c.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// write gives the server one message.
func (c *child) write(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.in.Write(append(message[:len(message):len(message)], '\n')); err != nil {
		return fmt.Errorf("the server %s takes nothing any more: %w", c.name, err)
	}
	return nil
}

// lines reads what the server writes until it ends.
func (c *child) lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(c.out, 64<<10)
		for {
			line, err := readLine(in)
			tooLong := (*mcpwire.Error)(nil)
			if err != nil && !errors.As(err, &tooLong) {
				return // it has ended
			}
			if !yield(line, err) {
				return
			}
		}
	}
}

// reap waits until the server has ended on its own, after everything that it wrote was read.
func (c *child) reap() error {
	defer close(c.done)
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("the server %s ended: %w", c.name, err)
	}
	return nil
}

// stop closes the server's input, and ends it if that isn't enough (2025-11-25, Lifecycle §Shutdown).
func (c *child) stop() error {
	c.mu.Lock()
	_ = c.in.Close()
	c.mu.Unlock()
	for _, harder := range []func() error{
		func() error { return c.cmd.Process.Signal(syscall.SIGTERM) },
		c.cmd.Process.Kill,
		c.out.Close, // something that it started still holds the other end
	} {
		select {
		case <-c.done:
			return nil
		case <-time.After(endPatience):
			_ = harder()
		}
	}
	<-c.done
	return nil
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
