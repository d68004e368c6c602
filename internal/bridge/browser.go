package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
)

// BrowserFromEnv reads from the environment what a desktop says about its browser: a command in BROWSER, or, on
// Linux without a screen, that there is none.
func BrowserFromEnv(lookup func(string) (string, bool)) (command []string, none bool) {
	if browser, _ := lookup("BROWSER"); browser != "" {
		first, _, _ := strings.Cut(browser, ":")
		return strings.Fields(first), false
	}
	if runtime.GOOS == "linux" {
		x, _ := lookup("DISPLAY")
		wayland, _ := lookup("WAYLAND_DISPLAY")
		wsl, _ := lookup("WSL_DISTRO_NAME")
		return nil, x == "" && wayland == "" && wsl == ""
	}
	return nil, false
}

// openBrowser starts a browser and does not wait for it. Whatever it prints goes to the log, never to
// standard output.
func openBrowser(ctx context.Context, command []string, address string, log io.Writer) error {
	if len(command) == 0 {
		command = systemBrowser()
	}
	if len(command) == 0 {
		return errors.New("this system has no known way to open a browser")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("there is no %s", command[0])
	}
	// The address is one of a validated https (or loopback) endpoint and so can't be read as an option.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, append(command[1:len(command):len(command)], address)...) //nolint:gosec // the person's own command
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() { _ = cmd.Wait() }() // it may live longer than we do; this only reaps it
	return nil
}

func systemBrowser() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	for _, command := range []string{"xdg-open", "wslview", "x-www-browser", "www-browser"} {
		if _, err := exec.LookPath(command); err == nil {
			return []string{command}
		}
	}
	return nil
}
