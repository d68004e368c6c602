package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/genkan-mcp/genkan/internal/store"
)

const (
	kindTalk = "console_talk"
	// mostTurns and mostTalk bound a conversation; the oldest goes first.
	mostTurns = 120
	mostTalk  = 512 << 10
)

// talk is a conversation. It lies sealed in the store, so that no page can put words into anybody's mouth, and ends with
// the console session.
type talk struct {
	Turns    []turn
	revision int64
	stored   bool
}

// speakers of turns.
const (
	byPerson = "person"
	byModel  = "model"
)

// turn is what somebody said. The calls of the model stand in its turn, with what came of them.
type turn struct {
	By      string
	Text    string
	Calls   []toolCall
	Asking  *asking `json:",omitempty"` // of the built-in responder
	Stopped bool    `json:",omitempty"`
}

// states of a call.
const (
	callAllowed  = "allowed"  // it is carried out next
	callWaiting  = "waiting"  // for the person's yes
	callDone     = "done"     // the tool answered, well or badly
	callDeclined = "declined" // the person said no
	callUnknown  = "unknown"  // there is no such tool, for this person
)

// toolCall is a call that the model wants.
type toolCall struct {
	ID        string // the model's
	Name      string // as the model calls the tool
	Server    string
	Tool      string
	Arguments string // JSON
	ReadOnly  bool
	State     string
	Outcome   outcome
}

// waits says whether the conversation waits for a decision of the person.
func (t *talk) waits() bool {
	if len(t.Turns) == 0 {
		return false
	}
	for _, call := range t.Turns[len(t.Turns)-1].Calls {
		if call.State == callWaiting {
			return true
		}
	}
	return false
}

func (k *Console) readTalk(ctx context.Context, s *session) (*talk, error) {
	record, err := k.Store.Get(ctx, kindTalk, s.id)
	if errors.Is(err, store.ErrNotFound) {
		return &talk{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read conversation: %w", err)
	}
	t := &talk{}
	if err := k.unseal(kindTalk, s.id, record.Value, t); err != nil {
		t = &talk{} // it can't be read any more: begin anew
	}
	t.revision, t.stored = record.Revision, true
	return t, nil
}

// saveTalk writes the conversation, unless another window changed it meanwhile.
func (k *Console) saveTalk(ctx context.Context, s *session, t *talk) error {
	t.trim()
	sealed, err := k.seal(kindTalk, s.id, t)
	if err != nil {
		return fmt.Errorf("write conversation: %w", err)
	}
	record := store.Record{Kind: kindTalk, ID: s.id, Owner: s.Identity.Key(), Value: sealed, Expires: s.Began.Add(absoluteLife), Revision: t.revision}
	if !t.stored {
		if err = k.Store.Create(ctx, record); err == nil {
			var now store.Record
			now, err = k.Store.Get(ctx, kindTalk, s.id)
			t.revision, t.stored = now.Revision, true
		}
	} else {
		t.revision, err = k.Store.Swap(ctx, record)
	}
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
		return &notice{Status: http.StatusConflict, Title: "The conversation went on elsewhere", Text: "Another window of yours changed it meanwhile.", Remedy: "Load the page again."}
	}
	if err != nil {
		return fmt.Errorf("write conversation: %w", err)
	}
	return nil
}

// trim forgets the beginning of a conversation that grew too long. A conversation begins with the person.
func (t *talk) trim() {
	size := 0
	keep := len(t.Turns)
	for keep > 0 && len(t.Turns)-keep < mostTurns {
		encoded, err := json.Marshal(t.Turns[keep-1])
		if err != nil || size+len(encoded) > mostTalk {
			break
		}
		size += len(encoded)
		keep--
	}
	for keep < len(t.Turns) && keep > 0 && t.Turns[keep].By != byPerson {
		keep++
	}
	t.Turns = t.Turns[keep:]
}
