package bridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

// desk is somebody's home folder with the configuration of programs in it.
type desk struct {
	home string
	out  bytes.Buffer
}

func (d *desk) options(program bridge.Program) bridge.InstallOptions {
	return bridge.InstallOptions{
		Program: program, Server: "https://mcp.contoso.com/weather/mcp", Command: "/usr/local/bin/genkan", Home: d.home, AppData: d.home,
		In: strings.NewReader("y\n"), Out: &d.out,
		Now: func() time.Time { return time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC) },
	}
}

func (d *desk) file(t *testing.T, path, content string) string {
	t.Helper()
	path = filepath.Join(d.home, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if content != "" {
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// paths are where programs keep their servers on this system.
func paths() map[bridge.Program]string {
	desktop, code := ".config/Claude/claude_desktop_config.json", ".config/Code/User/mcp.json"
	switch runtime.GOOS {
	case "darwin":
		desktop, code = "Library/Application Support/Claude/claude_desktop_config.json", "Library/Application Support/Code/User/mcp.json"
	case "windows":
		desktop, code = "Claude/claude_desktop_config.json", "Code/User/mcp.json"
	}
	return map[bridge.Program]string{
		bridge.ClaudeDesktop: desktop, bridge.ClaudeCode: ".claude.json", bridge.VSCode: code,
		bridge.Cursor: ".cursor/mcp.json", bridge.Windsurf: ".codeium/windsurf/mcp_config.json",
	}
}

func TestInstallWritesTheEntryOfEachProgram(t *testing.T) {
	for _, program := range bridge.Programs() {
		t.Run(string(program), func(t *testing.T) {
			d := &desk{home: t.TempDir()}
			if err := bridge.Install(d.options(program)); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(read(t, filepath.Join(d.home, filepath.FromSlash(paths()[program])))), &got); err != nil {
				t.Fatal(err)
			}
			entry := map[string]any{"command": "/usr/local/bin/genkan", "args": []any{"connect", "https://mcp.contoso.com/weather/mcp"}}
			key := "mcpServers"
			if program == bridge.VSCode {
				key = "servers"
			}
			if program == bridge.VSCode || program == bridge.ClaudeCode {
				entry["type"] = "stdio"
			}
			if diff := cmp.Diff(map[string]any{key: map[string]any{"weather": entry}}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInstallLeavesEverythingElseAsItIs(t *testing.T) {
	tests := map[string]struct{ before, after string }{
		"another server": {
			"{\n    \"theme\": \"dark\",\n    \"mcpServers\": {\n        \"other\": {\"command\": \"x\"}\n    }\n}\n",
			"{\n    \"theme\": \"dark\",\n    \"mcpServers\": {\n        \"other\": {\"command\": \"x\"},\n        \"weather\": {\n" +
				"            \"command\": \"/usr/local/bin/genkan\",\n            \"args\": [\"connect\", \"https://mcp.contoso.com/weather/mcp\"]\n        }\n    }\n}\n",
		},
		"no servers yet": {
			"{\n\t\"theme\": \"dark\"\n}",
			"{\n\t\"theme\": \"dark\",\n\t\"mcpServers\": {\n\t\t\"weather\": {\n\t\t\t\"command\": \"/usr/local/bin/genkan\",\n" +
				"\t\t\t\"args\": [\"connect\", \"https://mcp.contoso.com/weather/mcp\"]\n\t\t}\n\t}\n}",
		},
		"comments and a trailing comma": {
			"// mine, all mine\n{\n  /* a, b */\n  \"mcpServers\": {\n    \"other\": {}, // keep, this\n  },\n}\n",
			"// mine, all mine\n{\n  /* a, b */\n  \"mcpServers\": {\n    \"other\": {},\n    \"weather\": {\n      \"command\": \"/usr/local/bin/genkan\",\n" +
				"      \"args\": [\"connect\", \"https://mcp.contoso.com/weather/mcp\"]\n    } // keep, this\n  },\n}\n",
		},
		"an older entry": {
			"{\r\n  \"mcpServers\": {\r\n    \"weather\": {\"command\": \"old\"},\r\n    \"other\": {}\r\n  }\r\n}\r\n",
			"{\r\n  \"mcpServers\": {\r\n    \"weather\": {\r\n      \"command\": \"/usr/local/bin/genkan\",\r\n" +
				"      \"args\": [\"connect\", \"https://mcp.contoso.com/weather/mcp\"]\r\n    },\r\n    \"other\": {}\r\n  }\r\n}\r\n",
		},
		"an empty file": {
			"\n",
			"{\n  \"mcpServers\": {\n    \"weather\": {\n      \"command\": \"/usr/local/bin/genkan\",\n" +
				"      \"args\": [\"connect\", \"https://mcp.contoso.com/weather/mcp\"]\n    }\n  }\n}\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &desk{home: t.TempDir()}
			path := d.file(t, ".cursor/mcp.json", tt.before)
			if err := bridge.Install(d.options(bridge.Cursor)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, read(t, path)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.before, read(t, path+".before-genkan-20261121T103000Z")); diff != "" {
				t.Errorf("the copy: %s", diff)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the mode changed: %v %v", info.Mode(), err)
			}
			if err := bridge.Install(d.options(bridge.Cursor)); err != nil || !strings.Contains(d.out.String(), "has this entry already") {
				t.Errorf("the second time: %v\n%s", err, &d.out)
			}
		})
	}
}

func TestInstallShowsTheChangeAndAsksFirst(t *testing.T) {
	d := &desk{home: t.TempDir()}
	before := "{\n  \"mcpServers\": {\n    \"other\": {}\n  }\n}\n"
	path := d.file(t, ".cursor/mcp.json", before)
	o := d.options(bridge.Cursor)
	o.In = strings.NewReader("\n")
	if err := bridge.Install(o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, read(t, path)); diff != "" {
		t.Errorf("it was written without a yes: %s", diff)
	}
	for _, line := range []string{path, "-     \"other\": {}\n", "+     \"other\": {},\n", "+     \"weather\": {\n", "Write this? [y/N]", "Nothing was changed."} {
		if !strings.Contains(d.out.String(), line) {
			t.Errorf("%q is not in:\n%s", line, &d.out)
		}
	}
}

func TestInstallPrintsOnly(t *testing.T) {
	d := &desk{home: t.TempDir()}
	o := d.options(bridge.VSCode)
	o.Print = true
	o.Args = []string{"--client-id", "x"}
	if err := bridge.Install(o); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"mcp.json, below \"servers\"", "  \"weather\": {\n", `"args": ["connect", "https://mcp.contoso.com/weather/mcp", "--client-id", "x"]`} {
		if !strings.Contains(d.out.String(), line) {
			t.Errorf("%q is not in:\n%s", line, &d.out)
		}
	}
	if _, err := os.Stat(filepath.Join(d.home, filepath.FromSlash(paths()[bridge.VSCode]))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was written: %v", err)
	}
}

func TestInstallLeavesAFileAloneThatItDoesNotUnderstand(t *testing.T) {
	for _, before := range []string{"[]", "{", "{} x", `{"mcpServers": 7}`, `{"a" 1}`, `{"a": b}`, `{"a": "b`, `{"a": [1 2]}`, "servers: x", `{/* "a": 1}`} {
		d := &desk{home: t.TempDir()}
		path := d.file(t, ".cursor/mcp.json", before)
		if err := bridge.Install(d.options(bridge.Cursor)); err == nil || !strings.Contains(err.Error(), "--print") {
			t.Errorf("%q: got %v", before, err)
		}
		if got := read(t, path); got != before {
			t.Errorf("%q became %q", before, got)
		}
	}
}

func TestInstallFollowsALinkToDotfiles(t *testing.T) {
	d := &desk{home: t.TempDir()}
	real := d.file(t, "dotfiles/cursor.json", "{}\n")
	link := d.file(t, ".cursor/mcp.json", "")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Install(d.options(bridge.Cursor)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if !strings.Contains(read(t, real), "weather") {
		t.Error("the linked file was not written")
	}
}

func TestInstallRefusesWhatItDoesNotKnow(t *testing.T) {
	d := &desk{home: t.TempDir()}
	if err := bridge.Install(d.options("emacs")); err == nil || !strings.Contains(err.Error(), "claude-desktop") {
		t.Errorf("got %v", err)
	}
	o := d.options(bridge.Cursor)
	o.Server = "http://mcp.example/mcp"
	if err := bridge.Install(o); err == nil {
		t.Error("an address that can't be used was installed")
	}
}

// Whatever stands in the file, all of it still stands there afterwards, and the entry beside it.
func FuzzInstallKeepsWhatIsThere(f *testing.F) {
	for _, seed := range []string{"{}", `{"mcpServers":{}}`, `{"mcpServers":{"a":{"b":[1,{"c":null}]}},"d":"\u00e9"}`, "{\"a\":1,\n// x\n}", "{ \"mcpServers\" : { \"weather\" : 1 , } }"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, before string) {
		d := &desk{home: t.TempDir()}
		path := d.file(t, ".cursor/mcp.json", before)
		o := d.options(bridge.Cursor)
		o.Yes = true
		if err := bridge.Install(o); err != nil {
			return
		}
		after := read(t, path)
		var was, is map[string]any
		if json.Unmarshal([]byte(before), &was) != nil {
			return // with comments, or empty
		}
		if err := json.Unmarshal([]byte(after), &is); err != nil {
			t.Fatalf("%q became %q: %v", before, after, err)
		}
		servers, _ := is["mcpServers"].(map[string]any)
		if servers["weather"] == nil {
			t.Fatalf("%q became %q", before, after)
		}
		delete(servers, "weather")
		old, _ := was["mcpServers"].(map[string]any)
		delete(old, "weather")
		if old == nil {
			delete(is, "mcpServers")
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%q became %q: %s", before, after, diff)
		}
	})
}
