package keystore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ownerOnly lets the owner do everything with the key, from any session, and nobody else anything.
const ownerOnly = 0x3f3f0000

// readKernelKey gives nothing when there is no such key, and an error when there is no keyring.
func readKernelKey(name string) ([]byte, error) {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", name, 0)
	if errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYEXPIRED) || errors.Is(err, unix.EKEYREVOKED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("search the kernel's keyring: %w", err)
	}
	key := make([]byte, keySize)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, key, 0)
	if err != nil {
		return nil, fmt.Errorf("read from the kernel's keyring: %w", err)
	}
	return key[:min(n, keySize)], nil
}

func writeKernelKey(name string, key []byte) error {
	id, err := unix.AddKey("user", name, key, unix.KEY_SPEC_USER_KEYRING)
	if err != nil {
		return fmt.Errorf("add to the kernel's keyring: %w", err)
	}
	if err := unix.KeyctlSetperm(id, ownerOnly); err != nil {
		return fmt.Errorf("protect the key in the kernel's keyring: %w", err)
	}
	return nil
}
