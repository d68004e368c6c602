package entratest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
)

// identify finds out which application asks, not yet whether it really is.
func (t *Tenant) identify(q *tokenRequest) *refusal {
	id := q.param("client_id")
	if user, _, ok := q.BasicAuth(); ok && id == "" {
		if decoded, err := url.QueryUnescape(user); err == nil {
			id = decoded
		}
	}
	if id == "" {
		return refuse(900144, "client_id")
	}
	q.client = q.dir.client(id)
	if q.client == nil || q.client.Managed {
		return refuse(700016, id, q.dir.Name)
	}
	if q.client.Disabled {
		return refuse(7000112, q.client.ClientID, q.client.Name)
	}
	return nil
}

// authenticate demands proof of the application where its redirect URI's platform wants it, and
// refuses proof where none can be kept secret.
func (t *Tenant) authenticate(q *tokenRequest, kind platform) *refusal {
	secret, presented := q.secret()
	crossOrigin := q.Header.Get("Origin") != ""
	q.proof = proofNone
	switch kind {
	case platformSPA:
		if !crossOrigin {
			return refuse(9002327)
		}
	case platformPublic:
		if crossOrigin {
			return refuse(9002326, q.Header.Get("Origin"))
		}
	case platformWeb:
		if crossOrigin {
			return refuse(9002326, q.Header.Get("Origin"))
		}
		switch {
		case q.param("client_assertion") != "":
			return t.checkAssertion(q, q.param("client_assertion"))
		case presented:
			return t.checkSecret(q, secret)
		}
		if q.param("grant_type") == "client_credentials" {
			return refuse(7000216)
		}
		return refuse(7000218)
	}
	if presented || q.param("client_assertion") != "" {
		return refuse(700025)
	}
	return nil
}

// secret is the client secret of a request, from the body or from HTTP Basic (RFC 6749 §2.3.1).
func (q *tokenRequest) secret() (string, bool) {
	if s := q.param("client_secret"); s != "" {
		return s, true
	}
	_, password, ok := q.BasicAuth()
	if !ok {
		return "", false
	}
	if decoded, err := url.QueryUnescape(password); err == nil {
		password = decoded
	}
	return password, true
}

// checkSecret tells a wrong secret from one that was right once.
func (t *Tenant) checkSecret(q *tokenRequest, secret string) *refusal {
	now, expired := t.now(), false
	for _, s := range q.client.Secrets {
		if subtle.ConstantTimeCompare([]byte(s.Value), []byte(secret)) == 0 {
			continue
		}
		if !s.NotAfter.IsZero() && now.After(s.NotAfter) {
			expired = true
			continue
		}
		q.proof = proofSecret
		return nil
	}
	if expired {
		return refuse(7000222, q.client.ClientID)
	}
	return refuse(7000215, q.client.ClientID)
}

// checkVerifier is RFC 7636 §4.6. A verifier without a challenge is as wrong as the reverse.
func checkVerifier(c code, verifier string) *refusal {
	if c.challenge == "" && verifier == "" {
		return nil
	}
	if verifier == "" {
		return refuse(50148)
	}
	want := verifier
	if c.method == "S256" {
		h := sha256.Sum256([]byte(verifier))
		want = base64.RawURLEncoding.EncodeToString(h[:])
	}
	if c.challenge == "" || subtle.ConstantTimeCompare([]byte(want), []byte(c.challenge)) == 0 {
		return refuse(501481)
	}
	return nil
}
