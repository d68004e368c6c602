// Package desktop gives a test what a person's desktop has: a D-Bus session of its own with a Secret Service in it.
package desktop

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Session is a D-Bus session with an unlocked GNOME Keyring. It ends with the test.
type Session struct {
	// Home is the folder in which the keyring has its files.
	Home string
	// Env is what a program needs to find the session.
	Env []string
}

// Start starts a session. It says plainly which Debian package is missing.
func Start(t *testing.T) *Session {
	t.Helper()
	bus := find(t, "dbus-daemon", "dbus")
	keyring := find(t, "gnome-keyring-daemon", "gnome-keyring")
	s := &Session{Home: t.TempDir()}
	runtimeDir := filepath.Join(s.Home, "run")
	if err := os.Mkdir(runtimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Env = []string{"HOME=" + s.Home, "XDG_RUNTIME_DIR=" + runtimeDir, "XDG_DATA_HOME=" + filepath.Join(s.Home, "data"), "DISPLAY="}

	daemon := exec.CommandContext(t.Context(), bus, "--session", "--nofork", "--nopidfile", "--print-address=1")
	daemon.Env = append(os.Environ(), s.Env...)
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, daemon)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon gave no address: %v", err)
	}
	s.Env = append(s.Env, "DBUS_SESSION_BUS_ADDRESS="+strings.TrimSpace(address))

	unlock := exec.CommandContext(t.Context(), keyring, "--unlock", "--foreground", "--components=secrets", "--control-directory="+runtimeDir)
	unlock.Env = append(os.Environ(), s.Env...)
	unlock.Stdin = strings.NewReader("password of the test")
	start(t, unlock)
	s.awaitSecretService(t)
	return s
}

// awaitSecretService returns as soon as somebody owns the name of the Secret Service.
func (s *Session) awaitSecretService(t *testing.T) {
	t.Helper()
	send := find(t, "dbus-send", "dbus-bin")
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		cmd := exec.CommandContext(t.Context(), send, "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets")
		cmd.Env = append(os.Environ(), s.Env...)
		if out, err := cmd.CombinedOutput(); err == nil && strings.Contains(string(out), "boolean true") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("gnome-keyring-daemon did not offer the Secret Service within 20 seconds")
}

func find(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not installed: run `apt-get install %s` (make prepare does it)", program, pkg)
	}
	return path
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
