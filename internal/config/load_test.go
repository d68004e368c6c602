package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/config"
)

const small = `
public_url: https://mcp.contoso.com
entra:
  tenant: 6f89cf12-978b-4d23-ac18-9ef0c127cf87
  client_id: 00d88624-1111-2222-3333-444455556666
  credential: {secret: "${ENTRA_SECRET}"}
servers:
  weather:
    url: http://weather:8080/mcp
    rules:
      - {allow: ["get_*"], roles: [Weather.Read]}
`

func TestSmallestConfigurationLoadsWithDefaults(t *testing.T) {
	cfg, err := config.Load("genkan.yaml", []byte(small), environment("ENTRA_SECRET", "s3cret-value"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Entra.Credential.Secret.Reveal(); got != "s3cret-value" {
		t.Errorf("the secret was not taken from the environment")
	}
	weather := cfg.Servers["weather"]
	got := []string{cfg.Listen, cfg.Data, cfg.Entra.Cloud, cfg.Log.Level, cfg.Log.Format, weather.Title, weather.Path, weather.Credential.Kind}
	want := []string{"127.0.0.1:8080", "data", "public", "info", "json", "weather", "/weather/mcp", "none"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestEveryMistakeIsReportedAtOnceWithItsLineAndRemedy(t *testing.T) {
	text := `public_url: http://mcp.contoso.com/
listen: nowhere
entra:
  tenant: contoso
  credential: {secret: "${NOT_SET}", certificate: cert.pem}
  colour: blue
servers:
  Weather:
    url: weather:8080
    path: /token
    credential: all
log: {level: loud}
`
	_, err := config.Load("genkan.yaml", []byte(text), environment())
	var mistakes *config.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v, want *config.Mistakes", err)
	}
	wanted := map[string]int{ // key -> line
		"public_url": 1, "listen": 2, "entra.tenant": 4, "entra.client_id": 3, "entra.credential.secret": 5, "entra.credential": 5,
		"colour": 6, "servers.Weather": 8, "servers.Weather.url": 9, "servers.Weather.path": 10,
		"servers.Weather.credential": 11, "log.level": 12,
	}
	got := map[string]int{}
	for _, m := range mistakes.List {
		got[m.Key] = m.Line
		if m.What == "" || m.Remedy == "" {
			t.Errorf("%s says what is wrong, but not what to do", m)
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s\n%v", diff, err)
	}
}

func TestAMistakeInARuleSaysWhichRuleAndLine(t *testing.T) {
	text := small + "      - {allow: [set_alert], when: 'identity.shoe_size > 3'}\n      - {roles: [A]}\n"
	_, err := config.Load("genkan.yaml", []byte(text), environment("ENTRA_SECRET", "x"))
	var mistakes *config.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, m := range mistakes.List {
		got = append(got, fmt.Sprintf("%d %s", m.Line, m.Key))
	}
	if diff := cmp.Diff([]string{"12 servers.weather.rules[1].when", "13 servers.weather.rules[2]"}, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s\n%v", diff, err)
	}
}

func TestMistakesNeverRepeatASecret(t *testing.T) {
	for name, text := range map[string]string{
		"wrong kind":  "entra: {credential: {secret: {hunter2: hunter2}}}\nservers: hunter2",
		"wrong place": "entra: {credential: {secret: hunter2, secrets: hunter2}}",
		"no yaml":     "entra: {credential: {secret: \"hunter2",
	} {
		_, err := config.Load("genkan.yaml", []byte(text), environment())
		if err == nil {
			t.Errorf("%s: loaded", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the message repeats the secret: %v", name, err)
		}
	}
}

func TestALiteralDollarBraceStays(t *testing.T) {
	text := strings.Replace(small, `"${ENTRA_SECRET}"`, `"a$${b}c"`, 1)
	cfg, err := config.Load("genkan.yaml", []byte(text), environment())
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Entra.Credential.Secret.Reveal(); got != "a${b}c" {
		t.Errorf("got %q", got)
	}
}

func TestADuplicateKeyIsAMistake(t *testing.T) {
	_, err := config.Load("genkan.yaml", []byte(small+"\nlisten: :1\nlisten: :2\n"), environment("ENTRA_SECRET", "x"))
	if err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("got %v", err)
	}
}

func TestTwoServersMayNotShareAPath(t *testing.T) {
	text := small + "  other:\n    url: http://other/mcp\n    path: /weather/mcp\n"
	_, err := config.Load("genkan.yaml", []byte(text), environment("ENTRA_SECRET", "x"))
	if err == nil || !strings.Contains(err.Error(), "has the same path") {
		t.Errorf("got %v", err)
	}
}

func TestEveryKeyReachesItsField(t *testing.T) {
	cfg, err := config.Load("genkan.yaml", []byte(full), environment("SECRET", "x"))
	if err != nil {
		t.Fatal(err)
	}
	files := cfg.Servers["files"]
	got := []any{cfg.Store.Redis.Addresses[0], cfg.Tokens.Access, cfg.Clients[0].RedirectURIs[0], cfg.Registration.Documents.Allow[0],
		files.Command.Run[0], files.Limits.Tool, cfg.Servers["search"].Credential.OnBehalfOf[0], cfg.Servers["old"].Credential.Header.Name,
		cfg.Servers["graph"].Resource.Clients[0], cfg.Servers["graph"].Resource.ClientID}
	want := []any{"redis:6379", 30 * time.Minute, "http://127.0.0.1/callback", "example.com",
		"mcp-files", config.Rate{Count: 60, Per: time.Minute}, "https://search.azure.com/.default", "X-Api-Key",
		"vscode", "00d88624-1111-2222-3333-444455556666"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

const full = `
public_url: https://mcp.contoso.com
listen: :8443
tls: {certificate: cert.pem, key: key.pem}
proxies: {trusted: [10.0.0.0/8], hosts: [inner.contoso.com], origins: ["https://chat.contoso.com"]}
store: {redis: {addresses: ["redis:6379"], username: genkan, password: "${SECRET}", tls: true}}
keys: {vault: "https://contoso.vault.azure.net/keys/genkan"}
entra:
  tenant: 6f89cf12-978b-4d23-ac18-9ef0c127cf87
  client_id: 00d88624-1111-2222-3333-444455556666
  credential: {managed_identity: system}
tokens: {access: 30m, session: 240h}
clients:
  - {id: inspector, name: MCP Inspector, redirect_uris: ["http://127.0.0.1/callback"]}
registration: {dynamic: token, token: "${SECRET}", documents: {allow: [example.com]}}
servers:
  search: {url: "http://search/mcp", credential: {on_behalf_of: ["https://search.azure.com/.default"]}}
  old: {sse: "http://old/sse", credential: {header: {name: X-Api-Key, value: "${SECRET}"}}}
  files: {command: {run: [mcp-files, --root, /srv], env: {LANG: C}}, limits: {tool: 60/m, streams: 4}}
  graph: {url: "http://graph/mcp", mode: resource, resource: {clients: [vscode]}}
audit: {stdout: true}
metrics: {listen: "127.0.0.1:9090"}
`

// What would be unsafe is a mistake, each with a key that says where.
func TestUnsafeConfigurationsAreMistakes(t *testing.T) {
	for _, c := range []struct{ name, replace, with, key string }{
		{"http for others", "tls: {certificate: cert.pem, key: key.pem}", "", "listen"},
		{"half a certificate", "key: key.pem", "", "tls"},
		{"two stores", "store: {", "store: {sqlite: x.db, ", "store"},
		{"a vault over http", "https://contoso.vault", "http://contoso.vault", "keys.vault"},
		{"an API key without a value", `value: "${SECRET}"`, `value: ""`, "servers.old.credential.header"},
		{"a credential of two kinds", "{on_behalf_of:", "{application: x, on_behalf_of:", ""},
		{"a command with a credential", "files: {command", "files: {credential: identity, command", "servers.files.credential"},
		{"two ways to a server", "old: {sse", "old: {url: 'http://x/', sse", "servers.old"},
		{"resource mode for everybody", "resource: {clients: [vscode]}", "resource: {}", "servers.graph.resource.clients"},
		{"an endless access token", "access: 30m", "access: 9000h", "tokens.access"},
		{"a token that registration does not use", "dynamic: token", "dynamic: open", "registration.token"},
		{"a rate that is none", "60/m", "60 a minute", ""},
		{"an origin with a path", "https://chat.contoso.com", "https://chat.contoso.com/", "proxies.origins[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(full, c.replace, c.with, 1)
			if text == full {
				t.Fatal("nothing was replaced")
			}
			_, err := config.Load("genkan.yaml", []byte(text), environment("SECRET", "x"))
			var mistakes *config.Mistakes
			if !errors.As(err, &mistakes) {
				t.Fatalf("loaded, with error %v", err)
			}
			if mistakes.List[0].Key != c.key {
				t.Errorf("the mistake is at %q, want %q: %v", mistakes.List[0].Key, c.key, err)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Add("")
	f.Add("a: &a [*a]")
	f.Add("servers: {weather: {rules: [{allow: ['*']}]}}")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Load("fuzz.yaml", []byte(text), environment("A", "b"))
		if (cfg == nil) == (err == nil) {
			t.Fatalf("configuration %v and error %v", cfg, err)
		}
	})
}

func environment(pairs ...string) config.Lookup {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}
