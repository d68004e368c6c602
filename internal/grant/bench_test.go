package grant_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

// backend is a store that holds people's sessions, and a quick way to fill it.
type backend struct {
	store.Store
	files string
	fill  func([]store.Record) error
}

func benchStores(b *testing.B, run func(b *testing.B, s backend)) {
	b.Run("store=sqlite", func(b *testing.B) {
		dir := b.TempDir()
		path := filepath.Join(dir, "genkan.db")
		run(b, backend{openSQLite(b, path), dir, func(all []store.Record) error { return fillSQLite(b.Context(), path, all) }})
	})
	b.Run("store=redis", func(b *testing.B) {
		server := storetest.StartRedis(b)
		s := openRedis(b, server.Addr)
		run(b, backend{s, server.Dir, func(all []store.Record) error {
			for _, r := range all {
				if err := s.Create(b.Context(), r); err != nil {
					return err
				}
			}
			return nil
		}})
	})
}

// fillSQLite writes past the store, in one transaction: a hundred thousand commits would take minutes.
func fillSQLite(ctx context.Context, path string, all []store.Record) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, r := range all {
		_, err := tx.ExecContext(ctx, "INSERT INTO records (kind, id, owner, value, expires, revision) VALUES (?, ?, ?, ?, ?, ?)",
			r.Kind, r.ID, r.Owner, r.Value, r.Expires.UnixMilli(), r.Revision)
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func benchRing(b *testing.B) *secret.Ring {
	b.Helper()
	ring, err := secret.NewRing(time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	return ring
}

func benchGrants(b *testing.B, s store.Store, ring *secret.Ring, cache time.Duration) *grant.Grants {
	b.Helper()
	g, err := grant.New(grant.Config{Store: s, Ring: ring, CheckCache: cache})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

func benchSignIn(b *testing.B, g *grant.Grants) grant.Tokens {
	b.Helper()
	code, err := g.Open(context.Background(), opening())
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := g.Redeem(context.Background(), redemption(code))
	if err != nil {
		b.Fatal(err)
	}
	return tokens
}

// BenchmarkCheck shows that the cost of one check does not grow with the number of sessions, neither from the
// cache nor from the store.
func BenchmarkCheck(b *testing.B) {
	benchStores(b, func(b *testing.B, s backend) {
		ring := benchRing(b)
		checkers := map[string]*grant.Grants{
			"cache": benchGrants(b, s, ring, 5*time.Second), "store": benchGrants(b, s, ring, time.Nanosecond),
		}
		var tokens []grant.Tokens
		for _, sessions := range []int{1_000, 10_000, 100_000} {
			tokens = append(tokens, benchFill(b, s, ring, sessions-len(tokens))...)
			for from, g := range checkers {
				b.Run(fmt.Sprintf("from=%s/sessions=%d", from, sessions), func(b *testing.B) {
					b.ReportAllocs()
					for i := 0; b.Loop(); i += 7919 {
						pick := tokens[i%len(tokens)]
						if from == "cache" {
							pick = tokens[i%100]
						}
						if _, err := g.Check(context.Background(), pick.Access.Reveal(), resource); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(size(b, s.files))/float64(sessions), "file-B/session")
				})
			}
		}
	})
}

// benchFill signs people in, in memory, and moves what came of it to the store.
func benchFill(b *testing.B, s backend, ring *secret.Ring, sessions int) []grant.Tokens {
	b.Helper()
	memory := memory.New()
	g := benchGrants(b, memory, ring, 0)
	tokens := make([]grant.Tokens, sessions)
	for i := range tokens {
		tokens[i] = benchSignIn(b, g)
	}
	all, err := memory.List(context.Background(), "grant", "", "", sessions)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.fill(all); err != nil {
		b.Fatal(err)
	}
	return tokens
}

// size is how much the store has written to its files.
func size(b *testing.B, dir string) (total int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// BenchmarkRotate is refreshes a second, by eight clients at once, without the identity provider.
func BenchmarkRotate(b *testing.B) {
	benchStores(b, func(b *testing.B, s backend) {
		g := benchGrants(b, s, benchRing(b), 5*time.Second)
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			tokens := benchSignIn(b, g)
			for pb.Next() {
				var err error
				if tokens, err = g.Rotate(context.Background(), rotation(tokens), welcome); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
	})
}

// BenchmarkSignIn is code to tokens: a session opened and redeemed.
func BenchmarkSignIn(b *testing.B) {
	benchStores(b, func(b *testing.B, s backend) {
		g := benchGrants(b, s, benchRing(b), 5*time.Second)
		var done atomic.Int64
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				benchSignIn(b, g)
				done.Add(1)
			}
		})
		b.ReportMetric(float64(done.Load())/b.Elapsed().Seconds(), "sign-ins/s")
	})
}
