package bridge_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkStartUp measures from the start of the command, with a token that is kept already, until the first byte
// that the server answered comes out: the same server for the bridge and for mcp-remote.
func BenchmarkStartUp(b *testing.B) {
	node, err := filepath.Abs(filepath.Join(nodeDir, "node_modules"))
	if err != nil {
		b.Fatal(err)
	}
	genkan := build(b, "../../cmd/genkan")
	browser := filepath.Join(b.TempDir(), "xdg-open")
	script := fmt.Sprintf("#!/bin/sh\nexec %q browse \"$1\"\n", os.Args[0])
	if err := os.WriteFile(browser, []byte(script), 0o700); err != nil {
		b.Fatal(err)
	}
	contenders := []struct {
		name    string
		command func(server string) []string
	}{
		{"genkan-connect", func(server string) []string { return []string{genkan, "connect", server, "--insecure-file-store"} }},
		{"mcp-remote-by-node", func(server string) []string {
			return []string{filepath.Join(node, ".bin/node"), filepath.Join(node, "mcp-remote/dist/proxy.js"), server}
		}},
		{"mcp-remote-by-npx", func(server string) []string { return []string{"npx", "--no-install", "mcp-remote", server} }},
	}
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			p := newProvider(b)
			home := b.TempDir()
			run := func() time.Duration {
				return firstByte(b, c.command(p.URL+"/mcp"), append(os.Environ(),
					"HOME="+home, "XDG_CONFIG_HOME="+home, "MCP_REMOTE_CONFIG_DIR="+home, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere",
					"BROWSER="+browser, "PATH="+filepath.Dir(browser)+":"+os.Getenv("PATH")))
			}
			run() // signs in
			var all []time.Duration
			for b.Loop() {
				all = append(all, run())
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/median")
			p.set(func() {
				if p.pages != 1 {
					b.Errorf("%d sign-ins, want 1: the token was not kept", p.pages)
				}
			})
		})
	}
}

// firstByte starts a command, says initialize, and waits for the answer.
func firstByte(b *testing.B, command, env []string) time.Duration {
	b.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = nodeDir, env
	var log strings.Builder
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	_, _ = io.WriteString(in, hello+"\n")
	_, err = bufio.NewReader(out).ReadByte()
	took := time.Since(began)
	_ = in.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	stuck.Stop()
	if err != nil {
		b.Fatalf("%v said nothing: %v\n%s", command, err, &log)
	}
	return took
}
