package entra

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	answersAtMost = 1024    // per generation
	answerLimit   = 1 << 20 // bytes of one that is kept
)

// answers keeps what Graph answered for a while. Failures are not kept.
type answers struct {
	now    func() time.Time
	flight singleflight.Group

	kept *recent[string, answer]
}

type answer struct {
	body    []byte
	fetched time.Time
}

func newAnswers(now func() time.Time) *answers {
	return &answers{now: now, kept: newRecent[string, answer](answersAtMost)}
}

// get returns an answer no older than age, and how old it is. Callers at the same time share one request.
func (a *answers) get(ctx context.Context, key string, age time.Duration, ask func(context.Context) ([]byte, error)) ([]byte, time.Duration, error) {
	if known, ok := a.kept.get(key); ok && a.now().Sub(known.fetched) < age {
		return known.body, a.now().Sub(known.fetched), nil
	}
	result := a.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), acquireTimeout)
		defer cancel()
		body, err := ask(ctx)
		if err == nil && age > 0 && len(body) <= answerLimit {
			a.kept.put(key, answer{body: body, fetched: a.now()})
		}
		return body, err
	})
	select {
	case <-ctx.Done():
		return nil, 0, unreachable("ask Microsoft Graph", ctx.Err())
	case r := <-result:
		body, _ := r.Val.([]byte)
		return body, 0, r.Err
	}
}
