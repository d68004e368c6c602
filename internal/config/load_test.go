package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

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
	got := []string{cfg.Listen, cfg.Data, cfg.Entra.Cloud, cfg.Log.Level, cfg.Log.Format, weather.Title, weather.Path, weather.Credential}
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
