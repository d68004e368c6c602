package entratest

import "time"

// state is what comes and goes while the tenant runs. Tenant.mu guards it.
type state struct {
	visits   map[string]*visit   // sign-ins under way, by the ID in the page's form
	sessions map[string]*session // signed-in browsers, by cookie
	codes    map[string]*code
	refresh  map[string]*refreshToken
	issued   map[string]*issued // access tokens, by uti
	sweepAt  int                // how many of them make it worth looking for expired ones
	devices  map[string]*device // device codes
	vault    map[string][]*vaultKey
	faults   []*Fault
	calls    []Call
}

func newState() state {
	return state{
		visits: map[string]*visit{}, sessions: map[string]*session{},
		codes: map[string]*code{}, refresh: map[string]*refreshToken{},
		issued: map[string]*issued{}, sweepAt: issuedKept, devices: map[string]*device{},
		vault: map[string][]*vaultKey{},
	}
}

// session is one browser that signed in; it may hold several accounts.
type session struct {
	id       string
	accounts []account
	clients  []string // who gets told when it ends
}

// account is one person signed in to a browser.
type account struct {
	person string // object ID
	at     time.Time
	mfa    bool
}

func (s *session) account(person string) *account {
	if s == nil {
		return nil
	}
	for i := range s.accounts {
		if s.accounts[i].person == person {
			return &s.accounts[i]
		}
	}
	return nil
}

// proof is how a client showed who it is, as azpacr and appidacr say it.
type proof string

const (
	proofNone        proof = "0"
	proofSecret      proof = "1"
	proofCertificate proof = "2"
)

// platform is the kind of redirect URI by which a grant began.
type platform string

const (
	platformWeb    platform = "web"
	platformSPA    platform = "spa"
	platformPublic platform = "public"
)

// signedIn is what a code or a refresh token stands for: a person at a client.
type signedIn struct {
	client   string
	person   string
	scope    string // as asked at the authorize endpoint
	platform platform
	nonce    string
	session  string
	at       time.Time // when the person signed in
	mfa      bool
	ended    time.Time // when an administrator revoked it
}

// issued is the sign-in behind an access token.
type issued struct {
	signedIn
	expires    time.Time
	challenges bool
}

// code is an authorization code.
type code struct {
	signedIn
	redirect  string
	challenge string
	method    string
	expires   time.Time
	redeemed  bool
}

// refreshToken is valid for many resources and stays valid when it was used.
type refreshToken struct {
	signedIn
	issued time.Time
	used   time.Time
	// first is when the chain began: a single-page application gets a day from there.
	first time.Time
}

// remember runs f under the tenant's lock, for reading and changing state.
func (t *Tenant) remember(f func(*state)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.state)
}
