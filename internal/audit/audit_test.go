package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(target string) audit.Event {
	return audit.Event{
		Time: time.Date(2026, 8, 1, 12, 0, 0, 5, time.UTC), Kind: audit.Call, Decision: audit.Allowed,
		Tenant: "t", Object: "o", Name: "Alice", Client: "c", Server: "weather", Method: "tools/call", Target: target,
		Rule: "servers.weather.rules[0]", Status: 200, Duration: 3 * time.Millisecond, RequestID: "r", SessionID: "s",
		Address: "192.0.2.1",
	}
}

// written records the events in a log of their own and returns its lines.
func written(t *testing.T, events ...audit.Event) []byte {
	t.Helper()
	sink := &audit.Memory{}
	log := newLog(t, audit.Config{Sinks: []audit.Sink{sink}})
	record(t, log, events...)
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sink.Bytes()
}

func newLog(t *testing.T, c audit.Config) *audit.Log {
	t.Helper()
	log, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func record(t *testing.T, log *audit.Log, events ...audit.Event) {
	t.Helper()
	for _, e := range events {
		if err := log.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALineSaysEverythingThatTheEventSays(t *testing.T) {
	want := event("get_\"forecast\"\n\u202ex\\")
	want.OnBehalfOf, want.Detail = "t/p", "an \x00 odd detail \u2028"
	want.Arguments = json.RawMessage(`{"city": "Kyoto"}`)
	want.Refusal = &policy.Refusal{Check: policy.CheckRule, Wanted: "a", Got: "b", Remedy: "c"}
	line := written(t, want)
	if n := bytes.Count(line, []byte("\n")); n != 1 {
		t.Fatalf("one event became %d lines", n)
	}
	var got audit.Event
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if bytes.ContainsAny(line[:len(line)-1], "\x00\n\u202e\u2028") {
		t.Errorf("a control character stands in the line as it is: %q", line)
	}
}

func TestArgumentsThatSpanLinesStayOnOne(t *testing.T) {
	e := event("x")
	e.Arguments = json.RawMessage("{\n\"a\":\r\n1}")
	if n := bytes.Count(written(t, e), []byte("\n")); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestAChainAsWrittenIsWhole(t *testing.T) {
	report, err := audit.Verify(bytes.NewReader(written(t, event("a"), event("b"), event("c"))))
	if err != nil {
		t.Fatal(err)
	}
	if report.Lines != 3 || !report.Whole() || report.Last.Seq != 3 {
		t.Errorf("report %+v", report)
	}
}

func TestVerifySaysTheFirstBrokenLine(t *testing.T) {
	intact := written(t, event("a"), event("b"), event("c"), event("d"))
	lines := bytes.SplitAfter(intact, []byte("\n"))[:4]
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	cases := []struct {
		name string
		data []byte
		line int
	}{
		{"a word changed", bytes.Replace(intact, []byte(`"target":"b"`), []byte(`"target":"x"`), 1), 3},
		{"a line removed", join(lines[0], lines[2], lines[3]), 2},
		{"a line twice", join(lines[0], lines[1], lines[1], lines[2]), 3},
		{"two lines swapped", join(lines[0], lines[2], lines[1], lines[3]), 2},
		{"white space added", bytes.Replace(intact, []byte(`"seq":2,`), []byte(`"seq": 2,`), 1), 3},
		{"another first line", join([]byte(`{"seq":1,"prev":"`+strings.Repeat("a", 64)+`"}`+"\n"), lines[1]), 1},
		{"an empty line", join(lines[0], []byte("\n"), lines[1]), 2},
		{"an unfinished line", intact[:len(intact)-1], 4},
		{"not a log", []byte("hello\n"), 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := audit.Verify(bytes.NewReader(c.data))
			broken, ok := errors.AsType[*audit.BrokenError](err)
			if !ok {
				t.Fatalf("Verify: %v, want a broken line", err)
			}
			if diff := cmp.Diff(c.line, broken.Line); diff != "" {
				t.Error(diff, broken)
			}
		})
	}
}

func openFile(t *testing.T, path string) *audit.File {
	t.Helper()
	f, err := audit.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func session(t *testing.T, path string, events ...audit.Event) {
	t.Helper()
	log := newLog(t, audit.Config{Sinks: []audit.Sink{openFile(t, path)}})
	record(t, log, events...)
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheChainGoesOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	session(t, path, event("a"), event("b"))
	session(t, path, event("c"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(bytes.NewReader(data))
	if err != nil || report.Lines != 3 || !report.Whole() {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestTheChainGoesOnAfterARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	session(t, path, event("a"), event("b"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	session(t, path, event("c"))
	var files []io.Reader
	for _, name := range []string{path + ".1", path} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, bytes.NewReader(data))
	}
	report, err := audit.Verify(io.MultiReader(files...))
	if err != nil || report.Lines != 3 || !report.Whole() {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestAFileMovedAwayWhileWritingIsLeftAndTheChainGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := newLog(t, audit.Config{Sinks: []audit.Sink{openFile(t, path)}})
		record(t, log, event("a"))
		synctest.Wait()
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		record(t, log, event("b"))
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(bytes.NewReader(second))
		if err != nil || report.Lines != 1 || report.After.Seq != 1 {
			t.Errorf("report %+v, %v", report, err)
		}
	})
}

func TestATornLastLineIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	session(t, path, event("a"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, `{"seq":2,"prev":"`...), 0o600); err != nil {
		t.Fatal(err)
	}
	session(t, path, event("b"))
	data, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := audit.Verify(bytes.NewReader(data)); err != nil || report.Lines != 2 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestALogThatEndsInSomethingElseIsNotContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenFile(path); err == nil {
		t.Error("OpenFile continues a file that is no audit log")
	}
}

// sick is a sink whose behaviour a test changes.
type sick struct {
	audit.Memory
	failing atomic.Bool
	blocked sync.RWMutex
}

func (s *sick) Write(lines []byte) error {
	s.blocked.RLock()
	defer s.blocked.RUnlock()
	if s.failing.Load() {
		return syscall.ENOSPC
	}
	return s.Memory.Write(lines)
}

func TestThreat36_AFullDiskRefusesUntilThereIsSpaceAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &sick{}
		log := newLog(t, audit.Config{Sinks: []audit.Sink{sink}, Queue: 2})
		sink.failing.Store(true)
		record(t, log, event("a"))
		synctest.Wait()
		if err := log.Ready(); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Ready with a full disk: %v", err)
		}
		record(t, log, event("b"), event("c"))
		began := time.Now()
		if err := log.Record(t.Context(), event("lost")); !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("Record with a full queue: %v", err)
		}
		if waited := time.Since(began); waited > 3*time.Second {
			t.Errorf("a full queue was waited for %v", waited)
		}
		sink.failing.Store(false)
		time.Sleep(2 * time.Second)
		if err := log.Ready(); err != nil {
			t.Errorf("Ready after there was space again: %v", err)
		}
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if report, err := audit.Verify(bytes.NewReader(sink.Bytes())); err != nil || report.Lines != 3 {
			t.Errorf("report %+v, %v", report, err)
		}
	})
}

func TestThreat36_ASinkThatBlocksRefusesAfterABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		log := newLog(t, audit.Config{Sinks: []audit.Sink{audit.NewStream(write)}})
		record(t, log, event("a"))
		synctest.Wait()
		if err := log.Ready(); err != nil {
			t.Errorf("Ready at once: %v", err)
		}
		time.Sleep(3 * time.Second)
		if err := log.Ready(); !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("Ready after 3 s: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := log.Close(ctx); !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("Close says nothing of what was lost: %v", err)
		}
		read.Close()
	})
}

func TestAShortWriteToAStreamGoesOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &shortWriter{}
		log := newLog(t, audit.Config{Sinks: []audit.Sink{audit.NewStream(w)}})
		record(t, log, event("a"), event("b"))
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if report, err := audit.Verify(&w.Buffer); err != nil || report.Lines != 2 {
			t.Errorf("report %+v, %v", report, err)
		}
	})
}

type shortWriter struct{ bytes.Buffer }

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) > 100 {
		n, _ := w.Buffer.Write(p[:100])
		return n, io.ErrShortWrite
	}
	return w.Buffer.Write(p)
}

func TestManyWritersMakeOneChain(t *testing.T) {
	sink := &audit.Memory{}
	log := newLog(t, audit.Config{Sinks: []audit.Sink{sink}, Queue: 16})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if err := log.Record(t.Context(), event("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(bytes.NewReader(sink.Bytes()))
	if err != nil || report.Lines != 1600 {
		t.Errorf("report %+v, %v", report, err)
	}
	if diff := cmp.Diff(report.Last, log.Head()); diff != "" {
		t.Error(diff)
	}
}

func TestAClosedLogRefuses(t *testing.T) {
	log := newLog(t, audit.Config{Sinks: []audit.Sink{&audit.Memory{}}})
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := log.Record(t.Context(), event("a")); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("Record after Close: %v", err)
	}
}

func FuzzVerifyNeverTakesAChangedByte(f *testing.F) {
	sink := &audit.Memory{}
	log, err := audit.New(audit.Config{Sinks: []audit.Sink{sink}})
	if err != nil {
		f.Fatal(err)
	}
	for _, target := range []string{"a", "b", "c"} {
		if err := log.Record(context.Background(), event(target)); err != nil {
			f.Fatal(err)
		}
	}
	if err := log.Close(context.Background()); err != nil {
		f.Fatal(err)
	}
	intact := sink.Bytes()
	want, err := audit.Verify(bytes.NewReader(intact))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, byte('x'))
	f.Add(len(intact)/2, byte('\n'))
	f.Add(len(intact)-1, byte(' '))
	f.Fuzz(func(t *testing.T, at int, b byte) {
		if at < 0 || at >= len(intact) || intact[at] == b {
			return
		}
		changed := bytes.Clone(intact)
		changed[at] = b
		got, err := audit.Verify(bytes.NewReader(changed))
		if err == nil && got.Last == want.Last {
			t.Errorf("byte %d changed to %q: nothing noticed", at, b)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	file, err := audit.OpenFile(filepath.Join(b.TempDir(), "audit.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	log, err := audit.New(audit.Config{Sinks: []audit.Sink{file}})
	if err != nil {
		b.Fatal(err)
	}
	e := event("get_forecast")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := log.Record(b.Context(), e); err != nil {
				b.Error(err)
			}
		}
	})
	if err := log.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
