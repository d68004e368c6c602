package keystore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra/keystore"
	"github.com/genkan-mcp/genkan/internal/story/desktop"
)

// windowsLimit is what one entry of the Windows Credential Manager holds.
const windowsLimit = 2560

// fakeSystem is a key store with the limit of Windows that can crash after any number of writes.
type fakeSystem struct {
	mu      sync.Mutex
	entries map[string]string
	writes  int // how many changes succeed until everything fails; negative: all
}

var errCrash = errors.New("the process ends here")

func newSystem() *fakeSystem { return &fakeSystem{entries: map[string]string{}, writes: -1} }

func (f *fakeSystem) Get(_ context.Context, service, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.entries[service+"/"+name]
	if !ok {
		return "", keystore.ErrNotFound
	}
	return text, nil
}

func (f *fakeSystem) Set(_ context.Context, service, name, text string) error {
	if len(text) > windowsLimit || len(name) > 500 {
		return errors.New("too large for Windows")
	}
	return f.change(func() { f.entries[service+"/"+name] = text })
}

func (f *fakeSystem) Delete(_ context.Context, service, name string) error {
	return f.change(func() { delete(f.entries, service+"/"+name) })
}

func (f *fakeSystem) change(do func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writes == 0 {
		return errCrash
	}
	f.writes--
	do()
	return nil
}

func weather() keystore.Key {
	return keystore.Key{Issuer: "https://mcp.contoso.com", Client: "bridge", Resource: "https://mcp.contoso.com/weather/mcp"}
}

func open(t *testing.T, cfg keystore.Config) *keystore.Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := keystore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *keystore.Store, key keystore.Key, value []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *keystore.Store, key keystore.Key, want []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
	}
}

func wantNothing(t *testing.T, s *keystore.Store, key keystore.Key) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("got %d bytes and %v, want ErrNotFound", len(got), err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestValuesOfEverySizeFitIntoSmallEntries(t *testing.T) {
	system := newSystem()
	s := open(t, keystore.Config{System: system})
	for _, size := range []int{0, 1, 1884, 1885, 1886, 1900, 1901, 5000, 100_000} {
		value := random(size)
		put(t, s, weather(), value)
		wantValue(t, s, weather(), value)
	}
	put(t, s, weather(), []byte("short"))
	if len(system.entries) != 1 {
		t.Errorf("parts of longer values are left: %v", slices.Collect(maps.Keys(system.entries)))
	}
}

func TestKeysAreKeptApart(t *testing.T) {
	s := open(t, keystore.Config{System: newSystem()})
	keys := []keystore.Key{
		weather(),
		{Issuer: "https://other.example", Client: "bridge", Resource: "https://mcp.contoso.com/weather/mcp"},
		{Issuer: "https://mcp.contoso.com", Client: "other", Resource: "https://mcp.contoso.com/weather/mcp"},
		{Issuer: "https://mcp.contoso.com", Client: "bridge", Resource: "https://mcp.contoso.com/notes/mcp"},
		{Issuer: "https://mcp.contoso.com bridge", Client: "", Resource: "https://mcp.contoso.com/weather/mcp"},
		{Issuer: strings.Repeat("i", 3000), Client: strings.Repeat("c", 3000), Resource: "https://" + strings.Repeat("r", 3000)},
	}
	for i, key := range keys {
		put(t, s, key, []byte{byte(i)})
	}
	for i, key := range keys {
		wantValue(t, s, key, []byte{byte(i)})
	}
}

func TestDeleteForgetsAllParts(t *testing.T) {
	system := newSystem()
	s := open(t, keystore.Config{System: system})
	put(t, s, weather(), random(9000))
	for range 2 { // the second time there is nothing to delete, which is no error
		if err := s.Delete(t.Context(), weather()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{}, system.entries); diff != "" {
		t.Error(diff)
	}
	wantNothing(t, s, weather())
}

// A crash at any moment leaves the old value or the new one.
func TestCrashLeavesTheOldValueOrTheNewOne(t *testing.T) {
	before, after := random(4000), random(8000)
	for writes := range 12 {
		system := newSystem()
		s := open(t, keystore.Config{System: system})
		put(t, s, weather(), before)
		system.writes = writes
		err := s.Put(t.Context(), weather(), after)
		system.writes = -1
		got, readErr := s.Get(t.Context(), weather())
		if readErr != nil {
			t.Fatalf("crash after %d writes: %v", writes, readErr)
		}
		if !bytes.Equal(got, before) && !bytes.Equal(got, after) {
			t.Errorf("crash after %d writes left a mixture", writes)
		}
		if err == nil && !bytes.Equal(got, after) {
			t.Errorf("%d writes were enough for success, and the old value is still there", writes)
		}
	}
}

func TestDamagedPartsAreNotFound(t *testing.T) {
	system := newSystem()
	s := open(t, keystore.Config{System: system})
	put(t, s, weather(), random(4000))
	for name := range system.entries {
		if strings.Contains(name, " part ") {
			system.entries[name] = "x"
		}
	}
	wantNothing(t, s, weather())
	put(t, s, weather(), []byte("new"))
	wantValue(t, s, weather(), []byte("new"))
}

func TestEntryOfSomebodyElseIsNotFound(t *testing.T) {
	system := newSystem()
	s := open(t, keystore.Config{System: system})
	put(t, s, weather(), []byte("ours"))
	for name := range system.entries {
		for _, foreign := range []string{"", "a password", "genkan-1 parts x -1 y", "genkan-1 parts x 99999999 y", "genkan-1 parts"} {
			system.entries[name] = foreign
			wantNothing(t, s, weather())
		}
	}
}

// Without a key store the key lies in the kernel, and no file holds it or the value.
func TestWithoutKeyStoreFilesAreSealedUnderTheKernelsKey(t *testing.T) {
	dir := t.TempDir()
	s, err := keystore.Open(t.Context(), keystore.Config{Dir: dir, NoSystem: true})
	var none *keystore.NoKeyStoreError
	if errors.As(err, &none) {
		// This kernel gives no keyring to this process (a container without the keyctl calls).
		if none.Kernel == nil {
			t.Fatal("refused without saying why")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Where(), "kernel's keyring") {
		t.Errorf("it does not say where the key lies: %s", s.Where())
	}
	value := []byte("gkr_a_refresh_token")
	put(t, s, weather(), value)
	again := open(t, keystore.Config{Dir: dir, NoSystem: true})
	wantValue(t, again, weather(), value)
	wantNothing(t, again, keystore.Key{Issuer: "other"})
	assertFiles(t, dir, value)
}

// Where there is no safe place, it says so and wants to be told twice.
func TestWithoutKeyStoreAndKernelItRefusesUnlessToldOtherwise(t *testing.T) {
	dir := t.TempDir()
	cfg := keystore.Config{Dir: dir, NoSystem: true, NoKernel: true}
	_, err := keystore.Open(t.Context(), cfg)
	var none *keystore.NoKeyStoreError
	if !errors.As(err, &none) {
		t.Fatalf("got %v, want a NoKeyStoreError", err)
	}
	for _, word := range []string{"no safe place for tokens", "Secret Service", dir, "key beside them"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
	cfg.InsecureFile = true
	s := open(t, cfg)
	if !strings.Contains(s.Where(), "INSECURELY") {
		t.Errorf("it does not say that this is insecure: %s", s.Where())
	}
	value := []byte("gkr_a_refresh_token")
	put(t, s, weather(), value)
	wantValue(t, open(t, cfg), weather(), value)
	assertFiles(t, dir, value)
}

func TestSealedFileOpensOnlyUnderItsOwnName(t *testing.T) {
	dir := t.TempDir()
	cfg := keystore.Config{Dir: dir, NoSystem: true, NoKernel: true, InsecureFile: true}
	s := open(t, cfg)
	other := weather()
	other.Client = "other"
	put(t, s, weather(), []byte("for one"))
	put(t, s, other, []byte("for the other"))
	files, err := filepath.Glob(filepath.Join(dir, "sealed", "*.sealed"))
	if err != nil || len(files) != 2 {
		t.Fatalf("want two files: %v %v", files, err)
	}
	first, _ := os.ReadFile(files[0])
	if err := os.WriteFile(files[1], first, 0o600); err != nil {
		t.Fatal(err)
	}
	a, errA := s.Get(t.Context(), weather())
	b, errB := s.Get(t.Context(), other)
	if (errA == nil) == (errB == nil) {
		t.Errorf("a sealed file was moved and both open, or none: %q %v, %q %v", a, errA, b, errB)
	}
}

func TestKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	cfg := keystore.Config{Dir: t.TempDir(), NoSystem: true, NoKernel: true, InsecureFile: true}
	open(t, cfg)
	if err := os.Chmod(filepath.Join(cfg.Dir, "insecure.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("got %v", err)
	}
}

func TestFolderThatOthersMayWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	if _, err := keystore.Open(t.Context(), keystore.Config{Dir: dir, System: newSystem()}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("got %v", err)
	}
}

// In a real Secret Service, values are found there and nowhere on the disk.
func TestSecretServiceHoldsValuesAndTheDiskDoesNot(t *testing.T) {
	session := desktop.Start(t)
	for _, variable := range session.Env {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	s := open(t, keystore.Config{Dir: dir, Service: "genkan test"})
	if want := "in the key store of your system"; s.Where() != want {
		t.Fatalf("values are kept %s, want %s", s.Where(), want)
	}
	value := []byte("gkr_" + strings.Repeat("refresh", 700))
	put(t, s, weather(), value)
	wantValue(t, open(t, keystore.Config{Dir: dir, Service: "genkan test"}), weather(), value)
	assertFiles(t, dir, []byte("gkr_refresh"))
	assertFiles(t, session.Home, []byte("gkr_refresh"))
	if err := s.Delete(t.Context(), weather()); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, s, weather())
}

// assertFiles looks into every file below dir: none holds the secret, none can be read by others.
func assertFiles(t *testing.T, dir string, secret []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, secret) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
