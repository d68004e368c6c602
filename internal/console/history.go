package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

const (
	kindHistory = "console_history"
	mostCalls   = 25
)

// called is a call that was made here. It lasts as long as the console session.
type called struct {
	At        time.Time
	Server    string
	Tool      string
	Arguments string
	Failed    bool
	Took      time.Duration
	Result    string // in short
}

// history is what was called in this session, the newest first.
func (k *Console) history(ctx context.Context, s *session) ([]called, error) {
	calls, _, err := k.readHistory(ctx, s)
	return calls, err
}

func (k *Console) readHistory(ctx context.Context, s *session) ([]called, store.Record, error) {
	record, err := k.Store.Get(ctx, kindHistory, s.id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, store.Record{}, nil
	}
	if err != nil {
		return nil, store.Record{}, fmt.Errorf("read history: %w", err)
	}
	var calls []called
	if err := k.unseal(kindHistory, s.id, record.Value, &calls); err != nil {
		return nil, record, nil // nobody misses a history that can't be read
	}
	return calls, record, nil
}

func (k *Console) remember(ctx context.Context, s *session, c called) error {
	const most = 2000
	if len(c.Arguments) > most {
		c.Arguments = "" // too long to be offered again
	}
	for range 8 {
		calls, record, err := k.readHistory(ctx, s)
		if err != nil {
			return err
		}
		calls = append([]called{c}, calls[:min(len(calls), mostCalls-1)]...)
		sealed, err := k.seal(kindHistory, s.id, calls)
		if err != nil {
			return err
		}
		next := store.Record{Kind: kindHistory, ID: s.id, Owner: s.Identity.Key(), Value: sealed, Expires: s.Began.Add(absoluteLife), Revision: record.Revision}
		if record.ID == "" {
			err = k.Store.Create(ctx, next)
		} else {
			_, err = k.Store.Swap(ctx, next)
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return errors.New("write history: too many at once")
}

// forgetHistory removes what was called.
func (k *Console) forgetHistory(w http.ResponseWriter, r *http.Request, s *session) error {
	if _, err := k.Store.Take(r.Context(), kindHistory, s.id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	http.Redirect(w, r, Root+"tools", http.StatusSeeOther)
	return nil
}
