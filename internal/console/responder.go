package console

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// responder answers without a model, so that the chat works with no account anywhere: it finds the tool by the words
// of its description, asks for arguments that are missing, and shows the result. It says that it is no model.
type responder struct{}

var _ model = responder{}

// asking is what the responder waits for: the next thing that the person says is the argument.
type asking struct {
	Called    string
	Argument  string
	Arguments map[string]any
}

func (responder) name() string { return "A built-in responder (no language model)" }

func (responder) thinks() bool { return false }

// answer looks at what was said last.
func (r responder) answer(_ context.Context, q question, say func(string)) (turn, error) {
	if len(q.turns) == 0 {
		return turn{}, nil
	}
	var t turn
	last := q.turns[len(q.turns)-1]
	switch {
	case last.By == byModel:
		t.Text = r.report(last)
	case r.wasAsking(q) != nil:
		t = r.complete(q, *r.wasAsking(q), last.Text)
	default:
		t = r.begin(q, last.Text)
	}
	if len(q.turns) == 1 {
		t.Text = strings.TrimSpace("I am not a language model: I look for a tool whose description has your words in it. " + t.Text)
	}
	if t.Text != "" {
		say(t.Text)
	}
	return t, nil
}

func (responder) wasAsking(q question) *asking {
	if len(q.turns) < 2 {
		return nil
	}
	return q.turns[len(q.turns)-2].Asking
}

// begin finds the tool that the person means.
func (r responder) begin(q question, text string) turn {
	best := pick(q.offers, text)
	if best < 0 {
		return turn{Text: r.lost(q.offers)}
	}
	return r.use(q.offers[best], readWords(q.offers[best], text))
}

// complete takes what the person said for the argument that was asked for.
func (r responder) complete(q question, a asking, text string) turn {
	i := slices.IndexFunc(q.offers, func(o offer) bool { return o.called == a.Called })
	if i < 0 || slices.Contains([]string{"cancel", "stop", "no", "never mind", "nothing"}, strings.ToLower(strings.Trim(text, " .!"))) {
		return turn{Text: "Then not. What else can I look up?"}
	}
	if a.Arguments == nil {
		a.Arguments = map[string]any{}
	}
	for _, f := range formOf(q.offers[i].Schema) {
		if f.property() != a.Argument {
			continue
		}
		value, ok := oneValue(f, text)
		if !ok {
			return turn{Text: f.Title + " can't be that. " + ask(f), Asking: &a}
		}
		a.Arguments[a.Argument] = value
	}
	return r.use(q.offers[i], a.Arguments)
}

// use calls the tool, or asks for the first argument that is missing.
func (responder) use(o offer, arguments map[string]any) turn {
	for _, f := range formOf(o.Schema) {
		if _, given := arguments[f.property()]; f.Required && !given {
			if f.Kind == fieldFixed {
				arguments[f.property()] = f.Fixed
				continue
			}
			return turn{Text: fmt.Sprintf("I would use %s of %s. %s", o.Title, o.server.Label(), ask(f)), Asking: &asking{Called: o.called, Argument: f.property(), Arguments: arguments}}
		}
	}
	return turn{Text: fmt.Sprintf("I use %s of %s.", o.Title, o.server.Label()), Calls: []toolCall{{ID: "call-" + o.called, Name: o.called, Arguments: compact(arguments)}}}
}

func ask(f field) string {
	text := "Which " + strings.ToLower(strings.ReplaceAll(f.Title, "_", " ")) + "?"
	if f.About != "" {
		text += " (" + f.About + ")"
	}
	if len(f.Options) > 0 {
		var labels []string
		for _, o := range f.Options {
			labels = append(labels, o.Label)
		}
		text += " One of: " + strings.Join(labels, ", ") + "."
	}
	return text
}

// lost says what there is, when nothing fits.
func (responder) lost(offers []offer) string {
	if len(offers) == 0 {
		return "You may not use any tool at the moment."
	}
	var b strings.Builder
	b.WriteString("I found no tool for that. These I could use:")
	for i, o := range offers {
		if i == 12 {
			fmt.Fprintf(&b, "\nand %d more.", len(offers)-i)
			break
		}
		fmt.Fprintf(&b, "\n- %s: %s", o.Title, o.About)
	}
	return b.String()
}

// report tells what came of the calls.
func (responder) report(last turn) string {
	var parts []string
	for _, call := range last.Calls {
		switch {
		case call.State == callDeclined:
			parts = append(parts, "I did not do it, as you said.")
		case call.Outcome.Failed:
			parts = append(parts, "That did not work: "+call.Outcome.short())
		default:
			parts = append(parts, inWords(call.Outcome))
		}
	}
	return strings.Join(parts, "\n\n")
}

// inWords writes a result for reading: one line for each of its facts.
func inWords(o outcome) string {
	var object map[string]any
	if json.Unmarshal([]byte(o.Structured), &object) != nil {
		return o.whole()
	}
	var b strings.Builder
	b.WriteString("This is what it says:")
	writeFacts(&b, object, 0)
	return b.String()
}

func writeFacts(b *strings.Builder, object map[string]any, depth int) {
	keys := sortedKeys(object)
	slices.SortStableFunc(keys, func(a, b string) int { return weight(object[a]) - weight(object[b]) })
	for _, key := range keys {
		label := "\n" + strings.Repeat("  ", depth) + "- " + strings.ReplaceAll(key, "_", " ") + ": "
		switch value := object[key].(type) {
		case map[string]any:
			b.WriteString(strings.TrimSuffix(label, " "))
			writeFacts(b, value, depth+1)
		case []any:
			b.WriteString(label)
			writeList(b, value, depth)
		default:
			b.WriteString(label + factText(value))
		}
	}
}

// weight puts plain facts before those that need many lines.
func weight(value any) int {
	switch v := value.(type) {
	case map[string]any:
		return 2
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(map[string]any); ok {
				return 2
			}
		}
		return 1
	}
	return 0
}

func writeList(b *strings.Builder, list []any, depth int) {
	var plain []string
	for _, e := range list {
		object, ok := e.(map[string]any)
		if !ok {
			plain = append(plain, factText(e))
			continue
		}
		var facts []string
		for _, key := range sortedKeys(object) {
			facts = append(facts, strings.ReplaceAll(key, "_", " ")+" "+factText(object[key]))
		}
		b.WriteString("\n" + strings.Repeat("  ", depth+1) + "- " + strings.Join(facts, ", "))
	}
	if len(list) == 0 {
		plain = []string{"none"}
	}
	b.WriteString(strings.Join(plain, ", "))
}

func factText(value any) string {
	switch v := value.(type) {
	case nil:
		return "none"
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	}
	return plainText(value)
}

// pick is the tool whose words are most in the text; -1: none. A word that many tools have says little, and among
// equals the one that changes nothing is taken.
func pick(offers []offer, text string) int {
	asked := words(text)
	having := map[string]int{}
	of := make([]map[string]int, len(offers))
	for i, o := range offers {
		of[i] = wordsOf(o)
		for word := range of[i] {
			having[word]++
		}
	}
	best, most := -1, 0.0
	for i := range offers {
		score := 0.0
		for _, word := range asked {
			if weight := of[i][word]; weight > 0 {
				score += float64(weight) / float64(having[word])
			}
		}
		if score > most || score == most && score > 0 && best >= 0 && offers[i].ReadOnly && !offers[best].ReadOnly {
			best, most = i, score
		}
	}
	return best
}

// wordsOf are the words of a tool, those of its name counting most.
func wordsOf(o offer) map[string]int {
	weights := map[string]int{}
	for weight, text := range map[int]string{1: o.About, 2: o.Title, 3: strings.ReplaceAll(o.Name, "_", " ")} {
		for _, word := range words(text) {
			weights[word] = max(weights[word], weight)
		}
	}
	return weights
}

// words takes a text apart: lower case, without the words that say nothing, without endings.
func words(text string) []string {
	meaning := map[string]string{"myself": "user", "me": "user", "i": "user", "my": "user", "you": "user", "your": "user", "temperature": "weather", "cities": "city"}
	empty := []string{"a", "an", "the", "of", "in", "for", "to", "and", "or", "is", "are", "be", "will", "what", "whats", "tell", "tells", "about", "show",
		"give", "get", "please", "can", "could", "do", "does", "it", "its", "that", "there", "with", "on", "at", "how", "want", "set", "sets", "so", "than", "this", "would", "like"}
	var found []string
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if same, ok := meaning[word]; ok {
			word = same
		} else if slices.Contains(empty, word) {
			continue
		} else if len(word) > 4 {
			word = strings.TrimSuffix(word, "s")
		}
		if !slices.Contains(found, word) {
			found = append(found, word)
		}
	}
	return found
}

// readWords finds arguments in what the person said: "city: Kyoto", "in Kyoto", "above 30".
func readWords(o offer, text string) map[string]any {
	arguments := map[string]any{}
	for _, f := range formOf(o.Schema) {
		name := regexp.QuoteMeta(strings.ReplaceAll(f.property(), "_", " "))
		near := regexp.MustCompile(`(?i)\b` + name + `\s*[:=]?\s+"?([\p{L}\d.+-]+)"?`).FindStringSubmatch(text)
		if near != nil {
			if value, ok := oneValue(f, near[1]); ok {
				arguments[f.property()] = value
				continue
			}
		}
		if !f.Required || f.Kind != fieldText {
			continue
		}
		if place := regexp.MustCompile(`\b(?:in|for|of|at|to)\s+"?(\p{Lu}[\p{L}-]*(?:\s\p{Lu}[\p{L}-]*)*)`).FindStringSubmatch(text); place != nil {
			arguments[f.property()] = place[1]
		}
	}
	return arguments
}

// oneValue reads what the person said as the value of a field.
func oneValue(f field, text string) (any, bool) {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	for _, o := range f.Options {
		if strings.EqualFold(o.Label, strings.TrimRight(text, ".!?")) {
			text = o.Value
		}
	}
	r := formReader{}
	value := r.scalar(&f, text)
	switch f.Kind {
	case fieldText:
		return strings.TrimRight(text, "?!"), text != ""
	case fieldNumber, fieldChoice, fieldJSON:
		return value, value != nil && len(r.mistakes) == 0
	}
	return nil, false
}

func sortedKeys(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
