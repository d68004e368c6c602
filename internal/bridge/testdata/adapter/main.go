// Command adapter stands between the official conformance suite, which tests clients over HTTP, and the bridge,
// which speaks stdio: it is an MCP client on the official SDK that starts the bridge as its command and does what
// a scenario of the suite wants of a client.
//
//	adapter SERVER          run as the suite runs a client; MCP_CONFORMANCE_SCENARIO and _CONTEXT name the case
//	adapter bridge SERVER   be the bridge, unless GENKAN names a built one
//	adapter browse ADDRESS  be the browser: follow the redirects of a sign-in that asks nothing
//	adapter browse HELPER ADDRESS  be a browser that hands the address to a test that walks through the pages
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/bridge"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// metadataDocument is what the suite knows its client as.
const metadataDocument = "https://conformance-test.local/client-metadata.json"

func main() {
	log.SetFlags(0)
	var err error
	switch {
	case len(os.Args) == 2:
		err = scenario(context.Background(), os.Args[1])
	case len(os.Args) == 3 && os.Args[1] == "bridge":
		err = connect(context.Background(), os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "browse":
		err = browse(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "browse":
		err = browse(os.Args[2] + url.QueryEscape(os.Args[3]))
	default:
		err = errors.New("usage: adapter SERVER")
	}
	if err != nil {
		log.Fatal("adapter: ", err)
	}
}

// suiteContext is what the suite tells a scenario.
type suiteContext struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	ToolCalls    []struct {
		Name      string         `json:"name"`
		Arguments map[string]any `json:"arguments"`
	} `json:"toolCalls"`
}

func readContext() (c suiteContext, err error) {
	if raw := os.Getenv("MCP_CONFORMANCE_CONTEXT"); raw != "" {
		err = json.Unmarshal([]byte(raw), &c)
	}
	return c, err
}

// connect is the bridge in this process, with a folder of its own for each run.
func connect(ctx context.Context, server string) error {
	told, err := readContext()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return bridge.Connect(ctx, bridge.ConnectOptions{
		Streams: bridge.Streams{In: os.Stdin, Out: os.Stdout, Log: os.Stderr},
		Server:  server,
		SignIn: bridge.SignIn{
			ClientID: told.ClientID, ClientSecret: secret.NewText(told.ClientSecret), ClientMetadata: metadataDocument,
			Browser: []string{self, "browse"}, Timeout: 20 * time.Second,
		},
		Place: bridge.Place{Dir: os.Getenv("GENKAN_DATA"), InsecureFile: true},
	})
}

func browse(address string) error {
	resp, err := http.Get(address) //nolint:gosec // that is what a browser does
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// bridgeCommand starts the bridge as an MCP client would.
func bridgeCommand(server, data string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "bridge", server)
	if built := os.Getenv("GENKAN"); built != "" {
		told, err := readContext()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(built, "connect", server, "--insecure-file-store", "--client-metadata", metadataDocument, "--sign-in-timeout", "20s")
		if told.ClientID != "" {
			cmd.Args = append(cmd.Args, "--client-id", told.ClientID)
		}
		cmd.Env = append(os.Environ(), "GENKAN_CLIENT_SECRET="+told.ClientSecret, "XDG_CONFIG_HOME="+data, "HOME="+data, "BROWSER="+self+" browse")
		return cmd, nil
	}
	cmd.Env = append(os.Environ(), "GENKAN_DATA="+data)
	return cmd, nil
}

func scenario(ctx context.Context, server string) error {
	data, err := os.MkdirTemp("", "genkan-conformance-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	cmd, err := bridgeCommand(server, data)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	client := mcp.NewClient(&mcp.Implementation{Name: "genkan-conformance-adapter", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			content := map[string]any{}
			if strings.HasPrefix(os.Getenv("MCP_CONFORMANCE_SCENARIO"), "sep-2322") {
				content["confirmed"] = true
			}
			return &mcp.ElicitResult{Action: "accept", Content: content}, nil
		},
	})
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd, TerminateDuration: 5 * time.Second}, nil)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	err = play(ctx, session, os.Getenv("MCP_CONFORMANCE_SCENARIO"))
	return errors.Join(err, session.Close())
}

// play does what the scenario wants of a client.
func play(ctx context.Context, s *mcp.ClientSession, name string) error {
	told, err := readContext()
	if err != nil {
		return err
	}
	switch name {
	case "initialize", "request-metadata", "json-schema-ref-no-deref":
		_, err := s.ListTools(ctx, nil)
		if name == "initialize" {
			return err
		}
		return nil
	case "tools_call":
		return listAndCall(ctx, s, "add_numbers", map[string]any{"a": 5, "b": 3})
	case "elicitation-sep1034-client-defaults":
		return listAndCall(ctx, s, "test_client_elicitation_defaults", nil)
	case "sse-retry":
		return listAndCall(ctx, s, "test_reconnection", nil)
	case "json-schema-2020-12-preservation":
		return echoSchema(ctx, s)
	case "sep-2322-client-request-state":
		for _, tool := range []string{"test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_unrelated", "test_mrtr_no_result_type"} {
			tryCall(ctx, s, tool, nil)
		}
		return nil
	case "http-standard-headers":
		return useEverything(ctx, s)
	case "http-custom-headers":
		if _, err := s.ListTools(ctx, nil); err != nil {
			return err
		}
		for _, call := range told.ToolCalls {
			tryCall(ctx, s, call.Name, call.Arguments)
		}
		return nil
	case "http-invalid-tool-headers":
		tools, err := s.ListTools(ctx, nil)
		if err != nil {
			return err
		}
		for _, tool := range tools.Tools {
			tryCall(ctx, s, tool.Name, map[string]any{"region": "us-west1"})
		}
		return nil
	}
	if !strings.HasPrefix(name, "auth/") {
		return fmt.Errorf("unknown scenario %q", name)
	}
	if _, err := s.ListTools(ctx, nil); err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	return call(ctx, s, "test-tool", nil)
}

func listAndCall(ctx context.Context, s *mcp.ClientSession, tool string, arguments map[string]any) error {
	tools, err := s.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	if !slices.ContainsFunc(tools.Tools, func(t *mcp.Tool) bool { return t.Name == tool }) {
		return fmt.Errorf("there is no tool %s", tool)
	}
	return call(ctx, s, tool, arguments)
}

func call(ctx context.Context, s *mcp.ClientSession, tool string, arguments map[string]any) error {
	if arguments == nil {
		arguments = map[string]any{}
	}
	if _, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments}); err != nil {
		return fmt.Errorf("call %s: %w", tool, err)
	}
	return nil
}

// tryCall is for calls that may fail: the suite watches what is sent.
func tryCall(ctx context.Context, s *mcp.ClientSession, tool string, arguments map[string]any) {
	if err := call(ctx, s, tool, arguments); err != nil {
		log.Print(err)
	}
}

func echoSchema(ctx context.Context, s *mcp.ClientSession) error {
	tools, err := s.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	for _, tool := range tools.Tools {
		if tool.Name == "json_schema_2020_12_tool" {
			return call(ctx, s, "json_schema_echo", map[string]any{"schema": tool.InputSchema})
		}
	}
	return errors.New("there is no tool json_schema_2020_12_tool")
}

func useEverything(ctx context.Context, s *mcp.ClientSession) error {
	if tools, err := s.ListTools(ctx, nil); err == nil && len(tools.Tools) > 0 {
		tryCall(ctx, s, tools.Tools[0].Name, nil)
	}
	if resources, err := s.ListResources(ctx, nil); err == nil && len(resources.Resources) > 0 {
		_, _ = s.ReadResource(ctx, &mcp.ReadResourceParams{URI: resources.Resources[0].URI})
	}
	if prompts, err := s.ListPrompts(ctx, nil); err == nil && len(prompts.Prompts) > 0 {
		_, _ = s.GetPrompt(ctx, &mcp.GetPromptParams{Name: prompts.Prompts[0].Name, Arguments: map[string]string{}})
	}
	return nil
}
