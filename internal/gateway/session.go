package gateway

import (
	"encoding/base64"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// A session ID of a server behind is sealed before a client sees it, bound to the server, the identity and the
// client that opened it. So no table is needed, any replica that has the ring can open it, and in another's hand it
// is as unknown as an invented one. The ID of the server behind is not shown: it may be good there without us.

// maxSession bounds a session ID: a server behind that needs more is out of its mind.
const maxSession = 2048

func (x *exchange) binding() secret.Binding {
	id := &x.caller.Identity
	return secret.Binding{Kind: "mcp-session", Key: x.server.Name + "\x00" + id.Key() + "\x00" + id.Client}
}

// openSession finds out which session of the server behind the request belongs to.
func (x *exchange) openSession() error {
	if err := x.single("Mcp-Session-Id"); err != nil {
		return err
	}
	shown := x.r.Header.Get("Mcp-Session-Id")
	if shown == "" {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(shown)
	if err == nil && len(shown) <= maxSession {
		var plain []byte
		if plain, err = x.g.SessionIDs.Open(x.binding(), sealed); err == nil {
			x.session = string(plain)
			return nil
		}
	}
	return x.noSession()
}

// sealSession is what the client gets in place of a session ID of the server behind.
func (x *exchange) sealSession(id string) (string, error) {
	sealed, err := x.g.SessionIDs.Seal(x.binding(), []byte(id))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}
