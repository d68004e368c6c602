package mcpwire_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// Each of these bodies is read as a call of get_forecast by one parser, and as a call of set_alert by another.
func TestThreat22_KeysTwiceOrInAnotherCaseSmuggleNothing(t *testing.T) {
	for name, body := range map[string]string{
		"name twice":                   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"set_alert"}}`,
		"name twice, the same":         `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"get_forecast"}}`,
		"name in another case":         `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","Name":"set_alert"}}`,
		"name in another case, first":  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"set_alert","name":"get_forecast"}}`,
		"name in another case, alone":  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"set_alert"}}`,
		"name escaped":                 `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","n\u0061me":"set_alert"}}`,
		"params twice":                 `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"},"params":{"name":"set_alert"}}`,
		"params in another case":       `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"},"Params":{"name":"set_alert"}}`,
		"params with a long s":         `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"},"paramſ":{"name":"set_alert"}}`,
		"params with a long s, alone":  `{"jsonrpc":"2.0","id":1,"method":"tools/call","paramſ":{"name":"set_alert"}}`,
		"method twice":                 `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"set_alert"}}`,
		"method in another case":       `{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call","params":{"name":"set_alert"}}`,
		"method in another case alone": `{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"set_alert"}}`,
		"ID twice":                     `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`,
		"ID in another case":           `{"jsonrpc":"2.0","id":1,"Id":2,"method":"ping"}`,
		"address in another case":      `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://b","URI":"a://c"}}`,
		"arguments twice":              `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1},"arguments":{"a":2}}}`,
		"arguments in another case":    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","Arguments":{"a":2}}}`,
		"argument twice":               `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"path":"/public","path":"/etc"}}}`,
		"argument in another case":     `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"path":"/public","Path":"/etc"}}}`,
		"deep in the arguments":        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[{"b":{"path":1,"PATH":2}}]}}}`,
		"Kelvin":                       `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"key":1,"` + "\u212a" + `ey":2}}}`,
		"sigma":                        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"σ":1,"ς":2}}}`,
		"_meta in another case":        `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_Meta":{}}}`,
		"the version in another case":  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}}`,
		"the reference":                `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}}`,
		"the reference, alone":         `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","Name":"b"}}}`,
		"the subscription":             `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"ResourceSubscriptions":["a://secret"]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpwire.Read(strings.NewReader(body), mcpwire.Limits{})
			refusedWith(t, err, mcpwire.CodeInvalidRequest, http.StatusBadRequest, "key")
		})
	}
}

func TestThreat22_ManyKeysAreComparedAsWell(t *testing.T) {
	var members []string
	for i := range 5000 {
		members = append(members, `"key`+strconv.Itoa(i)+`":0`)
	}
	body := func(more string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{` + strings.Join(members, ",") + more + `}}}`
	}
	if _, err := mcpwire.Parse([]byte(body("")), mcpwire.Limits{}); err != nil {
		t.Fatal(err)
	}
	for _, twin := range []string{"key0", "KEY7", "Key4999", "\u212aey3000"} {
		_, err := mcpwire.Parse([]byte(body(`,"`+twin+`":1`)), mcpwire.Limits{})
		refusedWith(t, err, mcpwire.CodeInvalidRequest, http.StatusBadRequest, "twice in one object")
	}
}

// What is forwarded is what was authorised: written again, it has one reading, also for a parser that minds
// neither case nor repetition.
func TestThreat22_WhatIsForwardedIsWhatWasAuthorised(t *testing.T) {
	m := parse(t, `{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"get_\u0066orecast","arguments":{"\u0063ity":"Kyoto"}}}`)
	var lenient struct {
		Method string
		Params struct {
			Name      string
			Arguments struct{ City string }
		}
	}
	if err := json.Unmarshal(m.Bytes(), &lenient); err != nil {
		t.Fatal(err)
	}
	if use := m.Uses()[0]; lenient.Method != m.Method() || lenient.Params.Name != use.Name || lenient.Params.Arguments.City != m.Arguments()["city"] {
		t.Errorf("authorised %v, forwarded %s", use, m.Bytes())
	}
	if strings.Contains(string(m.Bytes()), `\`) {
		t.Errorf("it still has needless escapes: %s", m.Bytes())
	}
}
