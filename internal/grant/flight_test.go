package grant_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
)

func TestThreat10_EightAtOnceOnTwoReplicasHaveOneSuccessor(t *testing.T) {
	h := home(t)
	eightWay(t, h.Grants, h.replica(), 100)
}

func eightWay(t *testing.T, one, two *grant.Grants, rounds int) {
	t.Helper()
	code, err := one.Open(t.Context(), opening())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	tokens, err := two.Redeem(t.Context(), redemption(code))
	if err != nil {
		t.Fatalf("Redeem: %v", err)
	}
	for range rounds {
		got := make([]grant.Tokens, 8)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				var err error
				if got[i], err = []*grant.Grants{one, two}[i%2].Rotate(t.Context(), rotation(tokens), welcome); err != nil {
					t.Errorf("Rotate: %v", err)
				}
			})
		}
		all.Wait()
		for _, other := range got {
			if other.Refresh != got[0].Refresh || other.Access != got[0].Access {
				t.Fatal("two callers got different successors")
			}
		}
		if t.Failed() {
			return
		}
		tokens = got[0]
	}
	if _, err := one.Check(t.Context(), tokens.Access.Reveal(), resource); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestTheProviderIsAskedOnceForEightAtOnce(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	var asked atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := h.Rotate(t.Context(), rotation(tokens), func(ctx context.Context, u []byte) (policy.Identity, []byte, error) {
				asked.Add(1)
				return welcome(ctx, u)
			})
			if err != nil {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestACallerWhoHangsUpStillFinishesTheRefresh(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	ctx, hangUp := context.WithCancel(t.Context())
	next, err := h.Rotate(ctx, rotation(tokens), func(ctx context.Context, u []byte) (policy.Identity, []byte, error) {
		hangUp()
		if err := ctx.Err(); err != nil {
			t.Errorf("renew's context ended with the caller's: %v", err)
		}
		return welcome(ctx, u)
	})
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.works(next)
}

func TestAWaitingCallerMayGiveUp(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	asked, answer := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := h.Rotate(t.Context(), rotation(tokens), func(ctx context.Context, u []byte) (policy.Identity, []byte, error) {
			close(asked)
			<-answer
			return welcome(ctx, u)
		})
		done <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Rotate(ctx, rotation(tokens), welcome); !errors.Is(err, context.Canceled) {
		t.Errorf("the impatient caller got %v", err)
	}
	close(answer)
	if err := <-done; err != nil {
		t.Errorf("Rotate: %v", err)
	}
}

func TestThreat31_AProviderThatIsDownEndsNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	down := errors.New("entra: 503")
	_, err := h.Rotate(t.Context(), rotation(tokens), func(context.Context, []byte) (policy.Identity, []byte, error) {
		return policy.Identity{}, nil, down
	})
	if _, refused := errors.AsType[*policy.Refusal](err); refused || !errors.Is(err, down) {
		t.Errorf("Rotate = %v; want the provider's failure and no refusal", err)
	}
	h.works(tokens)
	h.works(h.rotate(tokens))
}

func TestThreat31_EightCallersWaitForAHangingProviderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := home(t)
		tokens := h.signIn()
		down := errors.New("entra: timeout")
		var asked atomic.Int32
		answer, results := make(chan struct{}), make(chan error, 8)
		for range 8 {
			go func() {
				_, err := h.Rotate(t.Context(), rotation(tokens), func(context.Context, []byte) (policy.Identity, []byte, error) {
					asked.Add(1)
					<-answer
					return policy.Identity{}, nil, down
				})
				results <- err
			}()
		}
		synctest.Wait() // all of them wait: one for the provider, seven for that one
		close(answer)
		for range 8 {
			if err := <-results; !errors.Is(err, down) {
				t.Errorf("Rotate = %v", err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		h.works(h.rotate(tokens))
	})
}

func TestThreat34_ACrashBesideTheSwapLosesNoSession(t *testing.T) {
	crash := errors.New("killed")
	for name, prepare := range map[string]func(*hooked){
		"before": func(s *hooked) { s.before = func(store.Record) error { return crash } },
		"after":  func(s *hooked) { s.after = func(store.Record) error { return crash } },
	} {
		t.Run(name, func(t *testing.T) {
			s := &hooked{Store: memory.New()}
			h := newHouse(t, s)
			tokens := h.signIn()
			prepare(s)
			if _, err := h.Rotate(t.Context(), rotation(tokens), welcome); !errors.Is(err, grant.ErrUnavailable) {
				t.Fatalf("Rotate = %v", err)
			}
			s.before, s.after = nil, nil
			h.works(h.rotate(h.rotate(tokens)))
		})
	}
}

func TestThreat33_TheGraceStandsStillWhileTheStoreIsDown(t *testing.T) {
	s := &hooked{Store: memory.New()}
	h := newHouse(t, s)
	h.clock.pass(time.Hour)
	tokens := h.signIn()
	s.after = func(store.Record) error { return errors.New("i/o timeout") }
	if _, err := h.Rotate(t.Context(), rotation(tokens), welcome); !errors.Is(err, grant.ErrUnavailable) {
		t.Fatalf("Rotate = %v", err)
	}
	s.after = nil
	h.clock.pass(time.Minute)
	next := h.rotate(tokens)
	h.works(next)
	h.clock.pass(11 * time.Second)
	_, err := h.Rotate(t.Context(), rotation(tokens), welcome)
	wantEnded(t, err, grant.ReasonReuse)
}

func TestThreat34_TheGraceStandsStillWhileTheProcessIsGone(t *testing.T) {
	h := home(t)
	h.clock.pass(time.Hour)
	tokens := h.signIn()
	next := h.rotate(tokens) // and the process is killed before it can answer
	h.clock.pass(time.Minute)
	h.Grants = h.replica()
	if again := h.rotate(tokens); again.Refresh != next.Refresh {
		t.Error("the restarted process gave other successors")
	}
	h.clock.pass(11 * time.Second)
	_, err := h.Rotate(t.Context(), rotation(tokens), welcome)
	wantEnded(t, err, grant.ReasonReuse)
}

func TestAnOutageOfLongAgoProlongsNothing(t *testing.T) {
	h := home(t)
	tokens := h.signIn()
	h.rotate(tokens)
	h.clock.pass(10 * time.Minute)
	_, err := h.replica().Rotate(t.Context(), rotation(tokens), welcome)
	wantEnded(t, err, grant.ReasonReuse)
}
