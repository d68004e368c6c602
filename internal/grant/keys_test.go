package grant_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
)

func keyFile(t *testing.T) *secret.KeyFile {
	t.Helper()
	w, err := secret.OpenKeyFile(filepath.Join(t.TempDir(), "key"), rand.Reader)
	if err != nil {
		t.Fatalf("OpenKeyFile: %v", err)
	}
	return w
}

func openKeys(t *testing.T, s store.Store, w secret.Wrapper, c *clock) *grant.Keys {
	t.Helper()
	k, err := grant.OpenKeys(t.Context(), grant.KeysConfig{Store: s, Wrapper: w, Now: c.Now})
	if err != nil {
		t.Fatalf("OpenKeys: %v", err)
	}
	return k
}

// keyedHouse has its ring in the store, as the product has.
func keyedHouse(t *testing.T) (*house, *grant.Keys, secret.Wrapper) {
	t.Helper()
	h := home(t)
	w := keyFile(t)
	k := openKeys(t, h.store, w, h.clock)
	h.ring = k.Ring()
	h.Grants = h.replica()
	return h, k, w
}

func TestAllReplicasHaveOneRing(t *testing.T) {
	s, w, c := memory.New(), keyFile(t), newClock()
	rings := make([]*grant.Keys, 8)
	var all sync.WaitGroup
	for i := range rings {
		all.Go(func() { rings[i] = openKeys(t, s, w, c) })
	}
	all.Wait()
	for _, k := range rings {
		if got, want := k.Ring().ActiveKey(), rings[0].Ring().ActiveKey(); got != want {
			t.Errorf("active key %s, want %s", got, want)
		}
	}
}

func TestTheRingInTheStoreIsWrapped(t *testing.T) {
	h, k, _ := keyedHouse(t)
	plain, err := k.Ring().Marshal()
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	r, err := h.store.Get(t.Context(), "keys", "ring")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	for i := 0; i+16 <= len(plain); i += 16 {
		if bytes.Contains(r.Value, plain[i:i+16]) {
			t.Fatal("the store holds the ring in the clear")
		}
	}
}

func TestAnotherKeyFileIsRefusedWithAdvice(t *testing.T) {
	h, _, _ := keyedHouse(t)
	_, err := grant.OpenKeys(t.Context(), grant.KeysConfig{Store: h.store, Wrapper: keyFile(t)})
	if !errors.Is(err, secret.ErrTampered) || !strings.Contains(err.Error(), "configure the key file") {
		t.Errorf("OpenKeys = %v", err)
	}
}

func TestThreat32_SealingKeysRotateWhileReplicasRun(t *testing.T) {
	h, one, w := keyedHouse(t)
	two := openKeys(t, h.store, w, h.clock)
	old := one.Ring().ActiveKey()
	before := h.rotate(h.signIn())

	from, err := two.Rotate(t.Context())
	if err != nil || !from.After(h.clock.Now()) {
		t.Fatalf("Rotate = %v, %v", from, err)
	}
	if err := one.Refresh(t.Context()); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	for _, k := range []*grant.Keys{one, two} {
		if k.Ring().ActiveKey() != old {
			t.Error("the new key seals before all replicas can know it")
		}
	}
	h.clock.pass(from.Sub(h.clock.Now()))
	if one.Ring().ActiveKey() == old || one.Ring().ActiveKey() != two.Ring().ActiveKey() {
		t.Error("the replicas do not agree on the new key")
	}
	if err := one.Retire(t.Context()); err == nil {
		t.Error("Retire dropped a key that another replica may be sealing under")
	}
	if n, err := two.Reseal(t.Context()); n != 1 || err != nil {
		t.Errorf("Reseal = %d, %v; want 1", n, err)
	}
	h.clock.pass(59 * time.Minute)
	if err := two.Retire(t.Context()); err == nil {
		t.Error("Retire dropped a key before its rest")
	}
	h.clock.pass(time.Minute)
	if err := two.Retire(t.Context()); err != nil {
		t.Fatalf("Retire: %v", err)
	}
	if n := two.Ring().Keys(); n != 1 {
		t.Errorf("%d keys are left", n)
	}
	// A process that starts now has the new key only, and every session.
	h.ring = openKeys(t, h.store, w, h.clock).Ring()
	h.Grants = h.replica()
	kept, err := h.Upstream(t.Context(), before.GrantID)
	if err != nil || string(kept) != upstream+"+" {
		t.Errorf("Upstream = %v", err)
	}
	h.works(h.rotate(before))
}

func TestRetireMovesWhatIsStillUnderTheOldKey(t *testing.T) {
	h, k, _ := keyedHouse(t)
	tokens := h.signIn()
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.clock.pass(2 * time.Hour)
	if err := k.Retire(t.Context()); err != nil {
		t.Fatalf("Retire: %v", err)
	}
	if _, err := h.Upstream(t.Context(), tokens.GrantID); err != nil {
		t.Errorf("Upstream: %v", err)
	}
}

// A key must not be dropped while something still needs it, even if that is damaged.
func TestRetireDropsNothingWhenARecordDoesNotOpen(t *testing.T) {
	h, k, _ := keyedHouse(t)
	tokens, other := h.signIn(), h.signIn()
	theirs, err := h.store.Get(t.Context(), "grant", other.GrantID)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	h.edit(tokens.GrantID, func([]byte) []byte { return theirs.Value })
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.clock.pass(2 * time.Hour)
	if err := k.Retire(t.Context()); !errors.Is(err, secret.ErrTampered) || !strings.Contains(err.Error(), tokens.GrantID) {
		t.Errorf("Retire = %v; want the record that does not open", err)
	}
	if n := k.Ring().Keys(); n != 2 {
		t.Errorf("%d keys are left, want 2", n)
	}
	if _, err := h.Upstream(t.Context(), other.GrantID); err != nil {
		t.Errorf("Upstream: %v", err)
	}
}

func TestRetireDropsNothingWhileSomebodySealsUnderTheOldKey(t *testing.T) {
	h, k, _ := keyedHouse(t)
	if err := h.store.Create(t.Context(), store.Record{Kind: "consent", ID: "one", Value: []byte("sealed")}); err != nil {
		t.Fatalf("Create: %v", err)
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.clock.pass(2 * time.Hour)
	// Each time that we look, something is stale again.
	busy := grant.Resealer{Kind: "consent", Reseal: func(_ *secret.Ring, r store.Record) ([]byte, error) { return r.Value, nil }}
	if err := k.Retire(t.Context(), busy); err == nil || !strings.Contains(err.Error(), "still seals") {
		t.Errorf("Retire = %v", err)
	}
	if n := k.Ring().Keys(); n != 2 {
		t.Errorf("%d keys are left, want 2", n)
	}
}

func TestResealRunsBesideRefreshes(t *testing.T) {
	h, k, _ := keyedHouse(t)
	sessions := make([]grant.Tokens, 20)
	for i := range sessions {
		sessions[i] = h.signIn()
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.clock.pass(time.Hour - time.Minute)
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			for range 20 {
				sessions[i] = h.rotate(sessions[i])
			}
		})
	}
	all.Go(func() {
		if _, err := k.Reseal(t.Context()); err != nil {
			t.Errorf("Reseal: %v", err)
		}
	})
	all.Wait()
	if n, err := k.Reseal(t.Context()); n != 0 || err != nil {
		t.Errorf("a second Reseal = %d, %v; want nothing left to do", n, err)
	}
	for _, tokens := range sessions {
		h.works(tokens)
	}
}

func TestResealMovesOthersRecordsToo(t *testing.T) {
	h, k, _ := keyedHouse(t)
	place := secret.Binding{Kind: "consent", Key: "one"}
	sealed, err := k.Ring().Seal(place, []byte("yes"))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if err := h.store.Create(t.Context(), store.Record{Kind: "consent", ID: "one", Value: sealed}); err != nil {
		t.Fatalf("Create: %v", err)
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	h.clock.pass(2 * time.Hour)
	if err := k.Retire(t.Context(), grant.WholeValue("consent")); err != nil {
		t.Fatalf("Retire: %v", err)
	}
	r, err := h.store.Get(t.Context(), "consent", "one")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if plain, err := k.Ring().Open(place, r.Value); err != nil || string(plain) != "yes" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

func TestTheRingMovesToAnotherWrapper(t *testing.T) {
	h, k, old := keyedHouse(t)
	tokens := h.signIn()
	next := keyFile(t)
	if err := k.Rewrap(t.Context(), next); err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	if _, err := grant.OpenKeys(t.Context(), grant.KeysConfig{Store: h.store, Wrapper: old}); err == nil {
		t.Error("the old wrapper still opens the ring")
	}
	h.ring = openKeys(t, h.store, next, h.clock).Ring()
	if _, err := h.replica().Upstream(t.Context(), tokens.GrantID); err != nil {
		t.Errorf("Upstream: %v", err)
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Errorf("Rotate after Rewrap: %v", err)
	}
}

func TestAStoreThatIsDownKeepsTheRing(t *testing.T) {
	s := &broken{Store: memory.New()}
	h := newHouse(t, s)
	k := openKeys(t, s, keyFile(t), h.clock)
	active := k.Ring().ActiveKey()
	s.set(true)
	if err := k.Refresh(context.Background()); err == nil {
		t.Error("Refresh hid the trouble")
	}
	if k.Ring().ActiveKey() != active {
		t.Error("the ring was lost")
	}
}
