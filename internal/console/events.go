package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// events is a stream of server-sent events to one browser.
type events struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	mu         sync.Mutex // guards w
	stop       chan struct{}
	beat       sync.WaitGroup
}

// openEvents begins a stream. While nothing happens, a comment now and then keeps proxies from ending it.
func (k *Console) openEvents(w http.ResponseWriter, r *http.Request) *events {
	h := w.Header()
	k.secure(h)
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	e := &events{w: w, controller: http.NewResponseController(w), stop: make(chan struct{})}
	_ = e.controller.SetWriteDeadline(time.Time{}) // a recorder has none
	w.WriteHeader(http.StatusOK)
	_ = e.controller.Flush()
	e.beat.Go(func() {
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				e.write(": still here\n\n")
			case <-e.stop:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	return e
}

// send writes one event. JSON has no line feeds of its own, so one data line is enough.
func (e *events) send(name string, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		return
	}
	e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, body))
}

func (e *events) write(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, _ = e.w.Write([]byte(text)) // who has left hears nothing
	_ = e.controller.Flush()
}

func (e *events) close() {
	close(e.stop)
	e.beat.Wait()
}
