//go:build !linux

package keystore

import "errors"

var errNoKernel = errors.New("only Linux has one")

func readKernelKey(string) ([]byte, error) { return nil, errNoKernel }

func writeKernelKey(string, []byte) error { return errNoKernel }
