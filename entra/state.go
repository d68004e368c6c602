package entra

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// session is what a State holds.
type session struct {
	Version int             `json:"v"`
	Tenant  string          `json:"tid"`
	Object  string          `json:"oid"`
	Account string          `json:"account"` // MSAL's name for the person
	Access  string          `json:"access"`  // the access token for this application
	Expires int64           `json:"expires"`
	Cache   json.RawMessage `json:"cache"` // MSAL's cache, without access and ID tokens
}

const sessionVersion = 1

func openState(state State) (session, error) {
	var s session
	if err := json.Unmarshal(state.Reveal(), &s); err != nil || s.Version != sessionVersion || s.Account == "" || !isGUID(s.Tenant) || !isGUID(s.Object) {
		return session{}, &Error{Op: "read state", Reason: Ended, Remedy: "What was kept of the sign-in can't be read; the person must sign in anew."}
	}
	return s, nil
}

func (s session) seal() (State, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return State{}, errors.New("write state: it can't be encoded")
	}
	return NewState(state), nil
}

func (s session) token() Token { return NewToken(s.Access, time.Unix(s.Expires, 0)) }

// sessionCache lends one session's tokens to MSAL.
type sessionCache struct{ content []byte }

var _ cache.ExportReplace = (*sessionCache)(nil)

// Replace implements cache.ExportReplace.
func (s *sessionCache) Replace(_ context.Context, into cache.Unmarshaler, _ cache.ReplaceHints) error {
	if len(s.content) == 0 {
		return nil
	}
	return into.Unmarshal(s.content)
}

// Export implements cache.ExportReplace.
func (s *sessionCache) Export(_ context.Context, from cache.Marshaler, _ cache.ExportHints) error {
	content, err := from.Marshal()
	s.content = content
	return err
}

// refreshable is the cache without access and ID tokens: so MSAL must ask Entra each time, and a person who was
// disabled meanwhile is found out. It reports whether there is a refresh token.
func (s *sessionCache) refreshable() (json.RawMessage, bool) {
	var sections map[string]json.RawMessage
	if json.Unmarshal(s.content, &sections) != nil {
		return nil, false
	}
	delete(sections, "AccessToken")
	delete(sections, "IdToken")
	var refresh map[string]json.RawMessage
	if json.Unmarshal(sections["RefreshToken"], &refresh) != nil || len(refresh) == 0 {
		return nil, false
	}
	kept, err := json.Marshal(sections)
	return kept, err == nil
}
