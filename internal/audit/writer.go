package audit

import (
	"bytes"
	"log/slog"
	"time"
)

// batchSize is how many bytes of lines are written at once at most, about.
const batchSize = 64 << 10

// write is the goroutine that owns the chain. It ends when the log is closed.
func (l *Log) write() {
	defer close(l.done)
	head := l.Head()
	var batch []byte
	for {
		e, ok := l.next()
		if !ok {
			return
		}
		batch, head = appendLine(batch[:0], head, &e)
		batch, head = l.more(batch, head)
		if !l.flush(batch) {
			return
		}
		l.head.Store(&head)
		if cap(batch) > 4*batchSize {
			batch = nil // one large event shall not be paid for ever after
		}
	}
}

// next waits for an event; after Close it empties the queue and then says no.
func (l *Log) next() (Event, bool) {
	select {
	case e := <-l.queue:
		return e, true
	case <-l.stop:
	}
	select {
	case e := <-l.queue:
		return e, true
	default:
		return Event{}, false
	}
}

// more adds what waits already, so that a busy log costs one write for many events.
func (l *Log) more(batch []byte, head Head) ([]byte, Head) {
	for len(batch) < batchSize {
		select {
		case e := <-l.queue:
			batch, head = appendLine(batch, head, &e)
		default:
			return batch, head
		}
	}
	return batch, head
}

// flush gives the batch to every sink, as often as it takes. It says no when the log was abandoned.
func (l *Log) flush(batch []byte) bool {
	for _, s := range l.sinks {
		for attempt := 0; ; attempt++ {
			l.writing.Store(l.now().UnixNano())
			err := s.Write(batch)
			l.writing.Store(0)
			if err == nil {
				break
			}
			if !l.retry(err, attempt) {
				return false
			}
		}
	}
	if l.failure.Swap(nil) != nil {
		l.logger.Info("the audit log can be written again")
	}
	return true
}

// retry notes the failure and waits before the next attempt, a little longer each time.
func (l *Log) retry(err error, attempt int) bool {
	if l.failure.Swap(&err) == nil {
		l.logger.Error("the audit log can't be written; calls are refused until it can", slog.Any("error", err))
	}
	timer := time.NewTimer(min(10*time.Millisecond<<min(attempt, 10), time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.abandon:
		return false
	}
}

// lines counts whole lines.
func lines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }
