package condition_test

import (
	"encoding/json"
	"testing"

	"github.com/genkan-mcp/genkan/policy/condition"
)

// FuzzCondition: whatever is written and sent, compiling and evaluating end, in an answer or an error.
func FuzzCondition(f *testing.F) {
	for _, seed := range [][2]string{
		{`args.amount < 1000`, `{"amount": 5}`},
		{`args.tags.all(t, t.startsWith("a")) && "r" in identity.roles`, `{"tags": ["a", 1, null]}`},
		{`args.a.matches(args.b)`, `{"a": "aaaaaaaa", "b": "(a*)*b"}`},
		{`has(args.x.y) ? args.x.y == 1.5 : tool == "t"`, `{"x": {"y": 1.5}}`},
		{`size(args) > 0 && args == {"a": [1]}`, `{"a": [1]}`},
		{`timestamp(args.t) < timestamp("2026-01-01T00:00:00Z")`, `{"t": "x"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	c := compiler(f, condition.Config{MaxCost: 10_000})
	f.Fuzz(func(t *testing.T, source, arguments string) {
		compiled, err := c.Compile(source)
		if err != nil {
			return
		}
		var args map[string]any
		_ = json.Unmarshal([]byte(arguments), &args)
		first, err := compiled.Holds(subject(args))
		again, errAgain := compiled.Holds(subject(args))
		if first != again || (err == nil) != (errAgain == nil) {
			t.Errorf("%v %v, then %v %v", first, err, again, errAgain)
		}
		if err != nil && first {
			t.Error("true and an error")
		}
	})
}
