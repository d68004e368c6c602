package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// kinds of field, each of which the template knows how to draw.
const (
	fieldText    = "text"
	fieldNumber  = "number"
	fieldChoice  = "choice"  // one of Options
	fieldChoices = "choices" // any of Options
	fieldLines   = "lines"   // a list, one entry a line
	fieldGroup   = "group"   // an object
	fieldEntries = "entries" // a list of objects
	fieldFixed   = "fixed"   // a constant
	fieldJSON    = "json"    // whatever no form can say
)

// maxDepth bounds how deep a form goes; below it, JSON is written by hand.
const maxDepth = 6

// field is one thing to fill in, made of a JSON schema.
type field struct {
	Name     string // of the form's field: the keys on the way, joined
	Key      string
	Title    string
	About    string
	Kind     string
	Required bool
	Insist   bool   // the browser may insist on it: nothing around it can be left out
	Whole    bool   // integers only
	Input    string // the type of the input: text, email, url, date, datetime-local, number
	Pattern  string
	Min, Max string
	Step     string
	Longest  string
	Options  []choice
	Fields   []field   // of a group
	Each     *field    // of lines: one entry
	Entries  [][]field // of entries
	Blank    []field   // one entry, to be copied by the script
	Value    string
	Hint     string // shown where nothing is filled in
	Fixed    any
}

type choice struct {
	Label, Value string // Value is JSON
	Chosen       bool
}

// schemaReader follows references within one schema.
type schemaReader struct{ root map[string]any }

// formOf makes the fields of a tool's arguments. A schema that isn't an object with properties has no field: its
// arguments can be written as JSON only.
func formOf(schema any) []field {
	root, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	r := schemaReader{root}
	fields := r.properties(root, "arg", 0)
	insist(fields)
	return fields
}

// insist marks what must be filled in whatever else is. What stands in a part that can be left out has no default
// either, only a hint: else the part would always be sent.
func insist(fields []field) {
	for i := range fields {
		f := &fields[i]
		f.Insist = f.Required
		if f.Kind == fieldGroup && f.Required {
			insist(f.Fields)
			continue
		}
		hint(f.Fields)
		hint(f.Blank)
		for _, entry := range f.Entries {
			hint(entry)
		}
	}
}

func hint(fields []field) {
	for i := range fields {
		f := &fields[i]
		if f.Value != "" && f.Kind != fieldFixed {
			f.Hint, f.Value = f.Value, ""
		}
		f.choose("")
		hint(f.Fields)
		hint(f.Blank)
		for _, entry := range f.Entries {
			hint(entry)
		}
	}
}

func (r schemaReader) properties(schema map[string]any, prefix string, depth int) []field {
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return nil
	}
	required := texts(schema["required"])
	var fields []field
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		f := r.field(properties[key], prefix+"."+escapeKey(key), key, depth)
		f.Required = slices.Contains(required, key)
		fields = append(fields, f)
	}
	slices.SortStableFunc(fields, func(a, b field) int { return rank(a) - rank(b) })
	return fields
}

func rank(f field) int {
	if f.Required {
		return 0
	}
	return 1
}

func (r schemaReader) field(raw any, name, key string, depth int) field {
	schema := r.resolve(raw)
	f := field{Name: name, Key: printable(key), Title: printable(key), Kind: fieldJSON, Input: "text"}
	if title, ok := schema["title"].(string); ok && title != "" {
		f.Title = printable(title)
	}
	f.About, _ = schema["description"].(string)
	f.About = printable(f.About)
	if value, ok := schema["const"]; ok {
		f.Kind, f.Fixed, f.Value = fieldFixed, value, compact(value)
		return f
	}
	if options := optionsOf(schema); len(options) > 0 {
		f.Kind, f.Options = fieldChoice, options
		return f
	}
	r.shape(&f, schema, depth)
	if value, ok := schema["default"]; ok && f.Value == "" {
		f.setDefault(value)
	}
	return f
}

// shape decides how a field is drawn by the type of its values.
func (r schemaReader) shape(f *field, schema map[string]any, depth int) {
	switch typeOf(schema) {
	case "string":
		f.Kind, f.Input = fieldText, inputOf(schema)
		f.Pattern, _ = schema["pattern"].(string)
		f.Longest = numberText(schema["maxLength"])
	case "integer":
		f.Kind, f.Input, f.Whole, f.Step = fieldNumber, "number", true, "1"
		f.Min, f.Max = numberText(schema["minimum"]), numberText(schema["maximum"])
	case "number":
		f.Kind, f.Input, f.Step = fieldNumber, "number", "any"
		f.Min, f.Max = numberText(schema["minimum"]), numberText(schema["maximum"])
	case "boolean":
		f.Kind, f.Options = fieldChoice, []choice{{Label: "yes", Value: "true"}, {Label: "no", Value: "false"}}
	case "object":
		if depth < maxDepth {
			if f.Fields = r.properties(schema, f.Name, depth+1); len(f.Fields) > 0 {
				f.Kind = fieldGroup
			}
		}
	case "array":
		r.list(f, schema, depth)
	}
}

func (r schemaReader) list(f *field, schema map[string]any, depth int) {
	if depth >= maxDepth {
		return
	}
	each := r.field(schema["items"], f.Name, f.Key, depth+1)
	switch each.Kind {
	case fieldChoice:
		f.Kind, f.Options = fieldChoices, each.Options
	case fieldText, fieldNumber:
		f.Kind, f.Each = fieldLines, &each
	case fieldGroup:
		f.Kind = fieldEntries
		f.Blank = rename(each.Fields, f.Name+".", f.Name+".#.")
		f.Entries = [][]field{rename(each.Fields, f.Name+".", f.Name+".0.")}
	}
}

// rename gives fields of one entry their place in the list.
func rename(fields []field, old, place string) []field {
	renamed := slices.Clone(fields)
	for i := range renamed {
		f := &renamed[i]
		f.Name = place + strings.TrimPrefix(f.Name, old)
		f.Fields = rename(f.Fields, old, place)
		f.Blank = rename(f.Blank, old, place)
		f.Entries = slices.Clone(f.Entries)
		for j := range f.Entries {
			f.Entries[j] = rename(f.Entries[j], old, place)
		}
		if f.Each != nil {
			each := *f.Each
			f.Each = &each
		}
	}
	return renamed
}

// resolve follows $ref, and looks through "this or null".
func (r schemaReader) resolve(raw any) map[string]any {
	schema, ok := raw.(map[string]any)
	for range maxDepth {
		if !ok {
			return nil
		}
		if ref, isRef := schema["$ref"].(string); isRef {
			schema, ok = r.definition(ref)
			continue
		}
		if only := onlyAlternative(schema); only != nil {
			schema = only
			continue
		}
		return schema
	}
	return nil
}

func (r schemaReader) definition(ref string) (map[string]any, bool) {
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil, false
	}
	at := r.root
	for part := range strings.SplitSeq(path, "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		next, ok := at[part].(map[string]any)
		if !ok {
			return nil, false
		}
		at = next
	}
	return at, true
}

// onlyAlternative is the one schema of anyOf or oneOf that isn't null, with the description of the whole.
func onlyAlternative(schema map[string]any) map[string]any {
	for _, word := range []string{"anyOf", "oneOf", "allOf"} {
		var found []map[string]any
		list, _ := schema[word].([]any)
		for _, e := range list {
			alternative, ok := e.(map[string]any)
			if ok && alternative["type"] != "null" {
				found = append(found, alternative)
			}
		}
		if len(found) != 1 {
			continue
		}
		only := maps.Clone(found[0])
		for _, word := range []string{"title", "description", "default"} {
			if value, ok := schema[word]; ok {
				only[word] = value
			}
		}
		return only
	}
	return nil
}

// optionsOf reads enum, and alternatives that are constants with titles.
func optionsOf(schema map[string]any) []choice {
	var options []choice
	values, _ := schema["enum"].([]any)
	names := texts(schema["enumNames"])
	for i, value := range values {
		label := plainText(value)
		if i < len(names) {
			label = names[i]
		}
		options = append(options, choice{Label: printable(label), Value: compact(value)})
	}
	alternatives, _ := schema["oneOf"].([]any)
	for _, e := range alternatives {
		alternative, _ := e.(map[string]any)
		value, constant := alternative["const"]
		if !constant {
			return nil
		}
		label, ok := alternative["title"].(string)
		if !ok {
			label = plainText(value)
		}
		options = append(options, choice{Label: printable(label), Value: compact(value)})
	}
	return options
}

func typeOf(schema map[string]any) string {
	switch t := schema["type"].(type) {
	case string:
		return t
	case []any:
		for _, e := range t {
			if name, ok := e.(string); ok && name != "null" {
				return name
			}
		}
	case nil:
		if _, ok := schema["properties"]; ok {
			return "object"
		}
	}
	return ""
}

func inputOf(schema map[string]any) string {
	switch schema["format"] {
	case "email":
		return "email"
	case "uri", "url":
		return "url"
	case "date":
		return "date"
	}
	return "text"
}

// setDefault shows the default where the field can show it.
func (f *field) setDefault(value any) {
	switch f.Kind {
	case fieldText:
		f.Value, _ = value.(string)
	case fieldNumber:
		f.Value = numberText(value)
	case fieldChoice:
		f.choose(compact(value))
	}
}

func (f *field) choose(value string) {
	f.Options = slices.Clone(f.Options)
	for i := range f.Options {
		f.Options[i].Chosen = f.Options[i].Value == value
	}
}

func numberText(value any) string {
	n, ok := value.(float64)
	if !ok {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func texts(value any) []string {
	list, _ := value.([]any)
	var out []string
	for _, e := range list {
		if text, ok := e.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// escapeKey keeps a property's name from being taken for several, or for a place in a list.
func escapeKey(key string) string {
	return strings.NewReplacer("~", "~0", ".", "~1", "#", "~2").Replace(key)
}

func unescapeKey(key string) string {
	return strings.NewReplacer("~2", "#", "~1", ".", "~0", "~").Replace(key)
}

// number reads a number exactly as it was written.
func number(text string) (json.Number, bool) {
	text = strings.TrimSpace(text)
	var n json.Number
	if text == "" || json.Unmarshal([]byte(text), &n) != nil || strings.HasPrefix(text, `"`) {
		return "", false
	}
	return n, true
}
