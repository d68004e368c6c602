package keystore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	keySize  = 32
	sealedV1 = "genkan-sealed-1\n"
	keyFile  = "insecure.key"
)

// sealedFiles keeps each value in a file of mode 0600, sealed with AES-256-GCM and bound to its name.
type sealedFiles struct {
	dir     string
	service string
	aead    cipher.AEAD
}

func newSealedFiles(dir, service string, key []byte) (*sealedFiles, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	dir = filepath.Join(dir, "sealed")
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	return &sealedFiles{dir: dir, service: service, aead: aead}, nil
}

func (f *sealedFiles) get(_ context.Context, name string) ([]byte, error) {
	sealed, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if len(sealed) < len(sealedV1) || string(sealed[:len(sealedV1)]) != sealedV1 {
		return nil, fmt.Errorf("%s is not a sealed file: %w", f.path(name), ErrNotFound)
	}
	value, err := f.aead.Open(nil, nil, sealed[len(sealedV1):], f.binding(name))
	if err != nil {
		return nil, fmt.Errorf("the key that sealed %s is gone: %w", f.path(name), ErrNotFound)
	}
	return value, nil
}

func (f *sealedFiles) put(_ context.Context, name string, value []byte) error {
	return writeFile(f.path(name), f.aead.Seal([]byte(sealedV1), nil, value, f.binding(name)))
}

func (f *sealedFiles) remove(_ context.Context, name string) error {
	err := os.Remove(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

func (f *sealedFiles) path(name string) string {
	sum := sha256.Sum256(f.binding(name))
	return filepath.Join(f.dir, hex.EncodeToString(sum[:16])+".sealed")
}

// binding keeps a value from being opened under another name.
func (f *sealedFiles) binding(name string) []byte { return fmt.Appendf(nil, "%q %q", f.service, name) }

// kernelKey is the key in the kernel's keyring, made when there is none yet.
func (s *Store) kernelKey(ctx context.Context, cfg Config) ([]byte, error) {
	if cfg.NoKernel {
		return nil, errors.New("it is switched off")
	}
	path, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(path))
	name := cfg.Service + ":keystore:" + hex.EncodeToString(sum[:8])
	release, err := s.lockFile(ctx, "key")
	if err != nil {
		return nil, err
	}
	defer release()
	if key, err := readKernelKey(name); err != nil || len(key) == keySize {
		return key, err
	}
	key := newKey()
	return key, writeKernelKey(name, key)
}

// fileKey is the key in a file, made when there is none yet.
func (s *Store) fileKey(ctx context.Context) ([]byte, error) {
	release, err := s.lockFile(ctx, "key")
	if err != nil {
		return nil, err
	}
	defer release()
	path := filepath.Join(s.dir, keyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := newKey()
		return key, writeFile(path, key)
	}
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s has mode %04o and others may read it: delete it and sign in again", path, mode)
	}
	key, err := os.ReadFile(path)
	if err == nil && len(key) != keySize {
		return nil, fmt.Errorf("%s is damaged: delete it and sign in again", path)
	}
	return key, err
}

func newKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it ends the program where there is no randomness
	return key
}

// makeDir makes a folder for this person alone, and refuses one that others may write to.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder %s: %w", dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("the folder %s has mode %04o and others may write to it: run `chmod 700 %s`", dir, mode, dir)
	}
	return nil
}

// writeFile puts the whole file in place or nothing, with mode 0600.
func writeFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
