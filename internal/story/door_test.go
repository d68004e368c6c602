package story

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the genkan that every story runs, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "genkan-story")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "genkan")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/genkan")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build genkan: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a genkan that runs.
type process struct {
	cmd    *exec.Cmd
	output *transcript
	done   chan struct{}
	err    error // of the process, once done is closed
}

// start runs a genkan until the test ends, when it must stop by itself and without complaint. It returns once the
// genkan says that it is ready.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, output: &transcript{ready: make(chan struct{})}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() { p.stop(t) })
	select {
	case <-p.output.ready:
	case <-p.done:
		t.Fatalf("genkan stopped: %v\n%s", p.err, p.output)
	case <-time.After(30 * time.Second):
		t.Fatalf("genkan is not ready after 30 s:\n%s", p.output)
	}
	return p
}

// stop ends it, if it still runs.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Errorf("genkan does not stop on SIGTERM:\n%s", p.output)
		return
	}
	if p.err != nil {
		t.Errorf("genkan ended with %v", p.err)
	}
	if t.Failed() {
		t.Logf("genkan said:\n%s", p.output)
	}
}

// door is a running `genkan dev`.
type door struct {
	*process
	URL    string // public address
	Tenant string // the dev tenant's address
}

// openDoor runs `genkan dev` on free ports.
func openDoor(t *testing.T, args ...string) *door {
	t.Helper()
	port, tenantPort := freePort(t), freePort(t)
	args = append([]string{"dev", "--listen", "127.0.0.1:" + port, "--tenant-listen", "127.0.0.1:" + tenantPort}, args...)
	return &door{
		process: start(t, exec.Command(binary, args...)),
		URL:     "http://localhost:" + port, Tenant: "http://localhost:" + tenantPort,
	}
}

// transcript gathers what a process prints, and tells those who wait for something in it.
type transcript struct {
	mu    sync.Mutex // guards text and grown
	text  bytes.Buffer
	grown chan struct{} // closed, and replaced, when text grows
	ready chan struct{} // closed when it says that it is ready
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.grown != nil {
		close(o.grown)
		o.grown = nil
	}
	select {
	case <-o.ready:
	default:
		if bytes.Contains(o.text.Bytes(), []byte("Ready")) {
			close(o.ready)
		}
	}
	return len(p), nil
}

func (o *transcript) waitFor(t *testing.T, what string) {
	t.Helper()
	o.waitForTimes(t, what, 1)
}

// waitForTimes waits until the process has said something so many times.
func (o *transcript) waitForTimes(t *testing.T, what string, times int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		said := bytes.Count(o.text.Bytes(), []byte(what)) >= times
		if o.grown == nil {
			o.grown = make(chan struct{})
		}
		grown := o.grown
		o.mu.Unlock()
		if said {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("genkan does not say %q:\n%s", what, o)
		}
	}
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// nodeClient is a client of the folder node, running.
type nodeClient struct {
	t   *testing.T
	in  *bufio.Writer
	out *bufio.Scanner
}

// startNode runs a program of the folder node; arguments that are empty at the end are left out.
func startNode(ctx context.Context, t *testing.T, program string, args ...string) *nodeClient {
	t.Helper()
	if len(args) > 0 && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	cmd := exec.CommandContext(ctx, "node", append([]string{program}, args...)...)
	cmd.Dir = "node"
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start node (is Node.js installed?): %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("node said: %s", strings.TrimSpace(stderr.String()))
		}
	})
	scanner := bufio.NewScanner(stdout)
	scanner.Buffer(nil, 16<<20)
	return &nodeClient{t: t, in: bufio.NewWriter(stdin), out: scanner}
}
