package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnavailable says that events can't be written down at the moment. Whoever gets it must not go on with what
// the event tells.
var ErrUnavailable = errors.New("audit: the log can't be written")

// Sink is where lines go. Write takes whole lines, all or none: after an error the same lines come again.
// It is called by one goroutine at a time.
type Sink interface {
	Write(lines []byte) error
	Close() error
}

// continued is a sink that knows where the chain stood when the process began.
type continued interface {
	Head() Head
}

// Config says where a log writes. At least one sink; all of them get every line.
type Config struct {
	Sinks   []Sink
	MaxWait time.Duration // how long a full queue or a blocked sink is waited for; zero: 2 s
	Queue   int           // how many events wait at most; zero: 4096
	Now     func() time.Time
	Logger  *slog.Logger // says when the sinks begin and cease to fail
}

// Log is an append-only chain of events. It is safe for concurrent use.
type Log struct {
	sinks   []Sink
	maxWait time.Duration
	now     func() time.Time
	logger  *slog.Logger
	queue   chan Event
	stop    chan struct{} // closed by Close: write what waits, then end
	abandon chan struct{} // closed when Close gives up: end without writing
	done    chan struct{} // closed by the writer when it ends

	writing atomic.Int64          // when the write that is under way began, in Unix nanoseconds; 0: none
	failure atomic.Pointer[error] // why the last write failed, until one succeeds

	head atomic.Pointer[Head] // the end of what every sink has

	mu     sync.RWMutex // above closed; held for reading while something is being recorded
	closed bool
}

// New begins to write, where the sinks left off.
func New(c Config) (*Log, error) {
	if len(c.Sinks) == 0 {
		return nil, errors.New("audit: a log without a sink would record nothing")
	}
	if c.MaxWait == 0 {
		c.MaxWait = 2 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		sinks: c.Sinks, maxWait: c.MaxWait, now: c.Now, logger: c.Logger,
		queue: make(chan Event, c.Queue),
		stop:  make(chan struct{}), abandon: make(chan struct{}), done: make(chan struct{}),
	}
	head := start()
	for _, s := range c.Sinks {
		if s, ok := s.(continued); ok && s.Head().Seq > head.Seq {
			head = s.Head()
		}
	}
	l.head.Store(&head)
	go l.write()
	return l, nil
}

// Record hands over an event. It returns once the event is in the queue, and ErrUnavailable when the queue stayed
// full for MaxWait.
func (l *Log) Record(ctx context.Context, e Event) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	l.mu.RLock()
	defer l.mu.RUnlock() // Close waits for those who are here
	if l.closed {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	select {
	case l.queue <- e:
		return nil
	default:
	}
	timer := time.NewTimer(l.maxWait)
	defer timer.Stop()
	select {
	case l.queue <- e:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: %d events wait already", ErrUnavailable, cap(l.queue))
	case <-l.stop:
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// Ready says whether what is recorded now can be written: nil, or ErrUnavailable with the cause. Ask it before an
// act that must not go unrecorded.
func (l *Log) Ready() error {
	if cause := l.failure.Load(); cause != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, *cause)
	}
	if since := l.writing.Load(); since != 0 && l.now().Sub(time.Unix(0, since)) > l.maxWait {
		return fmt.Errorf("%w: a sink has been blocking for longer than %v", ErrUnavailable, l.maxWait)
	}
	if len(l.queue) == cap(l.queue) {
		return fmt.Errorf("%w: %d events wait already", ErrUnavailable, cap(l.queue))
	}
	return nil
}

// Head is the end of the chain as written so far.
func (l *Log) Head() Head { return *l.head.Load() }

// Close writes what waits and closes the sinks. When ctx ends first, what could not be written is lost, and the
// error says so.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	select {
	case <-l.done:
	case <-ctx.Done():
		close(l.abandon)
		return fmt.Errorf("%w: closed with %d events unwritten: %w", ErrUnavailable, len(l.queue), ctx.Err())
	}
	var errs []error
	for _, s := range l.sinks {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
