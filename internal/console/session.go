package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	kindSession = "console_session"
	kindSid     = "console_sid" // Entra's session ID -> ours, for the front channel
)

var errNoSession = errors.New("console: nobody is signed in")

// session is one person in one browser. The cookie holds a secret, the store knows only its hash, and the record
// is sealed: neither a stolen store nor a page gives a session away.
type session struct {
	id       string // hash of the cookie
	csrf     string // derived from the cookie
	revision int64

	Identity  policy.Identity
	State     []byte            // entra.State, which would hide itself from the encoder
	Ends      time.Time         // when Entra's token ends
	IDClaims  json.RawMessage   // what the ID token said
	Sid       string            // Entra's name for the browser's session
	Began     time.Time         // the sign-in
	Used      time.Time         // to the minute
	Doors     map[string]opened // the tokens for servers, by server
	Exchanges []exchange        // tokens got on behalf of the person: what they said
}

// opened is a grant of the house that the console holds for one server.
type opened struct {
	Grant   string
	Token   string
	Expires time.Time
}

// sessionID is under which name the store knows the session of a cookie.
func sessionID(cookie string) string {
	text, err := secret.Hash("console session " + cookie).MarshalText()
	if err != nil {
		panic(fmt.Sprintf("console: a digest that can't be written: %v", err))
	}
	return string(text)
}

// csrfToken is what forms carry. It follows from the cookie and does not lead back to it.
func csrfToken(cookie string) string {
	text, err := secret.Hash("console form " + cookie).MarshalText()
	if err != nil {
		panic(fmt.Sprintf("console: a digest that can't be written: %v", err))
	}
	return string(text)
}

func (s *session) expires() time.Time {
	idle, absolute := s.Used.Add(idleLife), s.Began.Add(absoluteLife)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// person is the identity with which the console's own grants are opened.
func (s *session) person() policy.Identity {
	id := s.Identity
	id.Client = ClientID
	return id
}

// find reads the session of a cookie.
func (k *Console) find(ctx context.Context, cookie string) (*session, error) {
	if cookie == "" {
		return nil, errNoSession
	}
	s, err := k.load(ctx, sessionID(cookie))
	if err != nil {
		return nil, err
	}
	s.csrf = csrfToken(cookie)
	return s, nil
}

func (k *Console) load(ctx context.Context, id string) (*session, error) {
	record, err := k.Store.Get(ctx, kindSession, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("read console session: %w", err)
	}
	s := &session{id: id, revision: record.Revision}
	if err := k.unseal(kindSession, id, record.Value, s); err != nil {
		return nil, fmt.Errorf("read console session: %w", err)
	}
	if !k.Now().Before(s.expires()) {
		return nil, errNoSession
	}
	return s, nil
}

func (k *Console) record(s *session) (store.Record, error) {
	sealed, err := k.seal(kindSession, s.id, s)
	if err != nil {
		return store.Record{}, fmt.Errorf("write console session: %w", err)
	}
	return store.Record{
		Kind: kindSession, ID: s.id, Owner: s.Identity.Key(), Value: sealed, Expires: s.expires(), Revision: s.revision,
	}, nil
}

// change applies an edit to the session as it is now, again if another request was faster.
func (k *Console) change(ctx context.Context, s *session, edit func(*session) error) error {
	for range 8 {
		if err := edit(s); err != nil {
			return err
		}
		record, err := k.record(s)
		if err != nil {
			return err
		}
		revision, err := k.Store.Swap(ctx, record)
		switch {
		case err == nil:
			s.revision = revision
			return nil
		case errors.Is(err, store.ErrNotFound):
			return errNoSession
		case !errors.Is(err, store.ErrConflict):
			return fmt.Errorf("write console session: %w", err)
		}
		fresh, err := k.load(ctx, s.id)
		if err != nil {
			return err
		}
		fresh.csrf = s.csrf
		*s = *fresh
	}
	return errors.New("write console session: too many at once")
}

// touch notes that the session is used, once a minute at most.
func (k *Console) touch(ctx context.Context, s *session) error {
	now := k.Now()
	if now.Sub(s.Used) < time.Minute {
		return nil
	}
	return k.change(ctx, s, func(s *session) error { s.Used = now; return nil })
}

// end removes a session and ends everything that it held.
func (k *Console) end(ctx context.Context, s *session) error {
	_, err := k.Store.Take(ctx, kindSession, s.id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("end console session: %w", err)
	}
	var failed []error
	for _, kind := range []string{kindHistory, kindTalk} {
		if _, err := k.Store.Take(ctx, kind, s.id); err != nil && !errors.Is(err, store.ErrNotFound) {
			failed = append(failed, err)
		}
	}
	for _, door := range s.Doors {
		if err := k.Grants.End(ctx, door.Grant); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("end console session: %w", errors.Join(failed...))
	}
	return nil
}

// fresh asks Entra again when its token is about to end: roles and groups are read anew, and somebody who may no
// longer come is out.
func (k *Console) fresh(ctx context.Context, s *session) error {
	if k.Now().Before(s.Ends.Add(-5 * time.Minute)) {
		return nil
	}
	return k.refresh(ctx, s)
}

func (k *Console) refresh(ctx context.Context, s *session) error {
	signIn, err := k.Entra.Refresh(ctx, entra.NewState(s.State))
	if err != nil {
		return err
	}
	if signIn.Identity.Key() != s.Identity.Key() {
		return errNoSession
	}
	var old map[string]opened
	err = k.change(ctx, s, func(s *session) error {
		s.Identity, s.State, s.Ends = signIn.Identity, signIn.State.Reveal(), signIn.Token.Expires()
		if claims, err := payload(signIn.IDToken.Reveal()); err == nil {
			s.IDClaims = claims
		}
		old, s.Doors = s.Doors, nil // they carry the roles of before
		return nil
	})
	for _, door := range old {
		err = errors.Join(err, k.Grants.End(ctx, door.Grant))
	}
	return err
}

// seal writes a value so that it opens in its own place only.
func (k *Console) seal(kind, id string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, errors.New("it can't be encoded")
	}
	return k.Ring.Seal(secret.Binding{Kind: kind, Key: id}, plain)
}

func (k *Console) unseal(kind, id string, sealed []byte, into any) error {
	plain, err := k.Ring.Open(secret.Binding{Kind: kind, Key: id}, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return errors.New("it can't be decoded")
	}
	return nil
}
