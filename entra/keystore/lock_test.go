package keystore_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/genkan-mcp/genkan/entra/keystore"
)

func TestLockLetsOneInAtATime(t *testing.T) {
	dir := t.TempDir()
	inside, most := 0, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s := open(t, keystore.Config{Dir: dir, System: newSystem()})
			for range 5 {
				release, err := s.Lock(t.Context(), weather())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				inside--
				mu.Unlock()
				release()
			}
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d were inside at once", most)
	}
}

func TestLockCanBeGivenUp(t *testing.T) {
	s := open(t, keystore.Config{System: newSystem()})
	release, err := s.Lock(t.Context(), weather())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lock(ctx, weather()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
