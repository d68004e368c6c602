package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lockPoll is how often a waiting process looks whether it can have the lock.
const lockPoll = 25 * time.Millisecond

// Lock waits until no other process and no other goroutine holds the lock of this key, and takes it. It ends
// with release, or with the process.
func (s *Store) Lock(ctx context.Context, key Key) (release func(), err error) {
	return s.lockFile(ctx, key.name())
}

func (s *Store) lockFile(ctx context.Context, name string) (release func(), err error) {
	dir := filepath.Join(s.dir, "locks")
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(name))
	file, err := os.OpenFile(filepath.Join(dir, hex.EncodeToString(sum[:16])), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	for {
		taken, err := tryLock(file)
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("take the lock %s: %w", file.Name(), err)
		}
		if taken {
			// The file stays: removing it would let two processes hold two locks of one name.
			return func() { _ = file.Close() }, nil
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("wait for another process: %w", ctx.Err())
		}
	}
}
