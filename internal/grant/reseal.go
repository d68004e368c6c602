package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// Resealer moves the sealed values of one kind of record to the active key. Reseal returns the record's new
// value, or nil if nothing in it is stale.
type Resealer struct {
	Kind   string
	Reseal func(ring *secret.Ring, r store.Record) (value []byte, err error)
}

// WholeValue is the Resealer of records whose whole value is sealed, bound to their kind and ID.
func WholeValue(kind string) Resealer {
	return Resealer{Kind: kind, Reseal: func(ring *secret.Ring, r store.Record) ([]byte, error) {
		if !ring.Stale(r.Value) {
			return nil, nil
		}
		place := secret.Binding{Kind: r.Kind, Key: r.ID}
		plain, err := ring.Open(place, r.Value)
		if err != nil {
			return nil, err
		}
		return ring.Seal(place, plain)
	}}
}

// resealPage is how many records are read at once.
const resealPage = 200

// Reseal seals anew, under the active key, every session's tokens and what others seal in records of their
// own, and says how many records it changed. It runs beside everything else: a record that changes
// meanwhile is looked at again. What can't be opened stays as it is and is part of the error.
func (k *Keys) Reseal(ctx context.Context, others ...Resealer) (changed int, err error) {
	if err := k.Refresh(ctx); err != nil {
		return 0, fmt.Errorf("reseal: %w", err)
	}
	var failed []error
	for _, r := range append([]Resealer{{Kind: kind, Reseal: resealSession}}, others...) {
		for after, last := "", false; !last; {
			page, err := k.Store.List(ctx, r.Kind, "", after, resealPage)
			if err != nil {
				return changed, errors.Join(append(failed, fmt.Errorf("reseal: %w", err))...)
			}
			last = len(page) < resealPage
			for _, stored := range page {
				after = stored.ID
				done, err := k.resealOne(ctx, r, stored)
				if err != nil {
					failed = append(failed, fmt.Errorf("reseal %s %s: %w", r.Kind, stored.ID, err))
				}
				if done {
					changed++
				}
			}
		}
	}
	return changed, errors.Join(failed...)
}

func (k *Keys) resealOne(ctx context.Context, r Resealer, stored store.Record) (done bool, err error) {
	for {
		value, err := r.Reseal(k.ring, stored)
		if err != nil || value == nil {
			return false, err
		}
		stored.Value = value
		_, err = k.Store.Swap(ctx, stored)
		if !errors.Is(err, store.ErrConflict) {
			if errors.Is(err, store.ErrNotFound) {
				return false, nil // it ended meanwhile
			}
			return err == nil, err
		}
		if stored, err = k.Store.Get(ctx, r.Kind, stored.ID); errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// resealSession is the Resealer of this package's records.
func resealSession(ring *secret.Ring, r store.Record) ([]byte, error) {
	rec, err := decode(r)
	if err != nil {
		return nil, err
	}
	stale := false
	move := func(b secret.Binding, sealed *[]byte) error {
		if len(*sealed) == 0 || !ring.Stale(*sealed) {
			return nil
		}
		stale = true
		plain, err := ring.Open(b, *sealed)
		if err != nil {
			return err
		}
		*sealed, err = ring.Seal(b, plain)
		return err
	}
	err = move(upstreamBinding(rec.id), &rec.Upstream)
	for i := range rec.Chains {
		err = errors.Join(err, move(successorBinding(rec.id), &rec.Chains[i].Successor))
	}
	if err != nil || !stale {
		return nil, err
	}
	stored, err := rec.encode()
	return stored.Value, err
}
