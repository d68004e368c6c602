package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/policy"
)

type policyView struct {
	Servers  []Server
	Chosen   Server
	Rules    string // YAML, as edited
	Edited   bool
	Mistakes []string
	Who      trial
	People   []policy.Identity
	Verdict  *verdict
	Replay   *replay
}

// trial is a call that nobody makes: who, what, with which arguments.
type trial struct {
	Person    string // a key of an identity that has a session; empty: as written below
	Roles     string
	Groups    string
	Client    string
	Scopes    string
	Tool      string
	Arguments string
}

// verdict is what the rules say about a trial, and why.
type verdict struct {
	Call    string
	Allowed bool
	Hidden  bool
	Rule    string
	Refusal *policy.Refusal
	Missing []string
	Reports []policy.RuleReport
	Nearest int
}

// replay is what would have become of the calls of the last day.
type replay struct {
	Calls, Alike, Unknown int
	Changed               []changedCall
}

type changedCall struct {
	Who, Tool, Client string
	Times             int
	Now, Then         bool // allowed
	Why               string
}

// policyPage shows the rules of a server, and lets them be tried.
func (k *Console) policyPage(w http.ResponseWriter, r *http.Request, s *session) error {
	v, err := k.policyView(r.Context(), r.URL.Query())
	if err != nil {
		return err
	}
	return k.render(w, r, s, view{Name: "policy", Title: "Policy", Data: v})
}

// policyTry decides a trial by edited rules, or replays the last day's calls against them. Nothing is changed: rules
// come from the configuration only.
func (k *Console) policyTry(w http.ResponseWriter, r *http.Request, s *session) error {
	v, err := k.policyView(r.Context(), r.PostForm)
	if err != nil {
		return err
	}
	edited, mistakes := k.compile(v.Rules)
	v.Mistakes = mistakes
	if len(mistakes) == 0 {
		switch {
		case r.PostFormValue("do") == "replay" && k.Admin.Audit != nil:
			v.Replay, err = k.replay(r.Context(), v.Chosen, edited)
		default:
			v.Verdict, v.Mistakes = k.judge(v, edited)
		}
	}
	if err != nil {
		return err
	}
	return k.render(w, r, s, view{Name: "policy", Title: "Policy", Data: v})
}

func (k *Console) policyView(ctx context.Context, form url.Values) (policyView, error) {
	v := policyView{Servers: k.Servers()}
	if len(v.Servers) == 0 {
		return v, &notice{Status: http.StatusNotFound, Title: "No server", Text: "No server is configured, so there are no rules."}
	}
	v.Chosen = v.Servers[0]
	if server, ok := k.server(form.Get("server")); ok {
		v.Chosen = server
	}
	source, err := writeRules(v.Chosen.Source)
	if err != nil {
		return v, err
	}
	v.Rules = source
	if edited := form.Get("rules"); edited != "" && len(edited) < 256<<10 {
		edited = strings.ReplaceAll(edited, "\r\n", "\n")
		v.Edited = strings.TrimSpace(edited) != strings.TrimSpace(source)
		v.Rules = edited
	}
	v.Who = trial{
		Person: form.Get("person"), Roles: form.Get("roles"), Groups: form.Get("groups"), Client: form.Get("client"),
		Scopes: cmp.Or(form.Get("scopes"), baseScope), Tool: form.Get("tool"), Arguments: form.Get("arguments"),
	}
	identities, err := k.identities(ctx)
	if err != nil {
		return v, err
	}
	for _, id := range identities {
		v.People = append(v.People, id)
	}
	slices.SortFunc(v.People, func(a, b policy.Identity) int { return cmp.Compare(a.Name, b.Name) })
	return v, nil
}

func writeRules(rules []policy.Rule) (string, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(rules); err != nil {
		return "", err
	}
	return b.String(), encoder.Close()
}

// compile reads edited rules and says every mistake in them.
func (k *Console) compile(source string) (*policy.Rules, []string) {
	var rules []policy.Rule
	decoder := yaml.NewDecoder(strings.NewReader(source))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		return nil, []string{"The rules are not a list of rules in YAML: " + printable(err.Error())}
	}
	compiled, err := policy.Compile(rules, k.Admin.Conditions)
	if err != nil {
		return nil, strings.Split(err.Error(), "\n")
	}
	return compiled, nil
}

// judge decides the trial.
func (k *Console) judge(v policyView, rules *policy.Rules) (*verdict, []string) {
	id := policy.Identity{Tenant: "tried", Object: "tried", Kind: policy.Person, Roles: list(v.Who.Roles), Groups: list(v.Who.Groups), Name: "somebody"}
	if i := slices.IndexFunc(v.People, func(p policy.Identity) bool { return p.Key() == v.Who.Person }); i >= 0 {
		id = v.People[i]
	}
	id.Client, id.Scopes = v.Who.Client, list(v.Who.Scopes)
	call := policy.Call{Server: v.Chosen.Name, Target: policy.Tool, Name: v.Who.Tool}
	if call.Name == "" {
		return nil, []string{"Name the tool that is to be tried."}
	}
	if written := strings.TrimSpace(v.Who.Arguments); written != "" {
		arguments, ok := readCallArguments(written)
		if !ok {
			return nil, []string{"The arguments must be one JSON object."}
		}
		call.Arguments = arguments
	}
	why := rules.Explain(id, call)
	return &verdict{
		Call: id.Name + " calls " + printable(call.Name), Allowed: why.Decision.Allowed, Hidden: why.Decision.Hidden, Rule: why.Decision.Rule.Name,
		Refusal: why.Decision.Refusal, Missing: why.Decision.MissingScopes, Reports: why.Rules, Nearest: why.Nearest,
	}, nil
}

// readCallArguments reads numbers as conditions see them: int64 where they fit.
func readCallArguments(text string) (map[string]any, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var arguments map[string]any
	if decoder.Decode(&arguments) != nil || arguments == nil || decoder.More() {
		return nil, false
	}
	read, _ := numbers(arguments).(map[string]any)
	return read, true
}

func numbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for key, e := range v {
			v[key] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	}
	return value
}

// replay holds the calls of the last day against the edited rules. The log has no roles, so only the calls of people
// who still have a session can be judged; arguments count where they were written down.
func (k *Console) replay(ctx context.Context, server Server, edited *policy.Rules) (*replay, error) {
	since := k.Now().Add(-24 * time.Hour)
	lines, _, err := k.lines(ctx, func(l *line) bool {
		return l.Server == server.Name && l.Method == "tools/call" && l.Target != "" && !l.Time.Before(since) &&
			(l.Kind == audit.Call || l.Refusal != nil && (l.Refusal.Check == policy.CheckRule || l.Refusal.Check == policy.CheckScope))
	}, 20000)
	if err != nil {
		return nil, err
	}
	identities, err := k.identities(ctx)
	if err != nil {
		return nil, err
	}
	result := &replay{Calls: len(lines)}
	at := map[string]int{}
	for _, l := range lines {
		id, known := identities[l.Tenant+"/"+l.Object]
		if !known {
			result.Unknown++
			continue
		}
		id.Client = l.Client
		call := policy.Call{Server: server.Name, Target: policy.Tool, Name: l.Target}
		if len(l.Arguments) > 0 {
			call.Arguments, _ = readCallArguments(string(l.Arguments))
		}
		before, after := server.Rules.Decide(id, call), edited.Decide(id, call)
		if before.Allowed == after.Allowed {
			result.Alike++
			continue
		}
		result.add(at, l, after, before.Allowed)
	}
	return result, nil
}

func (r *replay) add(at map[string]int, l line, after policy.Decision, before bool) { //nolint:revive // what was decided, not a mode
	key := l.Object + "\x00" + l.Target + "\x00" + l.Client
	i, known := at[key]
	if !known {
		i = len(r.Changed)
		at[key] = i
		changed := changedCall{Who: l.Name, Tool: l.Target, Client: l.Client, Now: before, Then: after.Allowed, Why: "allowed by " + after.Rule.Name}
		if after.Refusal != nil {
			changed.Why = "wanted " + after.Refusal.Wanted + ", got " + after.Refusal.Got
		}
		r.Changed = append(r.Changed, changed)
	}
	r.Changed[i].Times++
}

// list takes words apart that stand with spaces or commas between them.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}
