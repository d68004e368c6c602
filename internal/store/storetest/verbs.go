package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ignoreRevision compares records without what the store adds.
func ignoreRevision() cmp.Option { return cmpopts.IgnoreFields(store.Record{}, "Revision") }

// noon is a time without significance.
func noon() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, int(345*time.Millisecond), time.UTC) }

func sample(id string) store.Record {
	return store.Record{Kind: "sample", ID: id, Owner: "tenant/alice", Value: []byte(`{"a":1}`), Expires: noon()}
}

func create(t *testing.T, s store.Store, r store.Record) {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create(%s): %v", r.ID, err)
	}
}

func get(t *testing.T, s store.Store, id string) store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), "sample", id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return r
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func wantGone(t *testing.T, s store.Store, id string) {
	t.Helper()
	_, err := s.Get(t.Context(), "sample", id)
	wantErr(t, "Get("+id+")", err, store.ErrNotFound)
}

func createThenGet(t *testing.T, s store.Store) {
	forever := sample("forever")
	forever.Expires, forever.Owner = time.Time{}, ""
	for _, want := range []store.Record{sample("one"), forever} {
		create(t, s, want)
		if diff := cmp.Diff(want, get(t, s, want.ID), ignoreRevision()); diff != "" {
			t.Errorf("Get (-want +got):\n%s", diff)
		}
	}
}

func createTwice(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	other := sample("one")
	other.Value = []byte("other")
	wantErr(t, "second Create", s.Create(t.Context(), other), store.ErrExists)
	if diff := cmp.Diff(sample("one"), get(t, s, "one"), ignoreRevision()); diff != "" {
		t.Errorf("the first record changed (-want +got):\n%s", diff)
	}
}

func getMissing(t *testing.T, s store.Store) {
	wantGone(t, s, "nothing")
	_, err := s.Take(t.Context(), "sample", "nothing")
	wantErr(t, "Take", err, store.ErrNotFound)
	_, err = s.Swap(t.Context(), sample("nothing"))
	wantErr(t, "Swap", err, store.ErrNotFound)
	wantGone(t, s, "nothing")
}

func kindsAreApart(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	other := sample("one")
	other.Kind, other.Value = "other", []byte("other")
	create(t, s, other)
	if _, err := s.Take(t.Context(), "other", "one"); err != nil {
		t.Fatalf("Take: %v", err)
	}
	if diff := cmp.Diff(sample("one"), get(t, s, "one"), ignoreRevision()); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
}

func takeOnce(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	got, err := s.Take(t.Context(), "sample", "one")
	if err != nil {
		t.Fatalf("Take: %v", err)
	}
	if diff := cmp.Diff(sample("one"), got, ignoreRevision()); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	_, err = s.Take(t.Context(), "sample", "one")
	wantErr(t, "second Take", err, store.ErrNotFound)
	wantGone(t, s, "one")
	if n, err := s.DeleteOwner(t.Context(), "sample", "tenant/alice"); n != 0 || err != nil {
		t.Errorf("DeleteOwner after Take = %d, %v; want 0", n, err)
	}
}

func swapReplaces(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	before := get(t, s, "one")
	want := before
	want.Value, want.Owner, want.Expires = []byte("new"), "tenant/bob", noon().Add(time.Hour)
	revision, err := s.Swap(t.Context(), want)
	if err != nil {
		t.Fatalf("Swap: %v", err)
	}
	want.Revision = revision
	if diff := cmp.Diff(want, get(t, s, "one")); diff != "" {
		t.Errorf("Get after Swap (-want +got):\n%s", diff)
	}
	if revision == before.Revision {
		t.Error("the revision did not change")
	}
}

func swapConflict(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	old := get(t, s, "one")
	if _, err := s.Swap(t.Context(), old); err != nil {
		t.Fatalf("Swap: %v", err)
	}
	old.Value = []byte("late")
	_, err := s.Swap(t.Context(), old)
	wantErr(t, "Swap of the old revision", err, store.ErrConflict)
	if diff := cmp.Diff(sample("one"), get(t, s, "one"), ignoreRevision()); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
}

func swapAfterRecreate(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	old := get(t, s, "one")
	if _, err := s.Take(t.Context(), "sample", "one"); err != nil {
		t.Fatalf("Take: %v", err)
	}
	create(t, s, sample("one"))
	_, err := s.Swap(t.Context(), old)
	wantErr(t, "Swap of the removed record's revision", err, store.ErrConflict)
}

func sweepRemovesExpired(t *testing.T, s store.Store) {
	forever := sample("forever")
	forever.Expires = time.Time{}
	later := sample("later")
	later.Expires = noon().Add(time.Hour)
	create(t, s, sample("one"))
	create(t, s, sample("two"))
	create(t, s, forever)
	create(t, s, later)
	for _, c := range []struct {
		now  time.Time
		want int
	}{{noon(), 0}, {noon().Add(time.Minute), 2}, {noon().Add(time.Minute), 0}} {
		if n, err := s.Sweep(t.Context(), c.now); n != c.want || err != nil {
			t.Errorf("Sweep(%v) = %d, %v; want %d", c.now, n, err, c.want)
		}
	}
	wantGone(t, s, "one")
	wantGone(t, s, "two")
	get(t, s, "forever")
	get(t, s, "later")
}

func sweepObeysSwap(t *testing.T, s store.Store) {
	create(t, s, sample("longer"))
	create(t, s, sample("forever"))
	sooner := sample("sooner")
	sooner.Expires = time.Time{}
	create(t, s, sooner)
	for id, expires := range map[string]time.Time{
		"longer": noon().Add(time.Hour), "forever": {}, "sooner": noon().Add(-time.Hour),
	} {
		r := get(t, s, id)
		r.Expires = expires
		if _, err := s.Swap(t.Context(), r); err != nil {
			t.Fatalf("Swap(%s): %v", id, err)
		}
	}
	if n, err := s.Sweep(t.Context(), noon().Add(time.Second)); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v; want 1", n, err)
	}
	wantGone(t, s, "sooner")
	get(t, s, "longer")
	get(t, s, "forever")
}

func deleteOwner(t *testing.T, s store.Store) {
	bobs, other := sample("bobs"), sample("other")
	bobs.Owner, other.Kind = "tenant/bob", "other"
	for _, r := range []store.Record{sample("one"), sample("two"), bobs, other} {
		create(t, s, r)
	}
	if n, err := s.DeleteOwner(t.Context(), "sample", "tenant/alice"); n != 2 || err != nil {
		t.Errorf("DeleteOwner = %d, %v; want 2", n, err)
	}
	wantGone(t, s, "one")
	wantGone(t, s, "two")
	get(t, s, "bobs")
	if _, err := s.Get(t.Context(), "other", "other"); err != nil {
		t.Errorf("Get of the other kind: %v", err)
	}
}

func deleteOwnerFollowsSwap(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	r := get(t, s, "one")
	r.Owner = "tenant/bob"
	if _, err := s.Swap(t.Context(), r); err != nil {
		t.Fatalf("Swap: %v", err)
	}
	for owner, want := range map[string]int{"tenant/alice": 0, "tenant/bob": 1} {
		if n, err := s.DeleteOwner(t.Context(), "sample", owner); n != want || err != nil {
			t.Errorf("DeleteOwner(%s) = %d, %v; want %d", owner, n, err, want)
		}
	}
}

func deleteNobody(t *testing.T, s store.Store) {
	ownerless := sample("one")
	ownerless.Owner = ""
	create(t, s, ownerless)
	if n, err := s.DeleteOwner(t.Context(), "sample", ""); n != 0 || err == nil {
		t.Errorf("DeleteOwner(\"\") = %d, %v; want an error", n, err)
	}
	get(t, s, "one")
}

func list(t *testing.T, s store.Store, owner, after string, limit int) []string {
	t.Helper()
	records, err := s.List(t.Context(), "sample", owner, after, limit)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	ids := []string{}
	for _, r := range records {
		want := get(t, s, r.ID)
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("List and Get disagree (-get +list):\n%s", diff)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

func listPages(t *testing.T, s store.Store) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("id-%02d", i))
	}
	for i := range all {
		create(t, s, sample(all[(i*7)%len(all)]))
	}
	// Bytes decide, not an alphabet: upper case comes first.
	create(t, s, sample("Z"))
	all = append([]string{"Z"}, all...)
	other := sample("id-03x")
	other.Kind = "other"
	create(t, s, other)
	got, after := []string{}, ""
	for range len(all) {
		page := list(t, s, "", after, 10)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1]
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if got := list(t, s, "", "", 0); len(got) != 0 {
		t.Errorf("List with limit 0 = %v", got)
	}
}

func listOwner(t *testing.T, s store.Store) {
	for i := range 6 {
		r := sample(fmt.Sprintf("id-%d", i))
		if i%2 == 1 {
			r.Owner = "tenant/bob"
		}
		create(t, s, r)
	}
	if diff := cmp.Diff([]string{"id-3", "id-5"}, list(t, s, "tenant/bob", "id-1", 10)); diff != "" {
		t.Errorf("List of bob's (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{}, list(t, s, "tenant", "", 10)); diff != "" {
		t.Errorf("List of a prefix of an owner (-want +got):\n%s", diff)
	}
}

func valuesAreCopies(t *testing.T, s store.Store) {
	r := sample("one")
	create(t, s, r)
	r.Value[0] = 'X'
	got := get(t, s, "one")
	got.Value[0] = 'Y'
	if diff := cmp.Diff(sample("one"), get(t, s, "one"), ignoreRevision()); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
}

func anyBytes(t *testing.T, s store.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for i, name := range []string{"plain", "a b", "{brace}", "a:b/c%d", "日本", "it's \"quoted\"", "*?[x]"} {
		r := sample(name)
		r.Value, r.Owner = every[i:], "owner "+name
		create(t, s, r)
		if diff := cmp.Diff(r, get(t, s, name), ignoreRevision()); diff != "" {
			t.Errorf("Get(%s) (-want +got):\n%s", name, diff)
		}
		if got := list(t, s, r.Owner, "", 10); !cmp.Equal(got, []string{name}) {
			t.Errorf("List of %q = %v", r.Owner, got)
		}
		if n, err := s.DeleteOwner(t.Context(), "sample", r.Owner); n != 1 || err != nil {
			t.Errorf("DeleteOwner(%q) = %d, %v; want 1", r.Owner, n, err)
		}
	}
}

func largeValues(t *testing.T, s store.Store) {
	r := sample("large")
	r.Value = bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // one MiB
	create(t, s, r)
	if got := get(t, s, "large"); !bytes.Equal(got.Value, r.Value) {
		t.Errorf("a value of %d bytes came back as %d other ones", len(r.Value), len(got.Value))
	}
}

func cancelled(t *testing.T, s store.Store) {
	create(t, s, sample("one"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, "sample", "one")
	_, takeErr := s.Take(ctx, "sample", "one")
	_, swapErr := s.Swap(ctx, sample("one"))
	_, listErr := s.List(ctx, "sample", "", "", 1)
	for what, err := range map[string]error{
		"Create": s.Create(ctx, sample("two")), "Get": getErr, "Take": takeErr, "Swap": swapErr, "List": listErr,
	} {
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
			t.Errorf("%s with a cancelled context: %v; want an error that is none of the store's", what, err)
		}
	}
	get(t, s, "one")
}
