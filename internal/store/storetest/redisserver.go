package storetest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startLimit is how long a Redis server may take to answer.
const startLimit = 10 * time.Second

// Redis is a real Redis server of the test's own, on a free port of the loopback interface. Its data outlive
// Kill and Start.
type Redis struct {
	Addr string
	Dir  string

	t       testing.TB
	args    []string
	process *exec.Cmd
	exited  chan struct{}
}

// StartRedis starts a server with further arguments as on redis-server's command line, and stops it with the
// test. A machine without redis-server fails the test: a skipped proof would look like a proof.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := &Redis{t: t, Dir: t.TempDir(), args: args, Addr: FreeAddr(t)}
	r.Start()
	t.Cleanup(r.Kill)
	return r
}

// Start starts the server again, on the same port and data.
func (r *Redis) Start() {
	r.t.Helper()
	binary := redisBinary(r.t)
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		r.t.Fatalf("split %s: %v", r.Addr, err)
	}
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", r.Dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "no", "--logfile", "redis.log", "--daemonize", "no",
	}, r.args...)
	r.process = exec.CommandContext(context.Background(), binary, args...) // Kill ends it
	if err := r.process.Start(); err != nil {
		r.t.Fatalf("start %s: %v", binary, err)
	}
	exited, process := make(chan struct{}), r.process
	r.exited = exited
	go func() {
		_ = process.Wait()
		close(exited)
	}()
	r.await()
}

// Kill ends the server as a power cut would.
func (r *Redis) Kill() {
	_ = r.process.Process.Kill()
	<-r.exited
}

// Do runs one command past every client library and returns the first line of the answer.
func (r *Redis) Do(words ...string) (string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", r.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	var command strings.Builder
	command.WriteString("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, word := range words {
		command.WriteString("$" + strconv.Itoa(len(word)) + "\r\n" + word + "\r\n")
	}
	if _, err := conn.Write([]byte(command.String())); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "-") {
		return line, fmt.Errorf("%s: %s", words[0], line)
	}
	return line, err
}

// MustDo is Do for commands that can't fail.
func (r *Redis) MustDo(words ...string) string {
	r.t.Helper()
	line, err := r.Do(words...)
	if err != nil {
		r.t.Fatalf("redis %s: %v", strings.Join(words, " "), err)
	}
	return line
}

// await waits until the server answers; that it wants a password is an answer too.
func (r *Redis) await() {
	r.t.Helper()
	Await(r.t, startLimit, "redis-server at "+r.Addr+" to answer", func() bool {
		select {
		case <-r.exited:
			log, _ := os.ReadFile(filepath.Join(r.Dir, "redis.log"))
			r.t.Fatalf("redis-server ended at once:\n%s", log)
		default:
		}
		line, err := r.Do("PING")
		return err == nil || strings.HasPrefix(line, "-NOAUTH")
	})
}

// Await polls a condition that another process brings about.
func Await(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited %v for %s", limit, what)
		case <-tick.C:
		}
	}
}

func redisBinary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("neither redis-server nor valkey-server is installed, and this test must not be skipped: " +
		"run `apt-get install redis-server` (or `brew install redis`) and try again")
	return ""
}

// FreeAddr is a loopback address on which nobody listens now. Its port is low enough that a cluster's bus, ten
// thousand above it, is a port too.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		addr := l.Addr().(*net.TCPAddr)
		if err := l.Close(); err != nil {
			t.Fatalf("close the listener: %v", err)
		}
		if addr.Port < 55_000 {
			return addr.String()
		}
	}
	t.Fatal("found no free port below 55000")
	return ""
}
