package config

import (
	"errors"
	"fmt"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// LoadRules reads a file that holds a list of rules and nothing else, as a server's `rules` do. The error is a *Mistakes
// unless the file can't be read.
func LoadRules(path string) ([]policy.Rule, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the person names the file
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var rules []policy.Rule
	if err := yaml.Load(text, &rules, yaml.WithKnownFields()); err != nil {
		return nil, &Mistakes{File: path, List: yamlMistakes(err)}
	}
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		return nil, err
	}
	_, err = policy.Compile(rules, compiler.Compile)
	var wrong policy.Mistakes
	if !errors.As(err, &wrong) {
		return rules, err
	}
	mistakes := &Mistakes{File: path}
	for _, m := range wrong {
		mistakes.List = append(mistakes.List, Mistake{Key: fmt.Sprintf("[%d].%s", m.Rule, m.Field), What: m.Problem, Remedy: m.Remedy})
	}
	return nil, mistakes
}
