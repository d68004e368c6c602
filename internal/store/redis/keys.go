package redis

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

// shards is how many hash slots the records are spread over. It can't change: a record would not be found.
const shards = 16

// keys names everything that lies in Redis. The part in braces decides the slot (Redis cluster
// specification, hash tags).
//
//	{genkan:7}:r:KIND:ID   a record, as a hash
//	{genkan:7}:k:KIND      the IDs of a kind, sorted by their bytes
//	{genkan:7}:o:KIND      OWNER:ID of those that have an owner, sorted by their bytes
//	{genkan:7}:x           KIND:ID of those that expire, sorted by when
type keys struct{ prefix string }

func (k keys) shard(n int) string { return fmt.Sprintf("{%s:%d}:", k.prefix, n) }

func (k keys) shardOf(kind, id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(kind + ":" + id))
	return k.shard(int(h.Sum32() % shards))
}

func (k keys) record(kind, id string) string {
	return k.shardOf(kind, id) + "r:" + url.QueryEscape(kind) + ":" + id
}

// of is every key that a change to a record touches, in the order that the scripts expect.
func (k keys) of(kind, id string) []string {
	shard := k.shardOf(kind, id)
	return []string{k.record(kind, id), kindIndex(shard, kind), ownerIndex(shard, kind), expiryIndex(shard)}
}

func kindIndex(shard, kind string) string  { return shard + "k:" + url.QueryEscape(kind) }
func ownerIndex(shard, kind string) string { return shard + "o:" + url.QueryEscape(kind) }
func expiryIndex(shard string) string      { return shard + "x" }

// ownerMember and expiryMember escape their first part, which so has no colon.
func ownerMember(owner, id string) string {
	if owner == "" {
		return ""
	}
	return url.QueryEscape(owner) + ":" + id
}

func expiryMember(kind, id string) string { return url.QueryEscape(kind) + ":" + id }

func splitMember(member string) (escaped, id string) {
	escaped, id, _ = strings.Cut(member, ":")
	return escaped, id
}

// recordFields are the fields of a record's hash: owner, value, expiry in milliseconds, revision. A fifth, m,
// is its member of the owner index, for the scripts.
func recordFields() []string { return []string{"o", "v", "x", "n"} }

// parseRecord reads what HMGET gave for recordFields.
func parseRecord(kind, id string, fields []any) (store.Record, error) {
	if len(fields) != 4 || fields[3] == nil {
		return store.Record{}, store.ErrNotFound
	}
	var text [4]string
	for i, field := range fields {
		var ok bool
		if text[i], ok = field.(string); !ok {
			return store.Record{}, fmt.Errorf("record %s %s is torn", kind, id)
		}
	}
	r := store.Record{Kind: kind, ID: id, Owner: text[0], Value: []byte(text[1])}
	var err, expiryErr error
	if r.Revision, err = strconv.ParseInt(text[3], 10, 64); text[2] != "" {
		var milliseconds int64
		milliseconds, expiryErr = strconv.ParseInt(text[2], 10, 64)
		r.Expires = time.UnixMilli(milliseconds).UTC()
	}
	if err := errors.Join(err, expiryErr); err != nil {
		return store.Record{}, fmt.Errorf("record %s %s is torn: %w", kind, id, err)
	}
	return r, nil
}
