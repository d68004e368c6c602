package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Errors of a Ring that callers tell apart.
var (
	// ErrUnknownKey means that the value was sealed under a key that this ring does not hold (yet).
	ErrUnknownKey = errors.New("secret: sealed under a key that is not on the ring")
	// ErrTampered means that the value is not what was sealed, or not where it was sealed.
	ErrTampered = errors.New("secret: the sealed value does not open")
)

const (
	keyBytes   = 32
	keyIDBytes = 8
	// sealedV1 is the first byte of a sealed value: version 1, then key ID, nonce, ciphertext and tag.
	sealedV1 = 1
)

// Binding is the place of a sealed value: the kind of record and its key. A value opens only in the place
// that it was sealed for.
type Binding struct{ Kind, Key string }

// additional encodes the binding so that no two of them read the same.
func (b Binding) additional() []byte {
	out := append([]byte("genkan\x00"), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(out[len(out)-4:], uint32(len(b.Kind)))
	return append(append(out, b.Kind...), b.Key...)
}

// dataKey is one key of a ring. Using it for sealing starts only at From, so that every replica has
// read the new ring by the time that the first of them seals under the new key.
type dataKey struct {
	ID   string    `json:"id"`
	Key  []byte    `json:"key"`
	From time.Time `json:"from"`

	aead cipher.AEAD
}

// Ring seals with its newest active key and opens with all of its keys. It is safe for concurrent use.
type Ring struct {
	now  func() time.Time
	rand io.Reader

	mu   sync.RWMutex
	keys []dataKey // in the order in which they become active
}

// NewRing makes a ring with one fresh key, which is active at once.
func NewRing(now func() time.Time, rand io.Reader) (*Ring, error) {
	r := &Ring{now: now, rand: rand}
	if err := r.Add(time.Time{}); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseRing reads what Marshal wrote.
func ParseRing(plain []byte, now func() time.Time, rand io.Reader) (*Ring, error) {
	r := &Ring{now: now, rand: rand}
	if err := r.parse(plain); err != nil {
		return nil, err
	}
	return r, nil
}

// Marshal writes the ring's keys in the clear, for a Wrapper and for nobody else.
func (r *Ring) Marshal() ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return json.Marshal(r.keys)
}

// Replace takes over the keys that another process wrote.
func (r *Ring) Replace(plain []byte) error { return r.parse(plain) }

// Add puts a fresh key on the ring; sealing with it starts at from.
func (r *Ring) Add(from time.Time) error {
	random := make([]byte, keyIDBytes+keyBytes)
	if _, err := io.ReadFull(r.rand, random); err != nil {
		return fmt.Errorf("draw a data key: %w", err)
	}
	key, err := newDataKey(hex.EncodeToString(random[:keyIDBytes]), random[keyIDBytes:], from)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, key)
	slices.SortStableFunc(r.keys, func(a, b dataKey) int { return a.From.Compare(b.From) })
	return nil
}

// Drop removes every key but the active one and those that will be. What they sealed never opens again.
func (r *Ring) Drop() (dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dropped = r.active()
	r.keys = slices.Clone(r.keys[dropped:])
	return dropped
}

// Seal encrypts a value with AES-256-GCM under the active key, bound to its place.
func (r *Ring) Seal(b Binding, plain []byte) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return nil, errors.New("secret: the ring has no key")
	}
	key := r.keys[r.active()]
	id, err := hex.DecodeString(key.ID)
	if err != nil {
		return nil, fmt.Errorf("read the active key's ID: %w", err)
	}
	return key.aead.Seal(append([]byte{sealedV1}, id...), nil, plain, b.additional()), nil
}

// Open decrypts a sealed value, if it stands where it was sealed: ErrTampered or ErrUnknownKey otherwise.
func (r *Ring) Open(b Binding, sealed []byte) ([]byte, error) {
	id, body, err := splitSealed(sealed)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	i := slices.IndexFunc(r.keys, func(k dataKey) bool { return k.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%w: key %s", ErrUnknownKey, id)
	}
	plain, err := r.keys[i].aead.Open(nil, nil, body, b.additional())
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// Stale says whether a value is sealed under another key than the active one, and should be sealed anew.
func (r *Ring) Stale(sealed []byte) bool {
	id, _, err := splitSealed(sealed)
	return err == nil && id != r.ActiveKey()
}

// ActiveKey is the ID of the key that seals now. It is not secret.
func (r *Ring) ActiveKey() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return ""
	}
	return r.keys[r.active()].ID
}

// ActiveSince is when the active key began to seal.
func (r *Ring) ActiveSince() time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return time.Time{}
	}
	return r.keys[r.active()].From
}

// Keys says how many keys are on the ring, active or not.
func (r *Ring) Keys() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.keys)
}

// active is the index of the newest key whose time has come, or else of the oldest: a clock that jumped
// back must not leave the ring without a key.
func (r *Ring) active() int {
	now := r.now()
	for i := len(r.keys) - 1; i > 0; i-- {
		if !r.keys[i].From.After(now) {
			return i
		}
	}
	return 0
}

func (r *Ring) parse(plain []byte) error {
	var read []dataKey
	if err := json.Unmarshal(plain, &read); err != nil {
		return errors.New("secret: this is no ring of keys") // the cause could quote a key
	}
	if len(read) == 0 {
		return errors.New("secret: a ring without a key")
	}
	keys := make([]dataKey, 0, len(read))
	for _, k := range read {
		key, err := newDataKey(k.ID, k.Key, k.From)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	slices.SortStableFunc(keys, func(a, b dataKey) int { return a.From.Compare(b.From) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}

func newDataKey(id string, key []byte, from time.Time) (dataKey, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != keyIDBytes || len(key) != keyBytes {
		return dataKey{}, errors.New("secret: a data key has the wrong size")
	}
	aead, err := newAEAD(key)
	return dataKey{ID: id, Key: key, From: from, aead: aead}, err
}

// newAEAD is AES-256-GCM with a random nonce before the ciphertext. One key seals far fewer than the
// 2^32 values at which random nonces become doubtful (NIST SP 800-38D §8.3).
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func splitSealed(sealed []byte) (id string, body []byte, err error) {
	if len(sealed) < 1+keyIDBytes || sealed[0] != sealedV1 {
		return "", nil, ErrTampered
	}
	return hex.EncodeToString(sealed[1 : 1+keyIDBytes]), sealed[1+keyIDBytes:], nil
}
