package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Program is an MCP client program whose configuration can be written.
type Program string

// The programs that are known.
const (
	ClaudeDesktop Program = "claude-desktop"
	ClaudeCode    Program = "claude-code"
	VSCode        Program = "vscode"
	Cursor        Program = "cursor"
	Windsurf      Program = "windsurf"
)

// Programs are those that are known, for help texts.
func Programs() []Program { return []Program{ClaudeDesktop, ClaudeCode, VSCode, Cursor, Windsurf} }

// programFile is where a program keeps its servers, and how.
type programFile struct {
	path     string // below the home folder, or below %APPDATA% on Windows where appData says so
	appData  bool
	key      string // of the object with the servers
	withType bool   // an entry says "type": "stdio"
}

// fileOf knows the places, as the programs document them.
func (p Program) fileOf(goos string) (programFile, bool) {
	switch p {
	case ClaudeDesktop:
		return programFile{path: configPath(goos, "Claude/claude_desktop_config.json"), appData: true, key: "mcpServers"}, true
	case ClaudeCode:
		return programFile{path: ".claude.json", key: "mcpServers", withType: true}, true
	case VSCode:
		return programFile{path: configPath(goos, "Code/User/mcp.json"), appData: true, key: "servers", withType: true}, true
	case Cursor:
		return programFile{path: ".cursor/mcp.json", key: "mcpServers"}, true
	case Windsurf:
		return programFile{path: ".codeium/windsurf/mcp_config.json", key: "mcpServers"}, true
	}
	return programFile{}, false
}

func configPath(goos, path string) string {
	switch goos {
	case "darwin":
		return "Library/Application Support/" + path
	case "windows":
		return path
	}
	return ".config/" + path
}

// InstallOptions say what to write where.
type InstallOptions struct {
	Program Program
	Server  string
	Name    string   // of the entry; made of the address when empty
	Command string   // the genkan that the program shall start
	Args    []string // after "connect SERVER"
	Print   bool     // only print the entry
	Yes     bool     // don't ask
	Home    string   // the person's home folder
	AppData string   // %APPDATA%, on Windows
	In      io.Reader
	Out     io.Writer
	Now     func() time.Time // nil means time.Now
}

// Install writes the entry that makes an MCP client program use a server through the bridge. It shows the change
// first, asks, and keeps a copy of what was there.
func Install(o InstallOptions) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	file, known := o.Program.fileOf(runtime.GOOS)
	if !known {
		return fmt.Errorf("%q is not a program that I know: use one of %v", o.Program, Programs())
	}
	server, err := serverURL(o.Server)
	if err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = entryName(server)
	}
	entry := entryFor(o, file)
	path := o.path(file)
	if o.Print {
		_, err := fmt.Fprintf(o.Out, "In %s, below %q:\n\n%s\n", path, file.key, indentLines(fmt.Sprintf("%q: %s", o.Name, entry), "  "))
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the configuration: %w", err)
	}
	after, err := putEntry(before, file.key, o.Name, entry)
	if err != nil {
		return fmt.Errorf("%s: %w; use --print and put the entry in by hand", path, err)
	}
	if bytes.Equal(before, after) {
		_, err := fmt.Fprintf(o.Out, "%s has this entry already.\n", path)
		return err
	}
	_, _ = fmt.Fprintf(o.Out, "%s\n%s", path, difference(string(before), string(after)))
	if !o.Yes && !agreed(o.In, o.Out) {
		_, err := fmt.Fprintln(o.Out, "Nothing was changed.")
		return err
	}
	return o.write(path, before, after)
}

func (o *InstallOptions) path(file programFile) string {
	base := o.Home
	if file.appData && runtime.GOOS == "windows" {
		base = o.AppData
	}
	return filepath.Join(base, filepath.FromSlash(file.path))
}

// write keeps a copy and puts the new file in place as a whole. A link stays one: dotfiles are often linked.
func (o *InstallOptions) write(path string, before, after []byte) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if before != nil {
		backup := path + ".before-genkan-" + o.Now().UTC().Format("20060102T150405Z")
		if err := writeNew(backup, before, mode); err != nil {
			return fmt.Errorf("keep a copy: %w", err)
		}
		_, _ = fmt.Fprintln(o.Out, "A copy of what was there is in", backup)
	} else if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	temp := path + ".genkan-new"
	if err := writeNew(temp, after, mode); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(temp))
	}
	_, err := fmt.Fprintf(o.Out, "Written. Restart %s to use the server %q.\n", o.Program, o.Name)
	return err
}

func writeNew(path string, content []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// entryName makes a short name of an address: its path without the usual ending, else its host.
func entryName(server *url.URL) string {
	name := strings.Trim(regexp.MustCompile(`/(mcp|sse)/?$`).ReplaceAllString(server.Path, ""), "/")
	if name == "" {
		name = server.Hostname()
	}
	return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(name, "-"), "-")
}

func entryFor(o InstallOptions, file programFile) string {
	var b strings.Builder
	b.WriteString("{\n")
	if file.withType {
		b.WriteString("  \"type\": \"stdio\",\n")
	}
	fmt.Fprintf(&b, "  \"command\": %s,\n  \"args\": [", jsonText(o.Command))
	for i, arg := range append([]string{"connect", o.Server}, o.Args...) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(jsonText(arg))
	}
	b.WriteString("]\n}")
	return b.String()
}

func agreed(in io.Reader, out io.Writer) bool {
	_, _ = fmt.Fprint(out, "Write this? [y/N] ")
	line, _ := bufio.NewReader(in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// difference shows what changes, with two lines around it.
func difference(before, after string) string {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	end := 0
	for end < len(a)-same && end < len(b)-same && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var out strings.Builder
	show := func(mark string, lines []string) {
		for _, line := range lines {
			if line != "" {
				out.WriteString(mark + strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	}
	show("  ", a[max(0, same-2):same])
	show("- ", a[same:len(a)-end])
	show("+ ", b[same:len(b)-end])
	show("  ", b[len(b)-end:min(len(b), len(b)-end+2)])
	return out.String()
}
