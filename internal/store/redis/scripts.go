package redis

import "github.com/redis/go-redis/v9"

// outcome is what a script answers.
type outcome int

const (
	tooLate    outcome = 0
	changed    outcome = 1
	wasThere   outcome = 2
	wasChanged outcome = 3
	isGone     outcome = 4
)

// scripts are the changes. Each touches only keys of one slot, all of which it is told.
//
// KEYS: record, kind index, owner index, expiry index.
// ARGV of create and swap: id, expiry member, owner member, owner, value, expiry, revision; swap also the
// revision that it replaces. ARGV of remove: id, expiry member, and what is wanted of the record: an owner
// member, an expiry before; each may be empty. The last of ARGV is always the deadline.
type scripts struct{ create, swap, remove, prune *redis.Script }

// late ends a script whose caller no longer waits. A server that was paused works off what it was sent
// meanwhile, and a change that comes long after its caller was told "unavailable" would spend a refresh
// token behind the client's back.
const late = `
local t = redis.call('TIME')
if t[1] * 1000 + math.floor(t[2] / 1000) > tonumber(ARGV[#ARGV]) then return 0 end
`

// write stores the record and its index entries.
const write = `
local id, xm, om = ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', KEYS[1], 'm', om, 'o', ARGV[4], 'v', ARGV[5], 'x', ARGV[6], 'n', ARGV[7])
redis.call('ZADD', KEYS[2], 0, id)
if om ~= '' then redis.call('ZADD', KEYS[3], 0, om) end
if ARGV[6] ~= '' then redis.call('ZADD', KEYS[4], ARGV[6], xm) else redis.call('ZREM', KEYS[4], xm) end
return 1
`

func newScripts() scripts {
	return scripts{
		create: redis.NewScript(late + `
local n = redis.call('HGET', KEYS[1], 'n')
if n == ARGV[7] then return 1 end -- this very change, repeated
if n then return 2 end
` + write),
		swap: redis.NewScript(late + `
local old = redis.call('HMGET', KEYS[1], 'n', 'm')
if not old[1] then return 4 end
if old[1] == ARGV[7] then return 1 end -- this very change, repeated
if old[1] ~= ARGV[8] then return 3 end
if old[2] ~= '' and old[2] ~= ARGV[3] then redis.call('ZREM', KEYS[3], old[2]) end
` + write),
		remove: redis.NewScript(late + `
local r = redis.call('HMGET', KEYS[1], 'o', 'v', 'x', 'n', 'm')
if not r[4] then return 4 end
if ARGV[3] ~= '' and r[5] ~= ARGV[3] then -- the index is out of date
  redis.call('ZREM', KEYS[3], ARGV[3])
  return 3
end
if ARGV[4] ~= '' and (r[3] == '' or tonumber(r[3]) >= tonumber(ARGV[4])) then
  if r[3] == '' then redis.call('ZREM', KEYS[4], ARGV[2]) else redis.call('ZADD', KEYS[4], r[3], ARGV[2]) end
  return 3
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[2])
if r[5] ~= '' then redis.call('ZREM', KEYS[3], r[5]) end
return r
`),
		// prune removes index entries whose record is gone: evicted, or deleted by somebody else.
		prune: redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 3 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[2])
if ARGV[3] ~= '' then redis.call('ZREM', KEYS[3], ARGV[3]) end
return 1
`),
	}
}
