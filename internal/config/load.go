package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Lookup finds an environment variable, as os.LookupEnv does.
type Lookup func(name string) (value string, ok bool)

// maxFile bounds a configuration file.
const maxFile = 4 << 20

// LoadFile reads, expands and validates a file. The error is a *Mistakes unless the file can't be read.
func LoadFile(path string, env Lookup) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFile {
		return nil, &Mistakes{File: path, List: []Mistake{{What: fmt.Sprintf("the file has %d bytes", info.Size()), Remedy: "4 MiB is the limit"}}}
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Load(path, text, env)
}

// Load expands and validates a configuration; file is its name in messages. ${NAME} inside a value is
// replaced by the environment variable of that name; $${ writes a literal ${.
func Load(file string, text []byte, env Lookup) (*Config, error) {
	c := &checker{}
	var document yaml.Node
	if err := yaml.Load(text, &document); err != nil {
		return nil, &Mistakes{File: file, List: yamlMistakes(err)}
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, &Mistakes{File: file, List: []Mistake{{What: "the file holds no configuration", Remedy: "start with public_url, entra and servers"}}}
	}
	c.root = document.Content[0]
	c.expand(c.root, "", env)

	cfg := &Config{}
	if err := document.Load(cfg, yaml.WithKnownFields()); err != nil {
		c.list = append(c.list, yamlMistakes(err)...)
	}
	cfg.fillDefaults()
	c.check(cfg)
	if len(c.list) > 0 {
		slices.SortStableFunc(c.list, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &Mistakes{File: file, List: c.list}
	}
	return cfg, nil
}

// expand replaces ${NAME} in every scalar below node.
func (c *checker) expand(node *yaml.Node, path string, env Lookup) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			c.expand(node.Content[i+1], join(path, node.Content[i].Value), env)
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			c.expand(item, fmt.Sprintf("%s[%d]", path, i), env)
		}
	case yaml.ScalarNode:
		c.expandScalar(node, path, env)
	default: // an alias stands for a node that is expanded where it is declared
	}
}

func (c *checker) expandScalar(node *yaml.Node, path string, env Lookup) {
	if !strings.Contains(node.Value, "${") {
		return
	}
	pattern := regexp.MustCompile(`\$?\$\{([^}]*)\}`)
	node.Value = pattern.ReplaceAllStringFunc(node.Value, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		name := found[2 : len(found)-1]
		value, ok := env(name)
		if !ok {
			c.list = append(c.list, Mistake{Line: node.Line, Key: path,
				What: "the environment has no " + name, Remedy: "set the variable, or write $${ for a literal ${"})
			return found // one mistake is enough: the key is not empty
		}
		return value
	})
	node.Tag = "!!str"
}

// yamlMistakes takes the parser's errors apart, without repeating what stood in the file: it may be secret.
func yamlMistakes(err error) []Mistake {
	var many *yaml.LoadErrors
	if errors.As(err, &many) {
		var list []Mistake
		for _, one := range many.Errors {
			list = append(list, yamlMistake(one))
		}
		return list
	}
	var one *yaml.LoadError
	if errors.As(err, &one) {
		return []Mistake{yamlMistake(one)}
	}
	return []Mistake{{What: "the file is not YAML"}}
}

func yamlMistake(e *yaml.LoadError) Mistake {
	unknown := regexp.MustCompile(`^field (\S+) not found in type`)
	if m := unknown.FindStringSubmatch(e.Message); m != nil {
		return Mistake{Line: e.Mark.Line, Key: m[1], What: "there is no such key", Remedy: "see docs/configuration.md for the keys that there are"}
	}
	wrong := regexp.MustCompile("^cannot construct (\\S+) (?:`[^`]*` )?into (\\S+)")
	if m := wrong.FindStringSubmatch(e.Message); m != nil {
		return Mistake{Line: e.Mark.Line, What: "the value has the wrong kind (" + strings.TrimPrefix(m[1], "!!") + ")", Remedy: "wanted " + plainType(m[2])}
	}
	return Mistake{Line: e.Mark.Line, What: e.Message}
}

// plainType says a Go type in a user's words.
func plainType(name string) string {
	switch {
	case strings.HasPrefix(name, "[]"):
		return "a list"
	case strings.HasPrefix(name, "map["), strings.HasPrefix(name, "config."), strings.HasPrefix(name, "policy."):
		return "a mapping (key: value)"
	case name == "string", name == "secret.Text":
		return "text"
	case name == "time.Duration":
		return "a duration such as 30s or 1h"
	case name == "bool":
		return "true or false"
	default:
		return "a number"
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
