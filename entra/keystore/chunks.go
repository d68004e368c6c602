package keystore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// chunkSize fits the smallest entry among the systems: Windows takes 2560 bytes, and macOS a command of
	// 4096 bytes with the value in base64 in it.
	chunkSize = 1900
	// maxChunks bounds what a damaged head can make a reader do.
	maxChunks = 512

	inlineHead = "genkan-1 whole\n"
	chunksHead = "genkan-1 parts "
)

// chunked keeps values of any size in a key store of short texts. The entry of a value holds it whole, or says
// in how many parts, with which checksum, and under which generation it lies in other entries. Parts are
// written before the entry that names them and removed after it, so that a crash loses nothing.
type chunked struct {
	backend Backend
	service string
}

// head is what the entry of a value in parts says.
type head struct {
	generation string
	parts      int
	sum        string
}

func (c *chunked) get(ctx context.Context, name string) ([]byte, error) {
	const tries = 3 // another process may be replacing the value
	for i := 0; ; i++ {
		value, err := c.getOnce(ctx, name)
		if err == nil || i == tries || ctx.Err() != nil || !errors.Is(err, errTorn) {
			return value, err
		}
	}
}

var errTorn = fmt.Errorf("its parts don't fit together: %w", ErrNotFound)

func (c *chunked) getOnce(ctx context.Context, name string) ([]byte, error) {
	text, err := c.backend.Get(ctx, c.service, name)
	if err != nil {
		return nil, err
	}
	if whole, ok := strings.CutPrefix(text, inlineHead); ok {
		return []byte(whole), nil
	}
	h, ok := parseHead(text)
	if !ok {
		return nil, fmt.Errorf("the entry %q is not one of ours: %w", name, ErrNotFound)
	}
	var value []byte
	for i := range h.parts {
		part, err := c.backend.Get(ctx, c.service, h.part(name, i))
		if errors.Is(err, ErrNotFound) {
			return nil, errTorn
		}
		if err != nil {
			return nil, err
		}
		value = append(value, part...)
	}
	if checksum(value) != h.sum {
		return nil, errTorn
	}
	return value, nil
}

func (c *chunked) put(ctx context.Context, name string, value []byte) error {
	before, err := c.backend.Get(ctx, c.service, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if len(value) <= chunkSize-len(inlineHead) {
		err = c.backend.Set(ctx, c.service, name, inlineHead+string(value))
	} else {
		err = c.putParts(ctx, name, value)
	}
	if err != nil {
		return err
	}
	return c.removeParts(ctx, name, before)
}

func (c *chunked) putParts(ctx context.Context, name string, value []byte) error {
	h := head{generation: rand.Text()[:8], parts: (len(value) + chunkSize - 1) / chunkSize, sum: checksum(value)}
	if h.parts > maxChunks {
		return fmt.Errorf("a value of %d bytes is too large", len(value))
	}
	for i := range h.parts {
		part := value[i*chunkSize : min((i+1)*chunkSize, len(value))]
		if err := c.backend.Set(ctx, c.service, h.part(name, i), string(part)); err != nil {
			return err
		}
	}
	return c.backend.Set(ctx, c.service, name, h.String())
}

func (c *chunked) remove(ctx context.Context, name string) error {
	before, err := c.backend.Get(ctx, c.service, name)
	if err != nil {
		return err
	}
	if err := c.backend.Delete(ctx, c.service, name); err != nil {
		return err
	}
	return c.removeParts(ctx, name, before)
}

// removeParts removes the parts that an earlier entry named.
func (c *chunked) removeParts(ctx context.Context, name, before string) error {
	h, ok := parseHead(before)
	if !ok {
		return nil
	}
	for i := range h.parts {
		if err := c.backend.Delete(ctx, c.service, h.part(name, i)); err != nil {
			return err
		}
	}
	return nil
}

func (h head) String() string {
	return fmt.Sprintf("%s%s %d %s", chunksHead, h.generation, h.parts, h.sum)
}

func (h head) part(name string, i int) string {
	return name + " part " + h.generation + "-" + strconv.Itoa(i+1)
}

func parseHead(text string) (head, bool) {
	rest, ok := strings.CutPrefix(text, chunksHead)
	fields := strings.Fields(rest)
	if !ok || len(fields) != 3 {
		return head{}, false
	}
	parts, err := strconv.Atoi(fields[1])
	return head{generation: fields[0], parts: parts, sum: fields[2]}, err == nil && parts > 0 && parts <= maxChunks
}

func checksum(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:])
}
