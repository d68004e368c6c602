package mcpwire

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// decode makes Go values of a text that the scanner wrote, so that nothing in it can be wrong.
func decode(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil
	}
	return numbers(v)
}

// numbers turns whole numbers that fit into int64, and the others into float64.
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
		if whole, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return whole
		}
		f, _ := v.Float64() // the scanner refused what doesn't fit
		return f
	}
	return v
}
