package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
)

// maxQueued bounds what waits for a client that reads slowly: others share the connection to the server behind, so
// nobody may hold it up.
const maxQueued = 20 << 20

var errTooSlow = errors.New("the client reads too slowly")

// outlet is the body of an answer that is written message by message, as a stream of events.
type outlet struct {
	leave func() // called once, when the reader closes

	mu     sync.Mutex // above the rest
	wake   chan struct{}
	queue  [][]byte
	size   int
	closed bool // nothing more is written
	left   bool // nobody reads any more
	err    error
	stop   func() bool // no longer waits for the end of the request
}

var _ io.ReadCloser = (*outlet)(nil)

func newOutlet(leave func()) *outlet { return &outlet{leave: leave, wake: make(chan struct{}, 1)} }

// until closes it when the request ends.
func (o *outlet) until(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = o.Close() })
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stop = stop
}

// deliver adds a message.
func (o *outlet) deliver(message []byte) {
	const head, tail = "event: message\ndata: ", "\n\n"
	event := make([]byte, 0, len(head)+len(message)+len(tail))
	event = append(append(append(event, head...), message...), tail...)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.left {
		return
	}
	if o.size += len(event); o.size > maxQueued {
		o.closed, o.err, o.queue = true, errTooSlow, nil
	} else {
		o.queue = append(o.queue, event)
	}
	o.signal()
}

// end says that there is nothing more.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.signal()
}

func (o *outlet) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Read gives what there is, and waits when there is nothing.
func (o *outlet) Read(p []byte) (int, error) {
	for {
		n, err := o.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		<-o.wake
	}
}

func (o *outlet) take(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.left:
		return 0, io.ErrClosedPipe
	case len(o.queue) > 0:
		n := copy(p, o.queue[0])
		if o.queue[0] = o.queue[0][n:]; len(o.queue[0]) == 0 {
			o.queue = o.queue[1:]
		}
		o.size -= n
		return n, nil
	case o.err != nil:
		return 0, o.err
	case o.closed:
		return 0, io.EOF
	}
	return 0, nil
}

// Close says that nobody reads any more.
func (o *outlet) Close() error {
	o.mu.Lock()
	was, stop := o.left, o.stop
	o.left, o.queue = true, nil
	o.signal()
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
	if !was && o.leave != nil {
		o.leave()
	}
	return nil
}
