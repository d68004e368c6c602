package entra

import (
	"context"
	"time"
)

const (
	answersAtMost = 1024    // per generation
	answerLimit   = 1 << 20 // bytes of one that is kept
)

// answers keeps what Graph answered for a while. Failures are not kept.
type answers struct {
	now    func() time.Time
	flight *flights[[]byte]

	kept *recent[string, answer]
}

type answer struct {
	body    []byte
	fetched time.Time
}

func newAnswers(now func() time.Time) *answers {
	return &answers{now: now, flight: newFlights[[]byte](), kept: newRecent[string, answer](answersAtMost)}
}

// get returns an answer no older than age, and how old it is. Callers at the same time share one request.
func (a *answers) get(ctx context.Context, key string, age time.Duration, ask func(context.Context) ([]byte, error)) ([]byte, time.Duration, error) {
	if known, ok := a.kept.get(key); ok && a.now().Sub(known.fetched) < age {
		return known.body, a.now().Sub(known.fetched), nil
	}
	body, err := a.flight.share(ctx, key, func(ctx context.Context) ([]byte, error) {
		body, err := ask(ctx)
		if err == nil && age > 0 && len(body) <= answerLimit {
			a.kept.put(key, answer{body: body, fetched: a.now()})
		}
		return body, err
	})
	return body, 0, explainFailure("ask Microsoft Graph", err)
}
