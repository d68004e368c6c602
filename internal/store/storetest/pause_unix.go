//go:build unix

package storetest

import "syscall"

// Pause freezes the server: connections stay open, and nothing answers.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.process.Process.Signal(s); err != nil {
		r.t.Fatalf("signal redis-server: %v", err)
	}
}
