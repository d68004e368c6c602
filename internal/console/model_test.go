package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// wish is a call that the scripted model wants.
type wish struct{ ID, Name, Arguments string }

// line is what the scripted model says in one answer.
type line struct {
	Words []string
	Calls []wish
}

// scripted is a server that speaks OpenAI's chat completions and says what the test wrote.
type scripted struct {
	t    *testing.T
	URL  string
	mu   sync.Mutex // guards what follows
	plan []line
	got  []string // bodies of the requests
	auth []string
}

func script(t *testing.T, plan ...line) *scripted {
	t.Helper()
	s := &scripted{t: t, plan: plan}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/v1"
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got = append(s.got, string(body))
	s.auth = append(s.auth, r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("Api-Key"))
	var next line
	if len(s.plan) > 0 {
		next, s.plan = s.plan[0], s.plan[1:]
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range next.Words {
		chunk(w, map[string]any{"content": word}, "")
	}
	for i, call := range next.Calls {
		half := len(call.Arguments) / 2
		chunk(w, map[string]any{"tool_calls": []any{map[string]any{"index": i, "id": call.ID, "type": "function", "function": map[string]any{"name": call.Name, "arguments": call.Arguments[:half]}}}}, "")
		chunk(w, map[string]any{"tool_calls": []any{map[string]any{"index": i, "function": map[string]any{"arguments": call.Arguments[half:]}}}}, "")
	}
	chunk(w, map[string]any{}, "stop")
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

func chunk(w http.ResponseWriter, delta map[string]any, finish string) {
	choice := map[string]any{"index": 0, "delta": delta}
	if finish != "" {
		choice["finish_reason"] = finish
	}
	body, _ := json.Marshal(map[string]any{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []any{choice}})
	_, _ = fmt.Fprintf(w, "data: %s\n\n", body)
	w.(http.Flusher).Flush()
}

func (s *scripted) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

func (s *scripted) chat() console.Chat {
	return console.Chat{Endpoint: s.URL, Model: "scripted", Key: secret.NewText("key-of-the-model")}
}

// event is one event that the page hears.
type event struct {
	Name string
	Data map[string]any
}

// chatAs posts to the chat as its script does, and returns what it hears.
func (v *visitor) chatAs(path string, form url.Values) []event {
	v.h.t.Helper()
	got := v.post(path, form, "X-Genkan-Form", v.form(), "Accept", "text/event-stream")
	if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/event-stream") {
		v.h.t.Fatalf("%s: %d %s", path, got.Status, got.Body)
	}
	var heard []event
	for block := range strings.SplitSeq(got.Body, "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		if !ok {
			continue
		}
		e := event{Name: name}
		if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
			v.h.t.Fatal(err)
		}
		heard = append(heard, e)
	}
	return heard
}

func (v *visitor) say(text string) []event {
	v.h.t.Helper()
	return v.chatAs("/console/chat", url.Values{"text": {text}})
}

// told is what was heard, in short.
func told(heard []event) string {
	var b strings.Builder
	for _, e := range heard {
		switch e.Name {
		case "delta":
			fmt.Fprintf(&b, "%s", e.Data["text"])
		case "call":
			fmt.Fprintf(&b, "[%s %s]", e.Data["tool"], e.Data["state"])
		case "result":
			outcome, _ := e.Data["outcome"].(map[string]any)
			fmt.Fprintf(&b, "[%s %v]", e.Data["state"], map[bool]string{true: "failed", false: "well"}[outcome["failed"] == true])
		case "problem":
			fmt.Fprintf(&b, "[problem %s]", e.Data["title"])
		case "end":
			fmt.Fprintf(&b, "[end %v]", e.Data["waiting"])
		}
	}
	return b.String()
}
