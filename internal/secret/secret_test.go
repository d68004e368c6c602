package secret_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
)

func TestATextCantBePrinted(t *testing.T) {
	const value = "correct-horse"
	text := secret.NewText(value)
	holder := struct {
		T      secret.Text
		hidden secret.Text // fmt calls no method on it
	}{text, text}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "text", text, "holder", holder)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	for _, out := range []string{
		fmt.Sprint(text), fmt.Sprintf("%v %+v %#v %s %q %x %d", text, holder, holder, text, text, text, text),
		log.String(), string(encoded), fmt.Errorf("failed: %v", text).Error(),
	} {
		if strings.Contains(out, value) || strings.Contains(out, fmt.Sprintf("%x", value)) {
			t.Errorf("the secret is in %q", out)
		}
	}
	if text.Reveal() != value || !text.Equal(value) || text.Equal(value+"x") || text.Equal("") {
		t.Error("Reveal or Equal is wrong")
	}
	if text != secret.NewText(value) || !secret.NewText("").IsZero() || (secret.Text{}).Reveal() != "" {
		t.Error("equal secrets differ, or no secret is one")
	}
}

func TestRandomHasItsFormAndDiffers(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s, err := secret.Random(rand.Reader, 26)
		if err != nil || !secret.IsRandom(s, 26) || seen[s] {
			t.Fatalf("Random = %q, %v", s, err)
		}
		seen[s] = true
	}
}

func TestRandomUsesTheWholeAlphabetEvenly(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	s, err := secret.Random(bytes.NewReader(every), 256)
	if err != nil {
		t.Fatalf("Random: %v", err)
	}
	count := map[rune]int{}
	for _, r := range s {
		count[r]++
	}
	for r, n := range count {
		if n != 8 {
			t.Errorf("%q came %d times of 256, want 8", r, n)
		}
	}
	if len(count) != 32 {
		t.Errorf("%d characters are in use, want 32", len(count))
	}
}

func TestBrokenRandomnessGivesNoToken(t *testing.T) {
	for _, r := range []interface{ Read([]byte) (int, error) }{iotest.ErrReader(errors.New("broken")), strings.NewReader("short")} {
		if s, err := secret.Random(r, 26); err == nil {
			t.Errorf("Random = %q", s)
		}
		if _, err := secret.NewRing(time.Now, r); err == nil {
			t.Error("NewRing made a ring without randomness")
		}
	}
}

func TestADigestSurvivesJSONAndTheZeroOneEqualsNothing(t *testing.T) {
	d := secret.Hash("token")
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	var back, zero secret.Digest
	if err := json.Unmarshal(encoded, &back); err != nil || !back.Equal(d) {
		t.Errorf("Unmarshal = %v, %v", back, err)
	}
	if zero.Equal(zero) || d.Equal(zero) || zero.Equal(d) || d.Equal(secret.Hash("other")) {
		t.Error("Equal is too kind")
	}
	for _, bad := range []string{`""`, `"AAAA"`, `"!"`, `1`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("a digest was read from %s", bad)
		}
	}
}

func newRing(t *testing.T, now func() time.Time) *secret.Ring {
	t.Helper()
	r, err := secret.NewRing(now, rand.Reader)
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return r
}

func seal(t *testing.T, r *secret.Ring, b secret.Binding, plain string) []byte {
	t.Helper()
	sealed, err := r.Seal(b, []byte(plain))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func TestASealedValueOpensOnlyWhereItWasSealed(t *testing.T) {
	r := newRing(t, time.Now)
	place := secret.Binding{Kind: "grant", Key: "one"}
	sealed := seal(t, r, place, "value")
	if plain, err := r.Open(place, sealed); err != nil || string(plain) != "value" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	for _, other := range []secret.Binding{{Kind: "grant", Key: "two"}, {Kind: "gran", Key: "tone"}, {Kind: "grantone"}, {Key: "grantone"}, {}} {
		if _, err := r.Open(other, sealed); !errors.Is(err, secret.ErrTampered) {
			t.Errorf("Open(%v) = %v", other, err)
		}
	}
}

func TestNoBitOfASealedValueMayChange(t *testing.T) {
	r := newRing(t, time.Now)
	place := secret.Binding{Kind: "grant", Key: "one"}
	sealed := seal(t, r, place, "value")
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := r.Open(place, changed); err == nil {
			t.Errorf("byte %d may change", i)
		}
		if _, err := r.Open(place, sealed[:i]); err == nil {
			t.Errorf("it may be cut at byte %d", i)
		}
	}
}

func TestSealingTwiceGivesDifferentValues(t *testing.T) {
	r := newRing(t, time.Now)
	if bytes.Equal(seal(t, r, secret.Binding{}, "value"), seal(t, r, secret.Binding{}, "value")) {
		t.Error("the nonce repeats")
	}
}

func TestThreat32_ANewKeySealsAndTheOldOneStillOpens(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	r := newRing(t, func() time.Time { return now })
	old := seal(t, r, secret.Binding{}, "value")
	if err := r.Add(now.Add(time.Minute)); err != nil {
		t.Fatalf("Add: %v", err)
	}
	if r.Stale(old) {
		t.Error("a value is stale before the new key is active")
	}
	now = now.Add(time.Minute)
	fresh := seal(t, r, secret.Binding{}, "value")
	if !r.Stale(old) || r.Stale(fresh) {
		t.Error("Stale does not tell the old key from the new one")
	}
	for _, sealed := range [][]byte{old, fresh} {
		if _, err := r.Open(secret.Binding{}, sealed); err != nil {
			t.Errorf("Open: %v", err)
		}
	}
	if n := r.Drop(); n != 1 {
		t.Errorf("Drop = %d, want 1", n)
	}
	if _, err := r.Open(secret.Binding{}, old); !errors.Is(err, secret.ErrUnknownKey) {
		t.Errorf("Open under a dropped key = %v", err)
	}
	if _, err := r.Open(secret.Binding{}, fresh); err != nil {
		t.Errorf("Open: %v", err)
	}
}

func TestThreat36_ARingSurvivesAClockThatIsSetBack(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	r := newRing(t, func() time.Time { return now })
	if err := r.Add(now.Add(time.Minute)); err != nil {
		t.Fatalf("Add: %v", err)
	}
	now = now.Add(time.Hour)
	sealed := seal(t, r, secret.Binding{}, "value")
	r.Drop()
	now = now.Add(-24 * time.Hour)
	if _, err := r.Open(secret.Binding{}, sealed); err != nil {
		t.Errorf("Open: %v", err)
	}
	seal(t, r, secret.Binding{}, "value")
}

func TestARingSurvivesMarshalling(t *testing.T) {
	r := newRing(t, time.Now)
	if err := r.Add(time.Now().Add(-time.Minute)); err != nil {
		t.Fatalf("Add: %v", err)
	}
	sealed := seal(t, r, secret.Binding{}, "value")
	plain, err := r.Marshal()
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	other, err := secret.ParseRing(plain, time.Now, rand.Reader)
	if err != nil {
		t.Fatalf("ParseRing: %v", err)
	}
	if _, err := other.Open(secret.Binding{}, sealed); err != nil || other.ActiveKey() != r.ActiveKey() {
		t.Errorf("Open: %v", err)
	}
	for _, bad := range []string{"", "[]", "null", "{}", `[{"id":"00","key":"AAAA"}]`, `[{"id":"0011223344556677","key":""}]`} {
		if _, err := secret.ParseRing([]byte(bad), time.Now, rand.Reader); err == nil {
			t.Errorf("ParseRing accepted %s", bad)
		}
		if err := r.Replace([]byte(bad)); err == nil {
			t.Errorf("Replace accepted %s", bad)
		}
	}
	if _, err := r.Open(secret.Binding{}, sealed); err != nil {
		t.Errorf("a refused Replace changed the ring: %v", err)
	}
}

func TestAKeyFileIsMadeOnceAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genkan.key")
	first, err := secret.OpenKeyFile(path, rand.Reader)
	if err != nil {
		t.Fatalf("OpenKeyFile: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	wrapped, err := first.Wrap(t.Context(), []byte("ring"))
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	second, err := secret.OpenKeyFile(path, iotest.ErrReader(errors.New("no randomness is needed")))
	if err != nil {
		t.Fatalf("OpenKeyFile: %v", err)
	}
	if plain, err := second.Unwrap(t.Context(), wrapped); err != nil || string(plain) != "ring" {
		t.Errorf("Unwrap = %q, %v", plain, err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
}

func TestProcessesThatStartAtOnceAgreeOnAKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genkan.key")
	files := make([]*secret.KeyFile, 8)
	var all sync.WaitGroup
	for i := range files {
		all.Go(func() {
			var err error
			if files[i], err = secret.OpenKeyFile(path, rand.Reader); err != nil {
				t.Errorf("OpenKeyFile: %v", err)
			}
		})
	}
	all.Wait()
	wrapped, err := files[0].Wrap(t.Context(), []byte("ring"))
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	for _, f := range files {
		if _, err := f.Unwrap(t.Context(), wrapped); err != nil {
			t.Errorf("Unwrap: %v", err)
		}
	}
}

func TestAKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666, 0o610} {
		path := filepath.Join(t.TempDir(), "genkan.key")
		if _, err := secret.OpenKeyFile(path, rand.Reader); err != nil {
			t.Fatalf("OpenKeyFile: %v", err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatalf("Chmod: %v", err)
		}
		if _, err := secret.OpenKeyFile(path, rand.Reader); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: %v; want an error that says what to do", mode, err)
		}
	}
}

func TestAKeyFileWithoutAKeyIsRefusedAndKept(t *testing.T) {
	for _, content := range []string{"", "short", "not base64 !", strings.Repeat("A", 2000)} {
		path := filepath.Join(t.TempDir(), "genkan.key")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatalf("WriteFile: %v", err)
		}
		_, err := secret.OpenKeyFile(path, rand.Reader)
		if err == nil || !strings.Contains(err.Error(), "32 random bytes") {
			t.Errorf("OpenKeyFile(%q) = %v", content, err)
		}
		if kept, _ := os.ReadFile(path); string(kept) != content {
			t.Error("the file was written over")
		}
	}
}

func TestAnotherKeyFileDoesNotUnwrap(t *testing.T) {
	open := func() *secret.KeyFile {
		f, err := secret.OpenKeyFile(filepath.Join(t.TempDir(), "key"), rand.Reader)
		if err != nil {
			t.Fatalf("OpenKeyFile: %v", err)
		}
		return f
	}
	wrapped, err := open().Wrap(context.Background(), []byte("ring"))
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	for _, b := range [][]byte{wrapped, nil, wrapped[:5]} {
		if _, err := open().Unwrap(t.Context(), b); !errors.Is(err, secret.ErrTampered) {
			t.Errorf("Unwrap = %v", err)
		}
	}
}

func FuzzASealedValueFromAStrangerNeverOpens(f *testing.F) {
	r, err := secret.NewRing(time.Now, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := r.Seal(secret.Binding{Kind: "a", Key: "b"}, []byte("value"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = r.Stale(b)
		if _, err := r.Open(secret.Binding{Kind: "a", Key: "b"}, b); err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("%x opened", b)
		}
	})
}
