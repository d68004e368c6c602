package condition_test

import (
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

func compiler(t testing.TB, config condition.Config) *condition.Compiler {
	t.Helper()
	c, err := condition.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func alice() policy.Identity {
	return policy.Identity{
		Tenant: "6f89cf12-978b-4d23-ac18-9ef0c127cf87", Object: "a11ce", Kind: policy.Person,
		Client: "editor", Roles: []string{"Weather.Read", "Weather.Write"}, Groups: []string{"g1"}, Scopes: []string{"mcp"},
		Name: "Alice", Username: "alice@contoso.example",
	}
}

func subject(args map[string]any) policy.Subject {
	return policy.Subject{
		Identity: alice(),
		Call:     policy.Call{Server: "weather", Target: policy.Tool, Name: "set_alert", Arguments: args},
	}
}

func TestConditionsSeeWhoCallsAndWithWhat(t *testing.T) {
	c := compiler(t, condition.Config{})
	nested := map[string]any{
		"amount": int64(100), "ratio": 0.5, "city": "Kyoto", "tags": []any{"a", "b"},
		"filter": map[string]any{"owner": "alice"}, "big": int64(9007199254740993), "none": nil,
	}
	for _, test := range []struct {
		source string
		want   bool
	}{
		{`true`, true},
		{`identity.tenant == "6f89cf12-978b-4d23-ac18-9ef0c127cf87"`, true},
		{`identity.object == "a11ce" && identity.kind == "person" && identity.client == "editor"`, true},
		{`"Weather.Write" in identity.roles`, true},
		{`"Weather.Admin" in identity.roles`, false},
		{`identity.groups.exists(g, g == "g1") && identity.scopes == ["mcp"]`, true},
		{`server == "weather" && tool == "set_alert" && prompt == "" && resource == ""`, true},
		{`args.amount < 1000`, true},
		{`args.amount < 99.5`, false},
		{`args.ratio < 1`, true},
		{`args.big == 9007199254740993`, true},
		{`args.city in ["Kyoto", "Nara"]`, true},
		{`args.tags.all(t, t in ["a", "b"])`, true},
		{`args.filter.owner == "alice"`, true},
		{`has(args.path)`, false},
		{`!has(args.path) || args.path.startsWith("/public/")`, true},
		{`args.none == null`, true},
		{`args.city.matches("^K[a-z]+$")`, true},
		{`size(args) == 7`, true},
	} {
		compiled, err := c.Compile(test.source)
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		if got, err := compiled.Holds(subject(nested)); got != test.want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", test.source, got, err, test.want)
		}
	}
}

func TestAMistakeIsFoundWhenTheConditionIsCompiled(t *testing.T) {
	c := compiler(t, condition.Config{})
	for name, test := range map[string]struct{ source, want string }{
		"syntax":           {`args.amount <`, "Syntax error"},
		"unknown variable": {`user.name == "x"`, "undeclared reference"},
		"unknown field":    {`identity.role == "x"`, "undeclared reference"},
		"names of people":  {`identity.name == "Alice"`, "undeclared reference"},
		"addresses":        {`identity.username == "alice@contoso.example"`, "undeclared reference"},
		"not a bool":       {`args.amount + 1`, "must be true or false"},
		"a bare argument":  {`args.confirmed`, "must be true or false"},
		"a text":           {`"yes"`, "must be true or false"},
		"types":            {`identity.roles == "x"`, "no matching overload"},
		"a regexp":         {`tool.matches("(")`, "invalid matches argument"},
		"nested loops":     {`args.a.all(x, args.a.all(y, args.a.all(z, x == y && y == z)))`, "comprehension exceeds nesting limit"},
		"too long":         {`true ` + strings.Repeat("|| true ", 1000), "size"},
		"empty":            {``, "Syntax error"},
		"a clock":          {`now() > timestamp("2026-01-01T00:00:00Z")`, "undeclared reference"},
		"deep":             {strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "recursion"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Compile(test.source)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something about %q", err, test.want)
			}
		})
	}
}

func TestWhatCannotBeDecidedIsAnError(t *testing.T) {
	c := compiler(t, condition.Config{MaxCost: 10_000})
	long := make([]any, 500)
	for i := range long {
		long[i] = "x"
	}
	for name, test := range map[string]struct {
		source string
		args   map[string]any
	}{
		"argument missing":    {`args.amount < 5`, nil},
		"another type":        {`args.amount < 5`, map[string]any{"amount": "4"}},
		"null":                {`args.city.startsWith("K")`, map[string]any{"city": nil}},
		"not a list":          {`args.tags.exists(t, t == "a")`, map[string]any{"tags": int64(1)}},
		"division by zero":    {`1 / args.n == 1`, map[string]any{"n": int64(0)}},
		"overflow":            {`args.n + 1 > 0`, map[string]any{"n": int64(9223372036854775807)}},
		"costs too much":      {`args.a.all(x, args.a.all(y, x == y))`, map[string]any{"a": long}},
		"a stranger's regexp": {`tool.matches(args.re)`, map[string]any{"re": "("}},
	} {
		t.Run(name, func(t *testing.T) {
			compiled, err := c.Compile(test.source)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := compiled.Holds(subject(test.args)); err == nil {
				t.Errorf("it decided %v", got)
			}
		})
	}
}

func TestUsesArguments(t *testing.T) {
	c := compiler(t, condition.Config{})
	for source, want := range map[string]bool{
		`args.amount < 5`:                       true,
		`size(args) == 0`:                       true,
		`identity.kind == "person"`:             false,
		`identity.roles.exists(x, x == "y")`:    false,
		`has(args.x) || tool == "y"`:            true,
		`identity.roles.exists(x, x in args.y)`: true,
	} {
		compiled, err := c.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.UsesArguments(); got != want {
			t.Errorf("%s: got %v, want %v", source, got, want)
		}
	}
}
