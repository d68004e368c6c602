package config_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[config.Config](), "") {
		if !strings.Contains(string(text), "| `"+key+"` |") {
			t.Errorf("docs/configuration.md has no line for %s", key)
		}
	}
	for _, key := range keys(reflect.TypeFor[policy.Rule](), "") {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("docs/configuration.md does not say what %s in a rule means", key)
		}
	}
	for _, key := range keys(reflect.TypeFor[config.Client](), "") {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("docs/configuration.md does not say what %s of a client means", key)
		}
	}
}

// keys are the paths of all keys below a type; NAME stands for the key of a map.
func keys(typ reflect.Type, prefix string) []string {
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[secret.Text]() || typ == reflect.TypeFor[config.Rate]() {
		return []string{prefix}
	}
	var all []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		path := strings.TrimPrefix(prefix+"."+name, ".")
		inner := field.Type
		if inner.Kind() == reflect.Map && inner.Elem().Kind() == reflect.Struct {
			inner, path = inner.Elem(), path+".NAME"
		}
		all = append(all, keys(inner, path)...)
	}
	return all
}
