package authserver_test

import (
	"context"
	"errors"

	"github.com/genkan-mcp/genkan/internal/store"
)

type storeUnderTest = store.Store

var errDown = errors.New("connection refused")

func (b *brokenStore) fault() error {
	if b.down.Load() {
		return errDown
	}
	return nil
}

func (b *brokenStore) Create(ctx context.Context, r store.Record) error {
	if err := b.fault(); err != nil {
		return err
	}
	return b.storeUnderTest.Create(ctx, r)
}

func (b *brokenStore) Get(ctx context.Context, kind, id string) (store.Record, error) {
	if err := b.fault(); err != nil {
		return store.Record{}, err
	}
	return b.storeUnderTest.Get(ctx, kind, id)
}

func (b *brokenStore) Take(ctx context.Context, kind, id string) (store.Record, error) {
	if err := b.fault(); err != nil {
		return store.Record{}, err
	}
	return b.storeUnderTest.Take(ctx, kind, id)
}

func (b *brokenStore) List(ctx context.Context, kind, owner, after string, limit int) ([]store.Record, error) {
	if err := b.fault(); err != nil {
		return nil, err
	}
	return b.storeUnderTest.List(ctx, kind, owner, after, limit)
}
