package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// Server is one MCP server behind the door. Exactly one of URL, SSE and Command says how it is reached.
type Server struct {
	// Title is what people read on the consent page. Default: the server's name.
	Title string `yaml:"title"`
	// Description is one sentence for the consent page.
	Description string `yaml:"description"`
	// Mode is "facade" (default) or "resource".
	Mode string `yaml:"mode"`
	// Path is where the server stands under PublicURL. Default: "/NAME/mcp".
	Path string `yaml:"path"`

	// URL is the upstream's streamable HTTP address.
	URL string `yaml:"url"`
	// SSE is the address of an upstream that speaks the HTTP with events of 2024-11-05.
	SSE string `yaml:"sse"`
	// Command starts an upstream that speaks standard input and output.
	Command Command `yaml:"command"`
	// Timeout bounds a request to the upstream. Default: 5m.
	Timeout time.Duration `yaml:"timeout"`

	// Scopes are the scopes of the server beside "mcp", each with a sentence for the consent page.
	Scopes map[string]string `yaml:"scopes"`
	// Credential is what the door shows the upstream.
	Credential ServerCredential `yaml:"credential"`
	// Resource is needed where Mode is "resource".
	Resource Resource `yaml:"resource"`
	// Rules say who may use what. Without a rule that allows it, nothing may be used.
	Rules []policy.Rule `yaml:"rules"`
	// Limits bound what goes on to the server.
	Limits Limits `yaml:"limits"`
	// RecordArguments writes the arguments of calls into the audit log.
	RecordArguments bool `yaml:"record_arguments"`
}

// Command is a program that speaks MCP on standard input and output.
type Command struct {
	// Run is the program and its arguments.
	Run []string `yaml:"run"`
	// Env is its whole environment; nothing is inherited.
	Env map[string]string `yaml:"env"`
	// Dir is where it runs.
	Dir string `yaml:"dir"`
	// Shared runs one process for everybody; else each person has one of their own.
	Shared bool `yaml:"shared"`
	// IdentityVariable names an environment variable that tells a person's process whose it is.
	IdentityVariable string `yaml:"identity_variable"`
	// Idle ends a process that nobody uses. Default: 10m.
	Idle time.Duration `yaml:"idle"`
	// Processes is how many run at most. Default: 64.
	Processes int `yaml:"processes"`
}

// ServerCredential is what the door shows an upstream. In YAML "none" and "identity" are words; the others are
// mappings with one key.
type ServerCredential struct {
	// Kind is "none" (default), "identity", "on_behalf_of", "application" or "header".
	Kind string `yaml:"-"`
	// OnBehalfOf are scopes of one API, each with its full name.
	OnBehalfOf []string `yaml:"on_behalf_of"`
	// Application is the application ID URI of the API that Genkan calls as itself.
	Application string `yaml:"application"`
	// Header is a header with a secret.
	Header Header `yaml:"header"`
}

// Header is a header with a secret.
type Header struct {
	Name  string      `yaml:"name"`
	Value secret.Text `yaml:"value"`
}

// UnmarshalYAML reads a word, or a mapping with one key.
func (c *ServerCredential) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		c.Kind = node.Value
		return nil
	}
	type plain ServerCredential
	if err := node.Load((*plain)(c), yaml.WithKnownFields()); err != nil {
		return err
	}
	if node.Kind != yaml.MappingNode || len(node.Content) != 2 {
		return errors.New("give exactly one of on_behalf_of, application and header")
	}
	c.Kind = node.Content[0].Value
	return nil
}

// Resource says which of Entra's own tokens are good for a server in mode "resource".
type Resource struct {
	// ClientID is the application (client) ID of the API. Default: Genkan's.
	ClientID string `yaml:"client_id"`
	// Scope is the delegated permission that is needed. Default: access_as_user.
	Scope string `yaml:"scope"`
	// Clients are the applications that may call: client IDs, or "vscode" and "azure-cli".
	Clients []string `yaml:"clients"`
}

// Limits bound what goes on to a server. Zero means no limit.
type Limits struct {
	Identity   Rate `yaml:"identity"`   // requests of one identity
	Tool       Rate `yaml:"tool"`       // calls of one tool by one identity
	Server     Rate `yaml:"server"`     // requests of everybody
	Concurrent int  `yaml:"concurrent"` // requests of everybody that are under way
	Streams    int  `yaml:"streams"`    // streams of one identity that only wait
}

// Rate is so many in so much time, written 60/m, 10/s or 1000/h.
type Rate struct {
	Count int
	Per   time.Duration
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	m := regexp.MustCompile(`^([1-9][0-9]{0,8})/([smh])$`).FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is no rate: write so many per second, minute or hour, such as 60/m", text)
	}
	count, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return fmt.Errorf("read rate: %w", err)
	}
	*r = Rate{Count: count, Per: map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[string(m[2])]}
	return nil
}
