package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// ErrCasesFailed means that rules decide otherwise than somebody wrote down.
var ErrCasesFailed = errors.New("the rules decide otherwise")

// TestPolicy runs sentences such as "alice may get_forecast" against the rules of a configuration. A sentence that
// names no server must hold at every server that has the thing's rules; with one server, there.
func TestPolicy(cfg *config.Config, file string, out io.Writer) error {
	source, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("read cases: %w", err)
	}
	cases, err := policy.ParseCases(string(source), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	rules, err := compileAll(cfg)
	if err != nil {
		return err
	}
	passed, failed := 0, 0
	for _, c := range cases {
		server, err := serverOf(cfg, c.Call.Server)
		if err != nil {
			return fmt.Errorf("%s:%d: %q: %w", file, c.Line, c.Sentence, err)
		}
		c.Call.Server = server
		result := c.Run(rules[server])
		if result.Passed {
			passed++
			continue
		}
		failed++
		_, _ = fmt.Fprintf(out, "%s:%d: %s\n  but %s\n", file, c.Line, c.Sentence, verdict(result.Decision))
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return ErrCasesFailed
	}
	return nil
}

func compileAll(cfg *config.Config) (map[string]*policy.Rules, error) {
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		return nil, err
	}
	rules := map[string]*policy.Rules{}
	for name, s := range cfg.Servers {
		if rules[name], err = policy.Compile(s.Rules, compiler.Compile); err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
	}
	return rules, nil
}

// serverOf is the server that somebody means: the one they name, or the only one.
func serverOf(cfg *config.Config, said string) (string, error) {
	names := sortedKeys(cfg.Servers)
	if said == "" && len(names) == 1 {
		return names[0], nil
	}
	if _, known := cfg.Servers[said]; known {
		return said, nil
	}
	if said == "" {
		return "", fmt.Errorf("there are several servers: say which (%s)", strings.Join(names, ", "))
	}
	return "", fmt.Errorf("there is no server %q, only %s", said, strings.Join(names, ", "))
}

func verdict(d policy.Decision) string {
	if d.Allowed {
		return "it is allowed by " + ruleName(d.Rule)
	}
	if d.Refusal != nil {
		return "it is " + d.Refusal.Error()
	}
	return "it is refused"
}

func ruleName(r policy.RuleID) string {
	if r.Name == "" {
		return "no rule: it needs none"
	}
	return fmt.Sprintf("rule %d (%s)", r.Index, r.Name)
}

// Question is what `genkan policy why` is asked.
type Question struct {
	As        string   // an address, an object ID or "tenant/object" of somebody with a session; or a name, with Roles
	Roles     []string // when given, As need not have a session
	Server    string   // empty: the only one
	Tool      string
	Arguments string // JSON
}

// WhyPolicy explains a decision, rule by rule.
func (a *Admin) WhyPolicy(ctx context.Context, q Question) error {
	server, err := serverOf(a.cfg, q.Server)
	if err != nil {
		return err
	}
	rules, err := compileAll(a.cfg)
	if err != nil {
		return err
	}
	identity, err := a.identityOf(ctx, q)
	if err != nil {
		return err
	}
	call := policy.Call{Server: server, Target: policy.Tool, Name: q.Tool}
	if q.Arguments != "" {
		if err := json.Unmarshal([]byte(q.Arguments), &call.Arguments); err != nil {
			return fmt.Errorf("the arguments are no JSON object: %w", err)
		}
	}
	printExplanation(a.out, identity, call, rules[server].Explain(identity, call))
	return nil
}

// identityOf finds somebody by a session of theirs, or makes them up of roles.
func (a *Admin) identityOf(ctx context.Context, q Question) (policy.Identity, error) {
	if len(q.Roles) > 0 {
		return policy.Identity{Tenant: a.cfg.Entra.Tenant, Object: q.As, Kind: policy.Person, Client: "any", Roles: q.Roles, Username: q.As}, nil
	}
	var found *policy.Identity
	err := a.eachSession(ctx, q.As, func(g grant.Grant) error { found = &g.Identity; return nil })
	if err != nil {
		return policy.Identity{}, err
	}
	if found == nil {
		return policy.Identity{}, fmt.Errorf("%s has no session here, so their roles aren't known: say --role for each", q.As)
	}
	return *found, nil
}

func printExplanation(out io.Writer, id policy.Identity, call policy.Call, e policy.Explanation) {
	_, _ = fmt.Fprintf(out, "%s at %s on %s: %s\n", plain(nameOf(id)), call.Name, call.Server, verdict(e.Decision))
	for i, r := range e.Rules {
		mark := "no"
		if r.Applies {
			mark = "applies"
		}
		_, _ = fmt.Fprintf(out, "\n  rule %d %s (%s): %s\n", i, plain(r.Rule.Name), r.Effect, mark)
		if !r.Names {
			_, _ = fmt.Fprintf(out, "    it is not about %s\n", call.Name)
			continue
		}
		for _, s := range r.Steps {
			answer := "lacks"
			if s.Holds {
				answer = "holds"
			}
			_, _ = fmt.Fprintf(out, "    %s %s: wanted %s, got %s\n", answer, s.Field, s.Wanted, s.Got)
		}
	}
	if e.Nearest >= 0 {
		_, _ = fmt.Fprintf(out, "\nnearest: rule %d would allow it if what it lacks were there\n", e.Nearest)
	}
}
