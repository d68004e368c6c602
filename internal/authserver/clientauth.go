package authserver

import (
	"errors"
	"net/http"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// assertionType is the only kind of client assertion there is (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// proof is what a request shows of a client: its ID, and a secret or an assertion if there is one.
type proof struct {
	id        string
	secret    string
	assertion string
}

// authenticate says which client calls (RFC 6749 §2.3). A client that has a way to prove who it is must use it;
// one that has none must not pretend.
func (a *AuthServer) authenticate(r *http.Request, form oauth.Params) (*client, error) {
	shown, err := readProof(r, form)
	if err != nil {
		return nil, err
	}
	if err := a.limits.token.take(addressKey(a.Address(r))+" "+shown.id, a.Now()); err != nil {
		return nil, err
	}
	c, err := a.client(r.Context(), shown.id)
	if err != nil {
		return nil, err
	}
	failed := oauth.Refuse(oauth.InvalidClient, "the client could not be authenticated")
	switch {
	case c.keys != nil:
		if shown.assertion == "" || shown.secret != "" {
			return nil, oauth.Refuse(oauth.InvalidClient, "the client must authenticate with private_key_jwt")
		}
		return c, a.checkAssertion(r.Context(), c, shown.assertion)
	case !c.secret.IsZero():
		if shown.assertion != "" || !secret.Hash(shown.secret).Equal(c.secret) {
			return nil, failed
		}
		return c, nil
	default:
		if shown.secret != "" || shown.assertion != "" {
			return nil, failed
		}
		return c, nil
	}
}

// readProof finds the one way in which the request authenticates (RFC 6749 §2.3: never two).
func readProof(r *http.Request, form oauth.Params) (proof, error) {
	shown := proof{id: form.Get("client_id"), secret: form.Get("client_secret"), assertion: form.Get("client_assertion")}
	header, err := oauth.ParseAuthorization(r.Header.Values("Authorization"))
	if err != nil {
		return proof{}, err
	}
	if header.Scheme != "" {
		if shown.secret != "" || shown.assertion != "" {
			return proof{}, oauth.Refuse(oauth.InvalidRequest, "the client authenticates in two ways at once")
		}
		id, password, err := header.Basic()
		if err != nil {
			return proof{}, err
		}
		if shown.id != "" && shown.id != id {
			return proof{}, oauth.Refuse(oauth.InvalidRequest, "client_id is not the client that authenticates")
		}
		shown.id, shown.secret = id, password
	}
	if shown.assertion == "" {
		if shown.id == "" {
			return proof{}, oauth.Refuse(oauth.InvalidClient, "client_id is missing")
		}
		return shown, nil
	}
	if shown.secret != "" {
		return proof{}, oauth.Refuse(oauth.InvalidRequest, "the client authenticates in two ways at once")
	}
	if form.Get("client_assertion_type") != assertionType {
		return proof{}, oauth.Refuse(oauth.InvalidRequest, "client_assertion_type must be "+assertionType)
	}
	subject, err := assertionSubject(shown.assertion)
	if err != nil {
		return proof{}, err
	}
	if shown.id != "" && shown.id != subject {
		return proof{}, oauth.Refuse(oauth.InvalidClient, "client_id is not the subject of the assertion")
	}
	shown.id = subject
	return shown, nil
}

// asClientError tells a program that is not known at /token or /revoke so by the code that clients act on
// (RFC 6749 §5.2): they register again.
func asClientError(err error) error {
	if refusal, ok := errors.AsType[*oauth.Error](err); ok && refusal.Code == oauth.InvalidClientMetadata {
		return oauth.Refuse(oauth.InvalidClient, "%s", refusal.Description).Because(err)
	}
	return err
}
