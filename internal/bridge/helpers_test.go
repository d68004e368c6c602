package bridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

// TestMain lets the test's own binary be the browser, and the bridge as a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "browse" {
		address := os.Args[2]
		if len(os.Args) == 4 { // somebody walks through the pages for us
			address += url.QueryEscape(os.Args[3])
		}
		os.Exit(browse(address))
	}
	if len(os.Args) == 2 && os.Args[1] == "some-server" {
		os.Exit(someServer())
	}
	if len(os.Args) == 3 && os.Args[1] == "connect" {
		os.Exit(connectAsProcess(os.Args[2]))
	}
	os.Exit(m.Run())
}

// browse is a browser whose person agrees to everything.
func browse(address string) int {
	fmt.Println("a browser that prints to standard output")
	resp, err := http.Get(address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return 0
}

// processOptions are what a test says to a bridge in another process.
type processOptions struct {
	Server, Dir string
	Timeout     time.Duration
}

func connectAsProcess(raw string) int {
	var o processOptions
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := bridge.Connect(ctx, bridge.ConnectOptions{
		Streams: bridge.Streams{In: os.Stdin, Out: os.Stdout, Log: os.Stderr}, Server: o.Server,
		SignIn: bridge.SignIn{Browser: browserCommand(), Timeout: o.Timeout},
		Place:  bridge.Place{Dir: o.Dir, InsecureFile: true},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func browserCommand() []string { return []string{os.Args[0], "browse"} }

// processCommand is the command that an MCP client would start.
func processCommand(o processOptions) *exec.Cmd {
	raw, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return exec.Command(os.Args[0], "connect", string(raw))
}

func itoa(n int) string { return strconv.Itoa(n) }

// build builds a program for a test.
func build(t testing.TB, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", binary, pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

// transcript is a log that can be read while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the log says something.
func (l *transcript) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.String(), text) {
			return
		}
	}
	t.Fatalf("the log never said %q:\n%s", text, l)
}

// machine is the computer on which a bridge runs: what it keeps, and what it prints.
type machine struct {
	dir    string
	log    *transcript
	stdout *transcript // everything that goes to MCP clients
	change func(*bridge.ConnectOptions)
	// revision is what sessions speak; empty: the newest.
	revision string
}

// await waits until something is so.
func (m *machine) await(so func() bool) {
	for deadline := time.Now().Add(10 * time.Second); !so() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

func newMachine(t testing.TB) *machine {
	return &machine{dir: t.TempDir(), log: &transcript{}, stdout: &transcript{}}
}

// running is a bridge that runs in this process.
type running struct {
	in   io.WriteCloser
	out  io.Reader
	done chan struct{}
	err  error
}

// run starts a bridge; it ends with the test at the latest.
func (m *machine) run(t testing.TB, server string) *running {
	t.Helper()
	clientOut, in := pipe(t)
	out, clientIn := pipe(t)
	o := bridge.ConnectOptions{
		Streams: bridge.Streams{In: clientOut, Out: io.MultiWriter(clientIn, m.stdout), Log: m.log}, Server: server,
		SignIn: bridge.SignIn{Browser: browserCommand(), Timeout: 10 * time.Second},
		Place:  bridge.Place{Dir: m.dir, InsecureFile: true},
	}
	if m.change != nil {
		m.change(&o)
	}
	r := &running{in: in, out: out, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.err = bridge.Connect(ctx, o)
		_ = clientIn.Close()
	}()
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		<-r.done
		_ = out.Close()
	})
	return r
}

// pipe has a buffer, as a pipe between processes has.
func pipe(t testing.TB) (*os.File, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// session is an MCP client of the official SDK on a bridge.
func (m *machine) session(t testing.TB, server string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	s, err := m.connect(t, server, options)
	if err != nil {
		t.Fatalf("connect: %v\nlog:\n%s", err, m.log)
	}
	return s
}

func (m *machine) connect(t testing.TB, server string, options *mcp.ClientOptions) (*mcp.ClientSession, error) {
	t.Helper()
	r := m.run(t, server)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	s, err := client.Connect(context.Background(), &mcp.IOTransport{Reader: io.NopCloser(r.out), Writer: r.in}, &mcp.ClientSessionOptions{ProtocolVersion: m.revision})
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

// callText calls a tool and gives the text that it answers.
func callText(t testing.TB, s *mcp.ClientSession, tool string, arguments map[string]any) string {
	t.Helper()
	text, err := tryText(s, tool, arguments)
	if err != nil {
		t.Fatalf("call %s: %v", tool, err)
	}
	return text
}

func tryText(s *mcp.ClientSession, tool string, arguments map[string]any) (string, error) {
	if arguments == nil {
		arguments = map[string]any{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	text, _ := result.Content[0].(*mcp.TextContent)
	return text.Text, nil
}

// wantError wants an error that says all of these.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("want an error with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// wantLog wants the log to say all of these.
func (m *machine) wantLog(t testing.TB, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(m.log.String(), word) {
			t.Errorf("the log does not say %q:\n%s", word, m.log)
		}
	}
}

// wantClean wants standard output to be JSON-RPC, a message a line, and no secret in it or in the log.
func (m *machine) wantClean(t testing.TB, secrets []string) {
	t.Helper()
	for line := range strings.Lines(m.stdout.String()) {
		var message struct {
			Version string `json:"jsonrpc"`
		}
		if json.Unmarshal([]byte(line), &message) != nil || message.Version != "2.0" {
			t.Errorf("standard output has a line that is no message: %q", line)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(m.stdout.String(), secret) {
			t.Errorf("standard output holds the secret %s", secret)
		}
		if strings.Contains(m.log.String(), secret) {
			t.Errorf("the log holds the secret %s", secret)
		}
	}
}
