package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mistake is what is wrong with one field.
type mistake struct {
	Field string `json:"field"` // its name in the form; empty: the JSON as a whole
	Text  string `json:"text"`
}

// maxEntries bounds the lists that a form can send.
const maxEntries = 200

// readArguments makes the arguments of a call of a form that was sent. Arguments that were written as JSON count alone.
func readArguments(fields []field, form url.Values) (map[string]any, []mistake) {
	if written := strings.TrimSpace(form.Get("json")); written != "" {
		decoder := json.NewDecoder(strings.NewReader(written))
		decoder.UseNumber()
		var arguments map[string]any
		if err := decoder.Decode(&arguments); err != nil || arguments == nil || decoder.More() {
			return nil, []mistake{{Text: "The arguments must be one JSON object, such as {\"city\": \"Kyoto\"}."}}
		}
		return arguments, nil
	}
	r := formReader{form: form}
	arguments := r.group(fields)
	if arguments == nil {
		arguments = map[string]any{}
	}
	return arguments, r.mistakes
}

type formReader struct {
	form     url.Values
	mistakes []mistake
	filled   bool // something was filled in, right or wrong
}

func (r *formReader) wrong(f *field, text string) any {
	r.mistakes = append(r.mistakes, mistake{Field: f.Name, Text: f.Title + ": " + text})
	return nil
}

// group reads the fields of an object. It is nil when nothing was filled in.
func (r *formReader) group(fields []field) map[string]any {
	var object map[string]any
	for i := range fields {
		f := &fields[i]
		if value := r.value(f); value != nil {
			if object == nil {
				object = map[string]any{}
			}
			object[f.property()] = value
		}
	}
	return object
}

// property is the name in the arguments that the field stands for.
func (f *field) property() string {
	return unescapeKey(f.Name[strings.LastIndexByte(f.Name, '.')+1:])
}

// value reads one field; nil: it was left empty, or it is a mistake.
func (r *formReader) value(f *field) any {
	sent := r.form[f.Name]
	text := ""
	if len(sent) > 0 {
		text = sent[0]
	}
	r.filled = r.filled || text != ""
	switch f.Kind {
	case fieldFixed:
		if f.Required {
			return f.Fixed
		}
		return nil
	case fieldGroup:
		return r.object(f)
	case fieldEntries:
		return r.entries(f)
	case fieldLines:
		return r.lines(f, text)
	case fieldChoices:
		return r.choices(f, sent)
	}
	if text == "" {
		return r.missing(f)
	}
	return r.scalar(f, text)
}

// object reads an object within the arguments. One that may be left out and was is no mistake, whatever it would need.
func (r *formReader) object(f *field) any {
	inner := formReader{form: r.form}
	object := inner.group(f.Fields)
	if !inner.filled && !f.Required {
		return nil
	}
	r.filled = r.filled || inner.filled
	r.mistakes = append(r.mistakes, inner.mistakes...)
	if object == nil {
		object = map[string]any{}
	}
	return object
}

func (r *formReader) missing(f *field) any {
	if f.Required {
		return r.wrong(f, "is needed.")
	}
	return nil
}

func (r *formReader) scalar(f *field, text string) any {
	switch f.Kind {
	case fieldNumber:
		n, ok := number(text)
		if _, err := n.Int64(); !ok || f.Whole && err != nil {
			return r.wrong(f, "must be a number"+map[bool]string{true: " without a fraction"}[f.Whole]+".")
		}
		return n
	case fieldChoice:
		return r.choice(f, text)
	case fieldJSON:
		var value any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil || decoder.More() {
			return r.wrong(f, "must be JSON: text stands in quotes.")
		}
		return value
	}
	return text
}

func (r *formReader) choice(f *field, text string) any {
	if !slices.ContainsFunc(f.Options, func(o choice) bool { return o.Value == text }) {
		return r.wrong(f, "must be one of the list.")
	}
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return nil
	}
	return value
}

func (r *formReader) choices(f *field, sent []string) any {
	var list []any
	for _, text := range sent {
		if value := r.choice(f, text); value != nil {
			list = append(list, value)
		}
	}
	if list == nil {
		return r.missing(f)
	}
	return list
}

func (r *formReader) lines(f *field, text string) any {
	var list []any
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		each := *f.Each
		each.Name, each.Title = f.Name, f.Title
		if value := r.scalar(&each, line); value != nil {
			list = append(list, value)
		}
	}
	if list == nil {
		return r.missing(f)
	}
	return list
}

// entries reads a list of objects, in the order of their places.
func (r *formReader) entries(f *field) any {
	var list []any
	for _, place := range places(f, r.form) {
		each := rename(f.Blank, f.Name+".#.", f.Name+"."+strconv.Itoa(place)+".")
		reader := formReader{form: r.form}
		object := reader.group(each)
		if !reader.filled {
			continue // an entry that was left empty is none
		}
		r.filled = true
		r.mistakes = append(r.mistakes, reader.mistakes...)
		list = append(list, object)
	}
	if list == nil {
		return r.missing(f)
	}
	return list
}

// places are the entries of a list that a form sent.
func places(f *field, form url.Values) []int {
	var found []int
	for name := range form {
		rest, ok := strings.CutPrefix(name, f.Name+".")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if place, err := strconv.Atoi(digits); err == nil && place >= 0 && place < maxEntries && !slices.Contains(found, place) {
			found = append(found, place)
		}
	}
	slices.Sort(found)
	return found
}

// fill shows again what was sent, so that nobody writes a form twice.
func fill(fields []field, form url.Values) {
	for i := range fields {
		f := &fields[i]
		sent := form[f.Name]
		switch f.Kind {
		case fieldGroup:
			fill(f.Fields, form)
		case fieldEntries:
			if at := places(f, form); len(at) > 0 {
				f.Entries = nil
				for _, place := range at {
					each := rename(f.Blank, f.Name+".#.", f.Name+"."+strconv.Itoa(place)+".")
					fill(each, form)
					f.Entries = append(f.Entries, each)
				}
			}
		case fieldChoice, fieldChoices:
			f.Options = slices.Clone(f.Options)
			for j := range f.Options {
				f.Options[j].Chosen = slices.Contains(sent, f.Options[j].Value)
			}
		default:
			if len(sent) > 0 {
				f.Value = sent[0]
			}
		}
	}
}
