package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/redis/go-redis/v9"
)

// batch is how many index entries are read at once.
const batch = 200

// List returns records in the order of their IDs.
func (s *Store) List(ctx context.Context, kind, owner, after string, limit int) ([]store.Record, error) {
	var found []store.Record
	for len(found) < limit {
		ids, err := s.ids(ctx, kind, owner, after, min(limit-len(found), batch))
		if err != nil || len(ids) == 0 {
			return found, err
		}
		records, err := s.getAll(ctx, kind, owner, ids)
		if err != nil {
			return nil, err
		}
		found = append(found, records...)
		after = ids[len(ids)-1]
	}
	return found, nil
}

// ids merges the next entries of all shards.
func (s *Store) ids(ctx context.Context, kind, owner, after string, limit int) ([]string, error) {
	pipe := s.db.Pipeline()
	pages := make([]*redis.StringSliceCmd, shards)
	for n := range shards {
		shard := s.keys.shard(n)
		index := kindIndex(shard, kind)
		r := redis.ZRangeBy{Min: "(" + after, Max: "+", Count: int64(limit)}
		if after == "" {
			r.Min = "-"
		}
		if owner != "" {
			index = ownerIndex(shard, kind)
			r.Min = "(" + ownerMember(owner, after)
			r.Max = "(" + url.QueryEscape(owner) + ";" // the byte after the colon
		}
		pages[n] = pipe.ZRangeByLex(ctx, index, &r)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	var ids []string
	for _, page := range pages {
		for _, id := range page.Val() {
			if owner != "" {
				_, id = splitMember(id)
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}

// getAll reads records by their IDs, leaves out those that are gone, and prunes their entries.
func (s *Store) getAll(ctx context.Context, kind, owner string, ids []string) ([]store.Record, error) {
	pipe := s.db.Pipeline()
	answers := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HMGet(ctx, s.keys.record(kind, id), recordFields()...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	var found []store.Record
	for i, id := range ids {
		r, err := parseRecord(kind, id, answers[i].Val())
		switch {
		case errors.Is(err, store.ErrNotFound):
			if err := s.prune(ctx, kind, owner, id); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case owner == "" || r.Owner == owner: // it may have changed hands since
			found = append(found, r)
		}
	}
	return found, nil
}

func (s *Store) prune(ctx context.Context, kind, owner, id string) error {
	err := s.scripts.prune.Run(ctx, s.db, s.keys.of(kind, id), id, expiryMember(kind, id), ownerMember(owner, id)).Err()
	if err != nil {
		return fmt.Errorf("prune an index: %w", err)
	}
	return nil
}

// DeleteOwner removes every record of a kind that belongs to owner, one by one.
func (s *Store) DeleteOwner(ctx context.Context, kind, owner string) (deleted int, err error) {
	if owner == "" {
		return 0, errors.New("store: no owner to delete")
	}
	for after := ""; ; {
		ids, err := s.ids(ctx, kind, owner, after, batch)
		if err != nil || len(ids) == 0 {
			return deleted, err
		}
		for _, id := range ids {
			done, err := s.removeIndexed(ctx, kind, id, ownerMember(owner, id), "")
			if err != nil {
				return deleted, err
			}
			deleted += done
			after = id
		}
	}
}

// Sweep removes every record that expired before now, shard by shard.
func (s *Store) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	before := strconv.FormatInt(now.UnixMilli(), 10)
	for n := range shards {
		index := expiryIndex(s.keys.shard(n))
		for {
			members, err := s.db.ZRangeByScore(ctx, index, &redis.ZRangeBy{Min: "-inf", Max: "(" + before, Count: batch}).Result()
			if err != nil {
				return swept, fmt.Errorf("sweep records: %w", err)
			}
			if len(members) == 0 {
				break
			}
			for _, member := range members {
				done, err := s.sweepOne(ctx, index, member, before)
				if err != nil {
					return swept, err
				}
				swept += done
			}
		}
	}
	return swept, nil
}

// sweepOne removes a record that is still expired, or the entry that names none.
func (s *Store) sweepOne(ctx context.Context, index, member, before string) (int, error) {
	escaped, id := splitMember(member)
	kind, err := url.QueryUnescape(escaped)
	if err != nil || s.keys.of(kind, id)[3] != index {
		return 0, s.db.ZRem(ctx, index, member).Err() // nothing of ours
	}
	return s.removeIndexed(ctx, kind, id, "", before)
}

// removeIndexed removes a record that an index named, if it still is what the index said.
func (s *Store) removeIndexed(ctx context.Context, kind, id, owner, before string) (int, error) {
	_, err := s.remove(ctx, kind, id, owner, before)
	switch {
	case err == nil:
		return 1, nil
	case errors.Is(err, store.ErrNotFound):
		return 0, s.pruneMember(ctx, kind, id, owner)
	case errors.Is(err, store.ErrConflict):
		return 0, nil
	}
	return 0, err
}

func (s *Store) pruneMember(ctx context.Context, kind, id, owner string) error {
	return s.scripts.prune.Run(ctx, s.db, s.keys.of(kind, id), id, expiryMember(kind, id), owner).Err()
}

// remove runs the script that removes a record and returns it: store.ErrNotFound if it is gone, and
// store.ErrConflict if it is not of this owner or did not expire before.
func (s *Store) remove(ctx context.Context, kind, id, owner, before string) (store.Record, error) {
	result, err := s.run(ctx, s.scripts.remove, s.keys.of(kind, id), id, expiryMember(kind, id), owner, before)
	if err != nil {
		return store.Record{}, fmt.Errorf("remove record: %w", err)
	}
	switch answer := result.(type) {
	case []any:
		return parseRecord(kind, id, answer[:min(len(answer), 4)])
	case int64:
		switch outcome(answer) {
		case isGone:
			return store.Record{}, store.ErrNotFound
		case wasChanged:
			return store.Record{}, store.ErrConflict
		default: // tooLate; the script answers nothing else
		}
	}
	return store.Record{}, fmt.Errorf("remove record: %w", errLate)
}
