package secret

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Wrapper protects a ring of keys at rest under a key that lies elsewhere.
type Wrapper interface {
	Wrap(ctx context.Context, plain []byte) (wrapped []byte, err error)
	// Unwrap gives back what Wrap took; ErrTampered when this wrapper's key did not wrap it.
	Unwrap(ctx context.Context, wrapped []byte) (plain []byte, err error)
}

// KeyFile is a Wrapper whose key lies in a file that only its owner may read.
type KeyFile struct{ aead cipher.AEAD }

var _ Wrapper = (*KeyFile)(nil)

// wrapBinding keeps a wrapped ring from being taken for a sealed value.
func wrapBinding() []byte { return Binding{Kind: "ring", Key: "key file"}.additional() }

// OpenKeyFile reads the key of a file and makes the file, with mode 0600, if there is none. A file that
// others may read is refused.
func OpenKeyFile(path string, rand io.Reader) (*KeyFile, error) {
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(path, rand); err != nil {
			return nil, fmt.Errorf("create the key file %s: %w", path, err)
		}
		key, err = readKey(path) // ours, or that of a process that came at the same time
	}
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &KeyFile{aead: aead}, nil
}

// Wrap encrypts with AES-256-GCM.
func (f *KeyFile) Wrap(_ context.Context, plain []byte) ([]byte, error) {
	return f.aead.Seal(nil, nil, plain, wrapBinding()), nil
}

// Unwrap decrypts what Wrap made, or returns ErrTampered.
func (f *KeyFile) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	plain, err := f.aead.Open(nil, nil, wrapped, wrapBinding())
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

func readKey(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("the key file %s has mode %04o and others may read it: run `chmod 600 %s`, "+
			"and rotate the keys if others could have read it", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("the key file %s must hold %d random bytes in base64, as `openssl rand -base64 %d` "+
			"writes them", path, keyBytes, keyBytes)
	}
	return key, nil
}

// createKey puts the whole file in place or nothing: a crash leaves no half key, and two processes that
// start at once agree on one.
func createKey(path string, rand io.Reader) error {
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(rand, key); err != nil {
		return fmt.Errorf("draw randomness: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
