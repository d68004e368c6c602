package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// access gets the tokens for one server: silently if that can be, else by asking the person. One goroutine,
// run, does all the work on tokens, so that two messages never sign in twice; a lock of the key store keeps
// other processes from it.
type access struct {
	options *ConnectOptions
	memory  *memory
	http    *http.Client
	log     *slog.Logger
	person  *person

	current  atomic.Pointer[record]
	requests chan *renewal
	// inVain are the scopes that were asked for and did not help: they are not asked for again and again.
	inVain map[string]bool
}

// renewal asks for a better token than the one that was used.
type renewal struct {
	ctx       context.Context // of the message that waits
	challenge *challenge      // nil: nothing was refused yet
	done      chan error
}

// challenge is what a server said when it refused a message.
type challenge struct {
	used     string // the token that was refused, "" for none
	status   int
	metadata string   // where the server's metadata lies
	scopes   []string // what it wants
	claims   string   // a claims challenge of Entra, in base64
	err      string   // the error code
	attempt  int      // how often this message was refused before
	silent   bool     // the person is not to be asked
}

// errNeedsPerson means that only the person could help, and nobody is to be asked now.
var errNeedsPerson = errors.New("somebody has to sign in")

func newAccess(o *ConnectOptions, log *slog.Logger, p *person) *access {
	return &access{
		options: o, memory: newMemory(o), http: o.Client, log: log, person: p,
		requests: make(chan *renewal), inVain: map[string]bool{},
	}
}

// run works on tokens until the context ends.
func (a *access) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-a.requests:
			// Whoever asked may give up; the browser page that was opened for it is still good for the next.
			r.done <- a.work(ctx, r.challenge)
		}
	}
}

// ask hands a renewal to run and waits for it.
func (a *access) ask(ctx context.Context, c *challenge) error {
	r := &renewal{ctx: ctx, challenge: c, done: make(chan error, 1)}
	select {
	case a.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// token gives the access token for the next request, "" if there is none yet. It is refreshed before it expires.
func (a *access) token(ctx context.Context) (string, error) {
	if r := a.current.Load(); r != nil && (r.AccessToken == "" || r.usable(a.options.Now())) {
		return r.AccessToken, nil
	}
	if err := a.ask(ctx, nil); err != nil {
		return "", err
	}
	if r := a.current.Load(); r.alive(a.options.Now()) {
		return r.AccessToken, nil
	}
	return "", nil
}

// satisfy gets a token that answers the challenge, or says why it can't.
func (a *access) satisfy(ctx context.Context, c *challenge) error { return a.ask(ctx, c) }

// work is run's business. Without a challenge it loads what is stored and refreshes what expires.
func (a *access) work(ctx context.Context, c *challenge) error {
	if c == nil {
		return a.refreshIfNeeded(ctx)
	}
	if r := a.current.Load(); r != nil && r.AccessToken != c.used && r.usable(a.options.Now()) && r.covers(c.scopes) {
		return nil // another message had the same trouble
	}
	return a.renew(ctx, c)
}

func (a *access) refreshIfNeeded(ctx context.Context) error {
	r := a.current.Load()
	if r == nil {
		var err error
		if r, err = a.memory.load(ctx); err != nil {
			return err
		}
		if r == nil {
			a.current.Store(&record{}) // loaded, and nothing there
			return nil
		}
		a.current.Store(r)
	}
	if r.AccessToken == "" || r.usable(a.options.Now()) {
		return nil
	}
	release, err := a.memory.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if r, err = a.memory.load(ctx); err != nil {
		return err
	}
	if r == nil {
		a.current.Store(&record{})
		return nil
	}
	a.current.Store(r)
	if r.usable(a.options.Now()) {
		return nil // another process refreshed it
	}
	return a.refreshStored(ctx, r)
}

// refreshStored refreshes, and decides what a failure means: an outage ends nothing while the old token lives.
func (a *access) refreshStored(ctx context.Context, r *record) error {
	next, err := a.refresh(ctx, r)
	switch {
	case err == nil:
		return a.keep(ctx, next)
	case errors.Is(err, errSignInEnded):
		a.forget(ctx, r, err)
		return nil // the server answers 401, and the person is asked
	case r.alive(a.options.Now()):
		a.log.Warn("could not refresh the token, and use the old one while it lasts", "server", r.Server, "why", err)
		return nil
	}
	return err
}

// forget drops the tokens of a sign-in that has ended, so that nobody tries them again, and keeps what the next
// sign-in can use.
func (a *access) forget(ctx context.Context, r *record, why error) {
	a.log.Info("the sign-in has ended", "server", r.Server, "why", why)
	ended := *r
	ended.AccessToken, ended.RefreshToken, ended.State = "", "", nil
	if err := a.keep(ctx, &ended); err != nil {
		a.log.Warn("could not store that the sign-in has ended", "why", err)
		a.current.Store(&ended)
	}
}

// keep stores a record and makes it the current one.
func (a *access) keep(ctx context.Context, r *record) error {
	if err := a.memory.save(ctx, r); err != nil {
		return err
	}
	a.current.Store(r)
	return nil
}

// renew answers a challenge: with what another process got, by a refresh, or by asking the person.
func (a *access) renew(ctx context.Context, c *challenge) error {
	release, err := a.memory.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	stored, err := a.memory.load(ctx)
	if err != nil {
		return err
	}
	if stored != nil && stored.AccessToken != c.used && stored.usable(a.options.Now()) && stored.covers(c.scopes) {
		a.current.Store(stored)
		return nil
	}
	found, err := a.discover(ctx, c)
	if err != nil {
		return err
	}
	if stored != nil && (stored.Issuer != found.issuer || stored.Resource != found.resource) {
		a.log.Info("the server has another authorization server now", "was", stored.Issuer, "is", found.issuer)
		stored = nil
	}
	if done, err := a.renewSilently(ctx, c, stored); done {
		return err
	}
	if c.silent {
		return errNeedsPerson
	}
	wanted := a.scopes(found, stored, c)
	if key := strings.Join(wanted, " "); c.status == http.StatusForbidden {
		if a.inVain[key] {
			return fmt.Errorf("the server still refuses after you signed in with the permissions %q: ask who runs it", key)
		}
		a.inVain[key] = true
	}
	next, err := a.signIn(ctx, found, stored, wanted, c)
	if err != nil {
		return err
	}
	return a.keep(ctx, next)
}

// renewSilently tries a refresh where it could help: not for more permissions, and not twice for one message.
func (a *access) renewSilently(ctx context.Context, c *challenge, stored *record) (done bool, err error) {
	if stored == nil || c.status != http.StatusUnauthorized || c.claims != "" || c.attempt > 0 || !stored.covers(c.scopes) {
		return false, nil
	}
	if stored.RefreshToken == "" && stored.State == nil {
		return false, nil
	}
	next, err := a.refresh(ctx, stored)
	if errors.Is(err, errSignInEnded) {
		a.forget(ctx, stored, err)
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, a.keep(ctx, next)
}

// scopes are those to ask for: what the challenge or else the metadata names, and what was asked for before, so
// that a step up loses nothing (2026-07-28, Authorization §Step-Up Authorization Flow).
func (a *access) scopes(found *target, stored *record, c *challenge) []string {
	wanted := slices.Clone(c.scopes)
	if len(wanted) == 0 {
		wanted = slices.Clone(found.scopes)
	}
	wanted = append(wanted, a.options.SignIn.Scopes...)
	if stored != nil {
		wanted = append(wanted, stored.Requested...)
	}
	if found.offline && !slices.Contains(wanted, offlineAccess) {
		wanted = append(wanted, offlineAccess)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(wanted, func(s string) bool {
		twice := seen[s]
		seen[s] = true
		return twice
	})
}

// readChallenge reads what a refusal says, and false when a token would not help.
func readChallenge(resp *http.Response, used string, attempt int) (*challenge, bool) {
	all, err := oauth.ParseChallenges(resp.Header.Values("WWW-Authenticate"))
	if err != nil {
		all = nil // a malformed challenge says nothing, but 401 still means 401
	}
	c := &challenge{used: used, status: resp.StatusCode, attempt: attempt}
	if bearer, ok := oauth.FindBearer(all); ok {
		c.err, c.claims = bearer.Params["error"], bearer.Params["claims"]
		c.metadata = bearer.Params["resource_metadata"]
		c.scopes = strings.Fields(bearer.Params["scope"])
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return c, true
	case http.StatusForbidden:
		return c, c.err == string(oauth.InsufficientScope)
	}
	return nil, false
}
