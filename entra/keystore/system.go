package keystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"
)

// unlockTime is how long a person has to type the password of a locked key store.
const unlockTime = 2 * time.Minute

// osKeyring is the key store of macOS, Windows or a Linux desktop.
type osKeyring struct{}

var _ Backend = osKeyring{}

// Get implements Backend.
func (osKeyring) Get(ctx context.Context, service, name string) (string, error) {
	text, err := within(ctx, func() (string, error) { return keyring.Get(service, name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return "", ErrNotFound
	}
	return text, err
}

// Set implements Backend.
func (osKeyring) Set(ctx context.Context, service, name, text string) error {
	_, err := within(ctx, func() (string, error) { return "", keyring.Set(service, name, text) })
	return err
}

// Delete implements Backend.
func (osKeyring) Delete(ctx context.Context, service, name string) error {
	_, err := within(ctx, func() (string, error) { return "", keyring.Delete(service, name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// within gives up waiting for a key store that asks the person for its password and gets no answer. The
// library has no way to be interrupted, so the call itself goes on.
func within(ctx context.Context, call func() (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, unlockTime)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := call()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", fmt.Errorf("the key store did not answer: %w", ctx.Err())
	}
}

// openSystem says whether the system's key store can be used by asking it for something that isn't there.
func openSystem(ctx context.Context, cfg Config) (*chunked, error) {
	if cfg.NoSystem {
		return nil, errors.New("it is switched off")
	}
	backend := cfg.System
	if backend == nil {
		backend = osKeyring{}
	}
	_, err := backend.Get(ctx, cfg.Service, "is there a key store")
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return &chunked{backend: backend, service: cfg.Service}, nil
}
