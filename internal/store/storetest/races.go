package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/genkan-mcp/genkan/internal/store"
)

// A race is run this often, by this many at once.
const (
	rounds  = 25
	runners = 16
)

// race runs all of them at the same instant and waits for them.
func race(run func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range runners {
		done.Go(func() {
			start.Wait()
			run(i)
		})
	}
	start.Done()
	done.Wait()
}

// oneWinner runs an attempt by all at once and checks that one succeeds and the others lose as they should.
func oneWinner(t *testing.T, attempt func(i int) error, loss error) {
	t.Helper()
	var won atomic.Int32
	race(func(i int) {
		switch err := attempt(i); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, loss):
			t.Errorf("a loser got %v, want %v", err, loss)
		}
	})
	if n := won.Load(); n != 1 {
		t.Errorf("%d of %d won, want 1", n, runners)
	}
}

func raceCreate(t *testing.T, s store.Store) {
	for round := range rounds {
		var winner atomic.Int32
		id := fmt.Sprint("round-", round)
		oneWinner(t, func(i int) error {
			r := sample(id)
			r.Value = []byte(strconv.Itoa(i))
			err := s.Create(t.Context(), r)
			if err == nil {
				winner.Store(int32(i))
			}
			return err
		}, store.ErrExists)
		if got, want := string(get(t, s, id).Value), strconv.Itoa(int(winner.Load())); got != want {
			t.Errorf("the record is %s's, the winner was %s", got, want)
		}
	}
}

func raceTake(t *testing.T, s store.Store) {
	for round := range rounds {
		id := fmt.Sprint("round-", round)
		create(t, s, sample(id))
		oneWinner(t, func(int) error {
			_, err := s.Take(t.Context(), "sample", id)
			return err
		}, store.ErrNotFound)
	}
}

func raceSwap(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	for range rounds {
		old := get(t, s, "one")
		oneWinner(t, func(i int) error {
			r := old
			r.Value = []byte(strconv.Itoa(i))
			_, err := s.Swap(t.Context(), r)
			return err
		}, store.ErrConflict)
	}
}

// raceCount has everybody add to one number: a lost update would show in the sum.
func raceCount(t *testing.T, s store.Store) {
	const each = 10
	r := sample("sum")
	r.Value = []byte("0")
	create(t, s, r)
	race(func(int) {
		for range each {
			if err := increment(t, s); err != nil {
				t.Errorf("increment: %v", err)
				return
			}
		}
	})
	if got, want := string(get(t, s, "sum").Value), strconv.Itoa(each*runners); got != want {
		t.Errorf("the sum is %s, want %s", got, want)
	}
}

func increment(t *testing.T, s store.Store) error {
	for {
		r, err := s.Get(t.Context(), "sample", "sum")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			return err
		}
		r.Value = []byte(strconv.Itoa(n + 1))
		if _, err = s.Swap(t.Context(), r); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// raceTakeSwap has half of them take what the others change: whoever takes it last must hold the last
// change, and nothing is changed after it was taken.
func raceTakeSwap(t *testing.T, s store.Store) {
	for round := range rounds {
		id := fmt.Sprint("round-", round)
		create(t, s, sample(id))
		old := get(t, s, id)
		var took, swapped atomic.Int64
		race(func(i int) {
			if i%2 == 0 {
				r, err := s.Take(t.Context(), "sample", id)
				if err == nil {
					took.Store(r.Revision)
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Take: %v", err)
				}
				return
			}
			revision, err := s.Swap(t.Context(), old)
			if err == nil {
				swapped.Store(revision)
			} else if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Swap: %v", err)
			}
		})
		want := old.Revision
		if n := swapped.Load(); n != 0 {
			want = n
		}
		if got := took.Load(); got != want {
			t.Errorf("revision %d was taken, but the last one was %d", got, want)
		}
		wantGone(t, s, id)
	}
}

// raceList lists while records come, change and go: each one that is seen must be whole.
func raceList(t *testing.T, s store.Store) {
	race(func(i int) {
		for n := range rounds {
			if i%4 == 0 {
				records, err := s.List(t.Context(), "sample", "tenant/alice", "", 100)
				if err != nil {
					t.Errorf("List: %v", err)
				}
				for _, r := range records {
					if string(r.Value) != `{"a":1}` || r.Owner != "tenant/alice" || r.Revision == 0 {
						t.Errorf("List saw a torn record: %+v", r)
					}
				}
				continue
			}
			id := fmt.Sprint(i, "-", n)
			if err := s.Create(t.Context(), sample(id)); err != nil {
				t.Errorf("Create: %v", err)
			}
			if _, err := s.Take(t.Context(), "sample", id); err != nil {
				t.Errorf("Take: %v", err)
			}
		}
	})
	if n, err := s.DeleteOwner(t.Context(), "sample", "tenant/alice"); n != 0 || err != nil {
		t.Errorf("DeleteOwner at the end = %d, %v; want 0: an index kept what is gone", n, err)
	}
}
