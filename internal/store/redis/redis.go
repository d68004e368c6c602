// Package redis is a store that several replicas share: Redis 6.2 or newer, or Valkey, alone, behind
// sentinels, or as a cluster.
//
// A record and the index entries that find it lie in one hash slot and change in one script, so that no
// crash tears them apart. There are sixteen such shards; a cluster spreads them over its nodes. Nothing
// here has a time to live: only Sweep removes what expired.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience bounds each step of a call: to connect, to write, to wait for the answer. A store that is slower
// than this is a store that is down.
const patience = 2 * time.Second

// ACLRules is what an ACL user of the store must be allowed. In a cluster it needs ACLClusterRules too.
const (
	ACLRules = "-@all +ping +hello +info +time +wait +eval +evalsha +exists +del +hget +hmget +hset " +
		"+zadd +zrem +zrangebylex +zrangebyscore"
	ACLClusterRules = "+cluster|shards +cluster|slots +command +asking"
)

// Config says where Redis is. Addrs is required.
type Config struct {
	Addrs    []string // one server; several nodes of a cluster; or sentinels, with MasterName
	Username string   // an ACL user, with ACLRules on the keys ~{<prefix>:*
	Password secret.Text
	DB       int
	TLS      *tls.Config // nil: in the clear
	Prefix   string      // of every key; "genkan"

	Cluster    bool
	MasterName string // behind sentinels
	// Replicas is how many replicas must have a change before it counts; 0 leaves that to the server. With
	// one or more, a failover loses nothing that was answered. Not with Cluster.
	Replicas int
}

// Store is a store in Redis.
type Store struct {
	db       redis.UniversalClient
	single   *redis.Client // db, unless it is a cluster
	keys     keys
	replicas int
	clock    serverClock
	scripts  scripts
}

// Client is the connection, for what counts in the same Redis. It ends with Close.
func (s *Store) Client() redis.UniversalClient { return s.db }

var _ store.Store = (*Store)(nil)

// Open connects, and refuses a server that would throw records away to save memory.
func Open(ctx context.Context, c Config) (*Store, error) {
	if len(c.Addrs) == 0 {
		return nil, errors.New("open store: no address of Redis")
	}
	if c.Cluster && c.Replicas > 0 {
		return nil, errors.New("open store: waiting for replicas does not work with a Redis cluster: use the " +
			"server's min-replicas-to-write")
	}
	if c.Prefix == "" {
		c.Prefix = "genkan"
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return nil, errors.New("open store: the prefix of Redis keys must not contain braces")
	}
	logging.Disable() // the library's own log, past ours: what it says comes back as errors
	s := &Store{db: connect(c), keys: keys{prefix: c.Prefix}, replicas: c.Replicas, scripts: newScripts()}
	s.single, _ = s.db.(*redis.Client)
	if err := s.greet(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store at %s: %w", strings.Join(c.Addrs, ", "), err), s.db.Close())
	}
	return s, nil
}

func connect(c Config) redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: c.Addrs, Username: c.Username, Password: c.Password.Reveal(), DB: c.DB,
		SentinelUsername: c.Username, SentinelPassword: c.Password.Reveal(),
		TLSConfig: c.TLS, IsClusterMode: c.Cluster, MasterName: c.MasterName,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: 2 * patience,
		ContextTimeoutEnabled: true,
		// Each script recognises a repetition of itself, so that a retry after a lost answer is safe. Take
		// alone does not: it then says that the record is gone, and nobody has won, never two.
		MaxRetries: 1, MaxRedirects: 3,
		DialerRetries:            1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// greet checks that the server answers, and keeps what it is given.
func (s *Store) greet(ctx context.Context) error {
	if err := s.db.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := s.db.Info(ctx, "memory").Result()
	if err != nil && !strings.HasPrefix(err.Error(), "NOPERM") {
		return err
	}
	_, rest, _ := strings.Cut(info, "maxmemory_policy:")
	policy, _, _ := strings.Cut(rest, "\r\n")
	if strings.HasPrefix(policy, "allkeys-") {
		return fmt.Errorf("its maxmemory-policy %q throws sessions away when memory is short: "+
			"set maxmemory-policy to noeviction", policy)
	}
	return s.clock.set(ctx, s.db)
}

// Create adds a record, or returns store.ErrExists.
func (s *Store) Create(ctx context.Context, r store.Record) error {
	revision, err := newRevision()
	if err != nil {
		return err
	}
	done, err := s.change(ctx, s.scripts.create, s.keys.of(r.Kind, r.ID), s.content(r, revision)...)
	switch {
	case err != nil:
		return fmt.Errorf("create record: %w", err)
	case done == wasThere:
		return store.ErrExists
	case done != changed:
		return fmt.Errorf("create record: %w", errLate)
	}
	return nil
}

// Get returns a record or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, kind, id string) (store.Record, error) {
	fields, err := s.db.HMGet(ctx, s.keys.record(kind, id), recordFields()...).Result()
	if err != nil {
		return store.Record{}, fmt.Errorf("get record: %w", err)
	}
	return parseRecord(kind, id, fields)
}

// Take removes a record and returns it, or returns store.ErrNotFound.
func (s *Store) Take(ctx context.Context, kind, id string) (store.Record, error) {
	return s.remove(ctx, kind, id, "", "")
}

// Swap replaces a record that nobody changed, or returns store.ErrConflict or store.ErrNotFound.
func (s *Store) Swap(ctx context.Context, r store.Record) (int64, error) {
	revision, err := newRevision()
	if err != nil {
		return 0, err
	}
	args := append(s.content(r, revision), strconv.FormatInt(r.Revision, 10))
	done, err := s.change(ctx, s.scripts.swap, s.keys.of(r.Kind, r.ID), args...)
	switch {
	case err != nil:
		return 0, fmt.Errorf("swap record: %w", err)
	case done == isGone:
		return 0, store.ErrNotFound
	case done == wasChanged:
		return 0, store.ErrConflict
	case done != changed:
		return 0, fmt.Errorf("swap record: %w", errLate)
	}
	return revision, nil
}

// Close closes the connections.
func (s *Store) Close() error { return s.db.Close() }

// errLate means that the server came to a change when its caller no longer waited, and left it.
var errLate = errors.New("the server came to it too late and did nothing")

// content is what the scripts write, in the order that they expect.
func (s *Store) content(r store.Record, revision int64) []any {
	expires := ""
	if !r.Expires.IsZero() {
		expires = strconv.FormatInt(r.Expires.UnixMilli(), 10)
	}
	return []any{r.ID, expiryMember(r.Kind, r.ID), ownerMember(r.Owner, r.ID), r.Owner, r.Value, expires,
		strconv.FormatInt(revision, 10)}
}

// change runs a script that changes a record.
func (s *Store) change(ctx context.Context, script *redis.Script, keys []string, args ...any) (outcome, error) {
	result, err := s.run(ctx, script, keys, args...)
	if err != nil {
		return 0, err
	}
	done, _ := result.(int64)
	return outcome(done), nil
}

// run gives the script its deadline, as the last argument and in the server's time. If the script calls itself
// late though it was not, one of the clocks has jumped: then they are compared anew.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	for attempt := range 2 {
		if err := s.clock.refresh(ctx, s.db); err != nil {
			return nil, err
		}
		sent := time.Now()
		result, err := s.send(ctx, script, keys, append(args, s.clock.deadline())...)
		if err != nil {
			return nil, err
		}
		if result != int64(tooLate) || attempt > 0 || time.Since(sent) > writeWindow {
			return result, nil
		}
		s.clock.forget()
	}
	return int64(tooLate), nil
}

// send runs the script, and waits for the replicas if it must.
func (s *Store) send(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	if s.replicas == 0 {
		return script.Run(ctx, s.db, keys, args...).Result()
	}
	conn := s.single.Conn() // WAIT waits for what this connection wrote
	defer conn.Close()
	result, err := script.Run(ctx, conn, keys, args...).Result()
	if err != nil {
		return nil, err
	}
	acknowledged, err := conn.Wait(ctx, s.replicas, patience/2).Result()
	if err == nil && int(acknowledged) < s.replicas {
		err = fmt.Errorf("only %d of %d replicas have the change", acknowledged, s.replicas)
	}
	return result, err
}

// newRevision draws a revision. A random one is new even to a record that was removed and came again, and
// tells the repetition of a change from another change.
func newRevision() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("draw a revision: %w", err)
	}
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1, nil
}
