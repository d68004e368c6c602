package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// Case is one sentence about who may do what, as `genkan policy test` reads it.
type Case struct {
	Line     int    // in the file, from 1
	Sentence string // as it stands there
	Identity Identity
	Call     Call // Server is "" when the sentence names none
	// Sees says that the sentence is about what lists show, not about a call.
	Sees bool
	// Want is what the sentence claims.
	Want bool
}

// CaseResult is what became of a case.
type CaseResult struct {
	Case     Case
	Passed   bool
	Decision Decision // of a call; zero for a case about lists
}

// Run asks the rules.
func (c Case) Run(r *Rules) CaseResult {
	if c.Sees {
		return CaseResult{Case: c, Passed: r.Visible(c.Identity, c.Call.Target, c.Call.Name) == c.Want}
	}
	d := r.Decide(c.Identity, c.Call)
	return CaseResult{Case: c, Passed: d.Allowed == c.Want, Decision: d}
}

// ParseCases reads sentences, one a line, and reports every line that it doesn't understand. Lines that begin
// with "#" are comments. Sentences say who somebody is:
//
//	alice is a person with roles Weather.Read, Weather.Write
//	robot is an application with client 00d88624 and groups g1, g2 and scopes mcp
//
// and then who may do what; a name alone is a tool:
//
//	alice may get_forecast
//	alice may not call set_alert on weather with {"city": "Kyoto"}
//	bob may read file:///public/a.txt
//	bob may get briefing                  (a prompt)
//	bob may send tasks/list               (any other method)
//	bob may not see set_alert             (in a list)
//
// Known are identities that need no introduction; the sentences can replace them.
func ParseCases(source string, known map[string]Identity) ([]Case, error) {
	people := maps.Clone(known)
	if people == nil {
		people = map[string]Identity{}
	}
	var cases []Case
	var mistakes []error
	number := 0
	for line := range strings.Lines(source) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := Case{Line: number, Sentence: line}
		if err := c.read(people); err != nil {
			mistakes = append(mistakes, fmt.Errorf("line %d: %w", number, err))
		} else if c.Call.Name != "" {
			cases = append(cases, c)
		}
	}
	return cases, errors.Join(mistakes...)
}

func (c *Case) read(people map[string]Identity) error {
	who, rest, _ := strings.Cut(c.Sentence, " ")
	verb, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	switch verb {
	case "is":
		identity, err := introduce(who, strings.TrimSpace(rest))
		people[who] = identity
		return err
	case "may":
		identity, there := people[who]
		if !there {
			return fmt.Errorf("nobody said who %s is: write \"%s is a person with roles ...\" before", who, who)
		}
		c.Identity, c.Want = identity, true
		return c.readCall(strings.TrimSpace(rest))
	default:
		return fmt.Errorf("%q is no sentence: write \"%s may ...\" or \"%s is a person ...\"", c.Sentence, who, who)
	}
}

// introduce reads what follows "is".
func introduce(who, rest string) (Identity, error) {
	identity := Identity{Tenant: "test", Object: who, Kind: Person, Client: "test", Name: who}
	kind, rest, more := strings.Cut(rest, " with ")
	switch strings.TrimSpace(kind) {
	case "a person":
	case "an application":
		identity.Kind = Application
	default:
		return identity, fmt.Errorf("%s is neither \"a person\" nor \"an application\"", who)
	}
	if !more {
		return identity, nil
	}
	for clause := range strings.SplitSeq(rest, " and ") {
		field, list, _ := strings.Cut(strings.TrimSpace(clause), " ")
		values := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
		if len(values) == 0 {
			return identity, fmt.Errorf("%q has no values", clause)
		}
		switch strings.TrimSuffix(field, "s") {
		case "role":
			identity.Roles = values
		case "group":
			identity.Groups = values
		case "scope":
			identity.Scopes = values
		case "client":
			identity.Client = values[0]
		case "object":
			identity.Object = values[0]
		case "tenant":
			identity.Tenant = values[0]
		default:
			return identity, fmt.Errorf("%q is not something that an identity has: use roles, groups, scopes, client, object, tenant", field)
		}
	}
	return identity, nil
}

// readCall reads what follows "may".
func (c *Case) readCall(rest string) error {
	if after, no := strings.CutPrefix(rest, "not "); no {
		c.Want, rest = false, strings.TrimSpace(after)
	}
	rest, arguments, given := strings.Cut(rest, " with {")
	if given {
		var err error
		if c.Call.Arguments, err = decodeArguments("{" + arguments); err != nil {
			return fmt.Errorf("the arguments are not a JSON object: %w", err)
		}
	}
	words := strings.Fields(rest)
	if n := len(words); n > 2 && words[n-2] == "on" {
		c.Call.Server, words = words[n-1], words[:n-2]
	}
	c.Call.Target = Tool
	if len(words) == 2 {
		switch words[0] {
		case "call":
		case "get":
			c.Call.Target = Prompt
		case "read":
			c.Call.Target = Resource
		case "send":
			c.Call.Target = Method
		case "see":
			c.Sees = true
			c.Call.Target = seen(words[1])
		default:
			return fmt.Errorf("%q is not a verb: use call, get, read, send or see", words[0])
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return errors.New(`it must name one thing, as in "alice may call get_forecast on weather with {...}"`)
	}
	c.Call.Name = words[0]
	return nil
}

// seen guesses what a list shows: what looks like an address is a resource.
func seen(name string) Target {
	if strings.Contains(name, "://") {
		return Resource
	}
	return Tool
}

// decodeArguments makes numbers int64 where they are whole and fit, else float64, as the gateway does.
func decodeArguments(source string) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(source))
	decoder.UseNumber()
	var arguments map[string]any
	if err := decoder.Decode(&arguments); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	numbers(arguments)
	return arguments, nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = numbers(element)
		}
	case []any:
		for i, element := range v {
			v[i] = numbers(element)
		}
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		float, _ := v.Float64()
		return float
	}
	return v
}
