package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/policy"
)

// exchange is what came of asking for a token on behalf of the person. The token itself is not kept.
type exchange struct {
	Name    string // of the Downstream
	At      time.Time
	Claims  json.RawMessage `json:",omitempty"`
	Refusal *exchangeRefusal
}

// exchangeRefusal is Entra's no, with what to do.
type exchangeRefusal struct {
	Code            int
	OAuth, Suberror string
	Remedy          string
	Trace           string
	Challenge       string   // claims that the next sign-in must satisfy
	Again           bool     // a new sign-in can help
	Permissions     []string // that nobody has consented to
	AdminConsent    string   // where an administrator can
}

// tokensView is what the page of tokens shows.
type tokensView struct {
	Phases     []phase
	Columns    []column
	Rows       []claimRow
	Checks     []checkRow
	Passed     int
	Doors      []doorView
	Closed     []Server // servers that the console has no session for
	Downstream []downstreamView
	SessionEnd time.Time
	Began      time.Time
}

type phase struct {
	Number        int
	Title, About  string
	From, Via, To string
	Lit           bool
	State         string
	Result        string
}

// column is one token beside the others, with its life as a bar.
type column struct {
	claimSet
	Issued, Expires time.Time
	Spent           int // of the life, in percent
	Left            string
	Over            bool
}

type checkRow struct {
	entra.CheckResult
	Number int // among the eight; zero: one of the others
	About  string
}

type doorView struct {
	Server  Server
	Grant   string
	Expires time.Time
	Spent   int
	Left    string
}

type downstreamView struct {
	Downstream
	Result *exchange
}

// tokensPage shows everything that the person's tokens say.
func (k *Console) tokensPage(w http.ResponseWriter, r *http.Request, s *session) error {
	data, err := k.tokensView(r.Context(), s)
	if err != nil {
		return err
	}
	return k.render(w, r, s, view{Name: "tokens", Title: "Tokens", Data: data})
}

func (k *Console) tokensView(ctx context.Context, s *session) (tokensView, error) {
	token, err := k.Entra.AccessToken(entra.NewState(s.State))
	if err != nil {
		return tokensView{}, err
	}
	v := tokensView{SessionEnd: s.expires(), Began: s.Began}
	v.Columns = k.columns(s, token)
	var sets []claimSet
	for _, c := range v.Columns {
		sets = append(sets, c.claimSet)
	}
	v.Rows = compareClaims(sets)
	for _, result := range k.Entra.Verifier().Explain(ctx, token.Reveal()) {
		row := checkRow{CheckResult: result, Number: eighth(result.Check), About: aboutCheck(result.Check)}
		if result.Passed {
			v.Passed++
		}
		v.Checks = append(v.Checks, row)
	}
	v.addDoors(k, s)
	for _, d := range k.Downstream {
		item := downstreamView{Downstream: d}
		if i := slices.IndexFunc(s.Exchanges, func(e exchange) bool { return e.Name == d.Name }); i >= 0 {
			item.Result = &s.Exchanges[i]
		}
		v.Downstream = append(v.Downstream, item)
	}
	v.Phases = phases(s)
	return v, nil
}

// columns are the tokens in the order of the phases.
func (k *Console) columns(s *session, token entra.Token) []column {
	var columns []column
	add := func(title, note string, raw json.RawMessage) {
		if set, ok := readClaimSet(title, note, raw); ok {
			columns = append(columns, k.column(set))
		}
	}
	add("ID token", "Phase 1 · tells Genkan who signed in", s.IDClaims)
	if claims, err := payload(token.Reveal()); err == nil {
		add("Delegated token", "Phase 2 · lets Genkan act for you", claims)
	}
	for _, d := range k.Downstream {
		for _, e := range s.Exchanges {
			if e.Name == d.Name && len(e.Claims) > 0 {
				note := "Phase 3 · on behalf of you"
				if d.Name == "graph" {
					note = "Phase 1 · reads your profile"
				}
				add(d.Title, note, e.Claims)
			}
		}
	}
	return columns
}

func (k *Console) column(set claimSet) column {
	c := column{claimSet: set, Issued: set.moment("iat"), Expires: set.moment("exp")}
	c.Spent, c.Left, c.Over = life(k.Now(), c.Issued, c.Expires)
	return c
}

// life says how much of a life is over, and how much is left.
func life(now, from, until time.Time) (percent int, left string, over bool) {
	whole := until.Sub(from)
	if whole <= 0 || !now.Before(until) {
		return 100, "ended", true
	}
	spent := min(max(int(now.Sub(from)*100/whole), 0), 100)
	return spent, shortDuration(until.Sub(now)) + " left", false
}

func (v *tokensView) addDoors(k *Console, s *session) {
	for _, server := range k.Servers() {
		door, isOpen := s.Doors[server.Name]
		if !isOpen || !k.Now().Before(door.Expires) {
			v.Closed = append(v.Closed, server)
			continue
		}
		d := doorView{Server: server, Grant: door.Grant, Expires: door.Expires}
		d.Spent, d.Left, _ = life(k.Now(), door.Expires.Add(-time.Hour), door.Expires)
		v.Doors = append(v.Doors, d)
	}
}

func phases(s *session) []phase {
	all := []phase{
		{Number: 1, Title: "You sign in", About: "Authorization code with PKCE: Entra tells Genkan who you are.", From: "You", Via: "Microsoft Entra ID", To: "Genkan", Lit: true, Result: "ID token"},
		{Number: 2, Title: "Genkan acts for you", About: "A delegated token, made for Genkan alone; in exchange each server gets a session of its own.", From: "Genkan", Via: "session for one server", To: "MCP server", Lit: len(s.Doors) > 0, Result: "Delegated token"},
		{Number: 3, Title: "Services behind, as you", About: "On-behalf-of: Entra exchanges the delegated token for one that a further service accepts.", From: "Genkan", Via: "Microsoft Entra ID", To: "Azure service", Result: "On-behalf-of token"},
	}
	all[2].Lit = slices.ContainsFunc(s.Exchanges, func(e exchange) bool { return len(e.Claims) > 0 && e.Name != "graph" })
	for i := range all {
		all[i].State = "not yet"
		if all[i].Lit {
			all[i].State = "done"
		}
	}
	return all
}

// exchangeToken asks Entra for a token on behalf of the person and keeps what it says.
func (k *Console) exchangeToken(w http.ResponseWriter, r *http.Request, s *session) error {
	name := r.PostFormValue("service")
	behalf, known := k.exchanges[name]
	if !known {
		return badRequest("There is no such service.", "Choose one of the page.")
	}
	token, err := k.Entra.AccessToken(entra.NewState(s.State))
	if err != nil {
		return err
	}
	result := exchange{Name: name, At: k.Now()}
	got, err := behalf.Token(r.Context(), entra.Assertion{Token: token})
	if err == nil {
		result.Claims, err = payload(got.Reveal())
	}
	if err != nil {
		if result.Refusal = exchangeRefused(err); result.Refusal == nil {
			return err
		}
	}
	if err := k.change(r.Context(), s, func(s *session) error {
		s.Exchanges = slices.DeleteFunc(s.Exchanges, func(e exchange) bool { return e.Name == name })
		s.Exchanges = append(s.Exchanges, result)
		return nil
	}); err != nil {
		return err
	}
	http.Redirect(w, r, Root+"tokens#service-"+name, http.StatusSeeOther) //nolint:gosec // a page of ours, and a name of the configuration
	return nil
}

func exchangeRefused(err error) *exchangeRefusal {
	failure, ok := errors.AsType[*entra.Error](err)
	if !ok {
		return nil
	}
	refused := &exchangeRefusal{
		Code: failure.Code, OAuth: printable(failure.OAuth), Suberror: printable(failure.Suberror), Remedy: failure.Remedy,
		Trace: printable(failure.TraceID),
	}
	if interaction, ok := errors.AsType[*entra.InteractionRequiredError](err); ok {
		refused.Again, refused.Challenge = true, interaction.Claims
	}
	if consent, ok := errors.AsType[*entra.ConsentRequiredError](err); ok {
		refused.Again, refused.Permissions, refused.AdminConsent = false, consent.Permissions, consent.AdminConsentURL
	}
	return refused
}

// satisfy sends the person to Entra with what it asked for when it refused a token. So a page asks for a further
// proof only when it is needed.
func (k *Console) satisfy(w http.ResponseWriter, r *http.Request, s *session) error {
	for _, e := range s.Exchanges {
		if e.Name == r.PathValue("service") && e.Refusal != nil && e.Refusal.Again {
			return k.toEntra(w, r, "", Root+"tokens#service-"+e.Name, e.Refusal.Challenge)
		}
	}
	return k.nowhere(w, r)
}

// openDoor opens the console's session for a server.
func (k *Console) openDoor(w http.ResponseWriter, r *http.Request, s *session) error {
	server, ok := k.server(r.PostFormValue("server"))
	if !ok {
		return badRequest("There is no such server.", "Choose one of the page.")
	}
	if _, err := k.door(r.Context(), s, server); err != nil {
		return err
	}
	http.Redirect(w, r, Root+"tokens#doors", http.StatusSeeOther)
	return nil
}

// refreshTokens asks Entra again at once: what changed there is seen here.
func (k *Console) refreshTokens(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := k.refresh(r.Context(), s); err != nil {
		return err
	}
	http.Redirect(w, r, Root+"tokens", http.StatusSeeOther)
	return nil
}

// eighth is the place of a check among the eight.
func eighth(check policy.Check) int {
	return 1 + slices.Index([]policy.Check{
		policy.CheckAudience, policy.CheckIssuer, policy.CheckTenant, policy.CheckExpiry,
		policy.CheckNotBefore, policy.CheckClient, policy.CheckObject, policy.CheckScope,
	}, check)
}

func aboutCheck(check policy.Check) string {
	return map[policy.Check]string{
		policy.CheckToken:     "It is a token at all, well formed",
		policy.CheckSignature: "Entra signed it, and nobody changed it since",
		policy.CheckAudience:  "It was made for Genkan, not for somebody else",
		policy.CheckIssuer:    "The configured tenant made it",
		policy.CheckTenant:    "The person belongs to that tenant",
		policy.CheckExpiry:    "It has not ended",
		policy.CheckNotBefore: "It is already valid",
		policy.CheckClient:    "The client that asked for it may do so",
		policy.CheckObject:    "It says who the person is",
		policy.CheckScope:     "The person let the client do this",
		policy.CheckKind:      "It speaks for a person, where a person is needed",
		policy.CheckGroups:    "The person's groups are known",
	}[check]
}
