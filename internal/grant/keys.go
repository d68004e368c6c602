package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// The ring of data keys lies in the store, wrapped, as one record.
const (
	ringKind = "keys"
	ringID   = "ring"
)

// KeysConfig is what Keys needs. Store and Wrapper are required.
type KeysConfig struct {
	Store   store.Store
	Wrapper secret.Wrapper
	Now     func() time.Time // time.Now
	Rand    io.Reader        // crypto/rand
	// Spread is how long a new key lies on the ring before anybody seals under it; two minutes. Refresh
	// must be called more often than that.
	Spread time.Duration
	// Rest is how long a new key seals before Retire drops the old ones; one hour. What is sealed under them
	// outside the store, or only for minutes, has ended by then.
	Rest time.Duration
}

// Keys looks after the ring of data keys that all replicas share. It is safe for concurrent use.
type Keys struct {
	KeysConfig
	ring *secret.Ring

	mu       sync.Mutex
	revision int64 // of the record that ring was read from
}

// OpenKeys reads the ring from the store, or makes the first one.
func OpenKeys(ctx context.Context, c KeysConfig) (*Keys, error) {
	if c.Store == nil || c.Wrapper == nil {
		return nil, errors.New("grant: keys need a store and a wrapper")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Spread == 0 {
		c.Spread = 2 * time.Minute
	}
	if c.Rest == 0 {
		c.Rest = time.Hour
	}
	fresh, err := secret.NewRing(c.Now, c.Rand)
	if err != nil {
		return nil, err
	}
	k := &Keys{KeysConfig: c, ring: fresh}
	err = k.Refresh(ctx)
	if errors.Is(err, store.ErrNotFound) {
		if err = k.createRing(ctx); err == nil {
			err = k.Refresh(ctx) // ours, or that of a process that was faster
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the ring of keys: %w", err)
	}
	return k, nil
}

// Ring is the ring, which Refresh keeps up to date.
func (k *Keys) Ring() *secret.Ring { return k.ring }

// Refresh takes over what another process did to the ring.
func (k *Keys) Refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, err := k.Store.Get(ctx, ringKind, ringID)
	if err != nil {
		return fmt.Errorf("read the ring of keys: %w", err)
	}
	if r.Revision == k.revision {
		return nil
	}
	plain, err := k.unwrap(ctx, r)
	if err != nil {
		return err
	}
	if err := k.ring.Replace(plain); err != nil {
		return err
	}
	k.revision = r.Revision
	return nil
}

// Rotate puts a new key on the ring and says from when on it seals. Afterwards Reseal moves what is stored
// to it. The old keys stay, and still open what they sealed, until Retire.
func (k *Keys) Rotate(ctx context.Context) (from time.Time, err error) {
	from = k.Now().Add(k.Spread).UTC()
	return from, k.changeRing(ctx, nil, func(r *secret.Ring) error { return r.Add(from) })
}

// Rewrap wraps the ring under another key: a new key file, or one in a Key Vault. Replicas that have the
// old wrapper go on with the keys they hold, but can't start again.
func (k *Keys) Rewrap(ctx context.Context, next secret.Wrapper) error {
	return k.changeRing(ctx, next, func(*secret.Ring) error { return nil })
}

// Retire drops the old keys, after it made sure that no session, and nothing that the others know of, is sealed
// under them. It refuses until the new key has sealed for Rest.
func (k *Keys) Retire(ctx context.Context, others ...Resealer) error {
	if settled := k.ring.ActiveSince().Add(max(k.Rest, k.Spread)); k.Now().Before(settled) {
		return fmt.Errorf("retire keys: the old key may be needed until %s; try again then", stamp(settled))
	}
	// The first pass moves what is left, the second one proves that nothing is.
	for pass := range 2 {
		done, err := k.Reseal(ctx, others...)
		if err != nil {
			return fmt.Errorf("retire keys: %w", err)
		}
		if pass == 1 && done > 0 {
			return errors.New("retire keys: somebody still seals under an old key; try again later")
		}
	}
	return k.changeRing(ctx, nil, func(r *secret.Ring) error {
		r.Drop()
		return nil
	})
}

// changeRing reads the ring, changes it, and writes it back, wrapped by the next wrapper if there is one,
// unless somebody else changed it meanwhile.
func (k *Keys) changeRing(ctx context.Context, next secret.Wrapper, change func(*secret.Ring) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if next == nil {
		next = k.Wrapper
	}
	for {
		stored, err := k.Store.Get(ctx, ringKind, ringID)
		if err != nil {
			return fmt.Errorf("read the ring of keys: %w", err)
		}
		plain, err := k.unwrap(ctx, stored)
		if err != nil {
			return err
		}
		ring, err := secret.ParseRing(plain, k.Now, k.Rand)
		if err != nil {
			return err
		}
		if err := change(ring); err != nil {
			return err
		}
		if plain, stored.Value, err = wrap(ctx, next, ring); err != nil {
			return err
		}
		revision, err := k.Store.Swap(ctx, stored)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write the ring of keys: %w", err)
		}
		k.revision, k.Wrapper = revision, next
		return k.ring.Replace(plain)
	}
}

// createRing stores the ring with its first key, unless another process was faster.
func (k *Keys) createRing(ctx context.Context) error {
	_, wrapped, err := wrap(ctx, k.Wrapper, k.ring)
	if err != nil {
		return err
	}
	err = k.Store.Create(ctx, store.Record{Kind: ringKind, ID: ringID, Value: wrapped})
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

func wrap(ctx context.Context, wrapper secret.Wrapper, ring *secret.Ring) (plain, wrapped []byte, err error) {
	if plain, err = ring.Marshal(); err != nil {
		return nil, nil, err
	}
	if wrapped, err = wrapper.Wrap(ctx, plain); err != nil {
		return nil, nil, fmt.Errorf("wrap the ring of keys: %w", err)
	}
	return plain, wrapped, nil
}

func (k *Keys) unwrap(ctx context.Context, r store.Record) ([]byte, error) {
	plain, err := k.Wrapper.Unwrap(ctx, r.Value)
	if errors.Is(err, secret.ErrTampered) {
		return nil, fmt.Errorf("the ring of keys in the store was wrapped by another key: configure the key file "+
			"or Key Vault key that belongs to this store; without it, start with an empty store: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("unwrap the ring of keys: %w", err)
	}
	return plain, nil
}
