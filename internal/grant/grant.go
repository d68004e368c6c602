// Package grant keeps every promise about tokens: a code works once, a refresh token is followed by one
// successor, a session that ended is out everywhere within five seconds, and a stolen store yields no
// usable token.
//
// One record of the store holds a whole session, so that everything that happens to it is one swap. The
// tokens carry the session's ID, so that no index is needed; the record holds only their hashes.
package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

// kind is the kind of the records that hold sessions.
const kind = "grant"

// maxCheckCache bounds for how long an ended session may still be let in by another replica.
const maxCheckCache = 5 * time.Second

// Errors that callers act on. Every other "no" is a *policy.Refusal, whose Check tells which OAuth error
// it is: CheckAudience invalid_target (RFC 8707 §2), CheckScope invalid_scope, anything else invalid_grant
// (RFC 6749 §5.2) or, from Check, invalid_token (RFC 6750 §3.1).
var (
	// ErrUnavailable means that the store, or what it holds, can't be read now: answer 503 and end nothing.
	ErrUnavailable = errors.New("grant: sessions can't be read now")
	// ErrNotFound means that there is no session of this ID.
	ErrNotFound = errors.New("grant: no such session")
	// ErrEnded is what renew's error wraps when the identity provider ended the session for good.
	ErrEnded = errors.New("grant: the identity provider ended the session")
)

// Config is what Grants needs. Store and Ring are required, everything else has a default.
type Config struct {
	Store store.Store
	Ring  *secret.Ring
	Now   func() time.Time // time.Now
	Rand  io.Reader        // crypto/rand; safe for concurrent use

	AccessLife   time.Duration // life of an access token; one hour
	CodeLife     time.Duration // life of a code; one minute
	AbsoluteLife time.Duration // a session ends this long after it began, whatever happens; 30 days
	IdleLife     time.Duration // and this long after its last refresh; AbsoluteLife
	Grace        time.Duration // for this long, a spent refresh token gives the same successor again; 10 s
	CheckCache   time.Duration // Check believes what it read for this long; at most, and by default, 5 s
}

// Grants is every session of one store. It is safe for concurrent use, and any number of processes may
// have one on the same store.
type Grants struct {
	Config
	cache   *cache
	outage  *outage
	flights flights
}

// New checks the configuration.
func New(c Config) (*Grants, error) {
	if c.Store == nil || c.Ring == nil {
		return nil, errors.New("grant: a store and a ring of keys are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.AccessLife, time.Hour},
		{&c.CodeLife, time.Minute},
		{&c.AbsoluteLife, 30 * 24 * time.Hour},
		{&c.Grace, 10 * time.Second},
		{&c.CheckCache, maxCheckCache},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
		if *d.value < 0 {
			return nil, fmt.Errorf("grant: a life of %v is none", *d.value)
		}
	}
	if c.IdleLife == 0 {
		c.IdleLife = c.AbsoluteLife
	}
	if c.CheckCache > maxCheckCache {
		return nil, fmt.Errorf("grant: a check may be cached for at most %v, not %v", maxCheckCache, c.CheckCache)
	}
	return &Grants{Config: c, cache: newCache(c.CheckCache), outage: newOutage(c.Now())}, nil
}

// Grant is a session: what one person granted one client for one server. There is no token in it. Its
// slices are shared and must not be changed.
type Grant struct {
	ID          string
	Client      string
	ClientName  string // display only
	Server      string
	Resource    string
	RedirectURI string
	Scopes      []string // from Check: the token's; else all that any token of the session has
	Identity    policy.Identity
	Created     time.Time
	LastUsed    time.Time // the last redemption or refresh
	Expires     time.Time // the session's end, if it is not used any more
	// TokenExpires is the end of the token that was checked; zero where none was.
	TokenExpires time.Time
	// Ended and Reason say when and why the session ended before its time; zero while it lives.
	Ended  time.Time
	Reason Reason
}

// Reason says why a session ended before its time.
type Reason string

// The reasons.
const (
	ReasonRevoked  Reason = "revoked by the client"
	ReasonEnded    Reason = "ended by its owner or an administrator"
	ReasonReplay   Reason = "its code was shown twice"
	ReasonReuse    Reason = "a spent refresh token was shown"
	ReasonProvider Reason = "the identity provider ended it"
	ReasonIdentity Reason = "the identity provider answered with another identity"
)

// EndedError says that this very call ended a session, and why, for the log and the audit. It wraps the
// refusal that the client is told, and the cause if there is one.
type EndedError struct {
	GrantID string
	Reason  Reason
	Refusal *policy.Refusal
	Cause   error
}

// Error says what ended and why.
func (e *EndedError) Error() string {
	s := fmt.Sprintf("session %s ended: %s", e.GrantID, e.Reason)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the refusal and the cause.
func (e *EndedError) Unwrap() []error {
	var all []error
	if e.Refusal != nil {
		all = append(all, e.Refusal)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}

// Tokens is what the token endpoint answers with (RFC 6749 §5.1). Refresh is empty where the session
// can't be refreshed.
type Tokens struct {
	Access    secret.Text
	Refresh   secret.Text
	ExpiresIn time.Duration
	Scopes    []string
	Resource  string
	GrantID   string
}

// Opening is a session about to begin: a person consented and came back from the identity provider.
type Opening struct {
	Client      string
	ClientName  string
	Server      string
	Resource    string // the server's public URL, exactly as its metadata says it
	RedirectURI string // as the authorization request named it
	Scopes      []string
	Challenge   string // PKCE, S256 (RFC 7636 §4.2)
	Identity    policy.Identity
	Upstream    []byte // the identity provider's tokens; sealed at once
}

// Renew asks the identity provider who the person is now and whether they may still come. An error that
// wraps ErrEnded ends the session; any other changes nothing. It may be called again with the same
// upstream tokens, after a crash or by another replica.
type Renew func(ctx context.Context, upstream []byte) (identity policy.Identity, renewed []byte, err error)

// unavailable marks a failure of the store, or of what is in it.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
}
