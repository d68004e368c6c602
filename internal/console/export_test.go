package console

import "net/url"

// ReadForm makes the fields of a schema and reads a form with them.
func ReadForm(schema any, form url.Values) (map[string]any, []mistake) {
	arguments, mistakes := readArguments(formOf(schema), form)
	return arguments, mistakes
}
