package mcpwire_test

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// lenient is what a client could make of an answer that doesn't mind the case of keys, and takes the last of
// several: encoding/json does.
type lenient struct {
	Result struct {
		Tools             []struct{ Name string }
		Prompts           []struct{ Name string }
		Resources         []struct{ URI string }
		ResourceTemplates []struct{ URITemplate string }
	}
}

func (l lenient) names() []string {
	var names []string
	for _, tool := range l.Result.Tools {
		names = append(names, tool.Name)
	}
	for _, prompt := range l.Result.Prompts {
		names = append(names, prompt.Name)
	}
	for _, resource := range l.Result.Resources {
		names = append(names, resource.URI)
	}
	for _, template := range l.Result.ResourceTemplates {
		names = append(names, template.URITemplate)
	}
	return names
}

func showsHidden(body []byte) bool {
	var all []lenient
	if json.Unmarshal(body, &all) != nil {
		all = make([]lenient, 1)
		if json.Unmarshal(body, &all[0]) != nil {
			return false
		}
	}
	for _, l := range all {
		for _, name := range l.names() {
			if strings.Contains(name, "hidden") {
				return true
			}
		}
	}
	return false
}

// readings are the data of the events of a stream, as different clients read it: by the letter of WHATWG HTML; by
// lines that only LF ends; with an event at the end that no empty line closes; with space around data taken off.
func readings(stream string) []string {
	normal := strings.TrimPrefix(stream, "\xef\xbb\xbf")
	normal = strings.ReplaceAll(strings.ReplaceAll(normal, "\r\n", "\n"), "\r", "\n")
	all := eventsOf(normal, false)
	return append(all, eventsOf(stream, true)...)
}

func eventsOf(stream string, loose bool) []string {
	var all []string
	var data []string
	scanner := bufio.NewScanner(strings.NewReader(stream))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		line := scanner.Text()
		if loose {
			line = strings.TrimRight(line, "\r")
		}
		if line == "" {
			if data != nil {
				all = append(all, strings.Join(data, "\n"))
			}
			data = nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if loose {
			value = strings.TrimSpace(value)
		}
		if name == "data" {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	if data != nil {
		all = append(all, strings.Join(data, "\n"))
	}
	return all
}

func TestThreat24_NoFramingHidesAToolFromTheFilter(t *testing.T) {
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"hidden"}]}}`
	for name, stream := range map[string]string{
		"one frame":                "data: " + list + "\n\n",
		"behind notifications":     "data: {\"method\":\"notifications/progress\"}\n\ndata: " + list + "\n\n",
		"several lists":            "data: " + list + "\n\ndata: " + list + "\n\n",
		"CR alone":                 "data: " + list + "\r\r",
		"CR and LF mixed":          "id: 1\rdata: " + list + "\r\n\rdata: {}\n\n",
		"LF CR":                    "data: " + list + "\n\r",
		"spread over lines":        "data: " + strings.ReplaceAll(list, ",", ",\r\ndata:") + "\r\n\r\n",
		"comment in the middle":    "data: " + strings.ReplaceAll(list, ",", ",\n: x\ndata: ") + "\n\n",
		"CR within the data":       "data: " + strings.ReplaceAll(list, ",", ",\r") + "\n\n",
		"CR that LF readers miss":  "data: " + strings.TrimSuffix(list, "}") + "\r:x\ndata: }\n\n",
		"line hidden behind CR":    ": comment\rdata: " + list + "\n\n",
		"data only LF readers see": "x\rdata: {}\ndata: " + list + "\n\n",
		"byte order mark":          "\xef\xbb\xbfdata: " + list + "\n\n",
		"no end":                   "data: " + list,
		"no end, one line":         "data: " + list + "\n",
		"another type":             "event: tools\ndata: " + list + "\n\n",
		"unknown fields":           "Data: " + list + "\ndata: " + list + "\n\n",
		"tabs and spaces":          "data:\t  " + list + "\t\n\n",
		"a resumed stream":         "id: 8\ndata: " + strings.Replace(list, `"id":1`, `"id":77`, 1) + "\n\n",
		"the ID as text":           "data: " + strings.Replace(list, `"id":1`, `"id":"1"`, 1) + "\n\n",
		"the ID as float":          "data: " + strings.Replace(list, `"id":1`, `"id":1.0`, 1) + "\n\n",
		"no ID":                    "data: " + strings.Replace(list, `"id":1,`, ``, 1) + "\n\n",
		"a null ID":                "data: " + strings.Replace(list, `"id":1`, `"id":null`, 1) + "\n\n",
		"the ID twice":             "data: " + strings.Replace(list, `"id":1`, `"id":2,"id":1`, 1) + "\n\n",
		"the result twice":         "data: " + strings.Replace(list, `"id":1`, `"id":1,"result":{}`, 1) + "\n\n",
		"the result in capitals":   "data: " + strings.Replace(list, `"result"`, `"Result"`, 1) + "\n\n",
		"the result, long s":       "data: " + strings.Replace(list, `"result"`, `"reſult"`, 1) + "\n\n",
		"the result escaped":       "data: " + strings.Replace(list, `"result"`, `"r\u0065sult"`, 1) + "\n\n",
		"the list in capitals":     "data: " + strings.Replace(list, `"tools"`, `"TOOLS"`, 1) + "\n\n",
		"the list, long s":         "data: " + strings.Replace(list, `"tools"`, `"toolſ"`, 1) + "\n\n",
		"the list escaped":         "data: " + strings.Replace(list, `"tools"`, `"t\u006fols"`, 1) + "\n\n",
		"the list twice":           "data: " + strings.Replace(list, `"tools"`, `"tools":[],"tools"`, 1) + "\n\n",
		"the name in capitals":     "data: " + strings.Replace(list, `"name":"hidden"`, `"Name":"hidden"`, 1) + "\n\n",
		"the name twice":           "data: " + strings.Replace(list, `"name":"hidden"`, `"name":"a","name":"hidden"`, 1) + "\n\n",
		"the name twice, capital":  "data: " + strings.Replace(list, `"name":"hidden"`, `"name":"a","NAME":"hidden"`, 1) + "\n\n",
		"the name escaped":         "data: " + strings.Replace(list, `hidden`, `hidd\u0065n`, 1) + "\n\n",
		"with a method":            "data: " + strings.Replace(list, `"id":1`, `"id":1,"method":"x"`, 1) + "\n\n",
		"a batch":                  "data: [{\"id\":5,\"result\":{}}," + list + "]\n\n",
		"a batch of a batch":       "data: [[" + list + "]]\n\n",
		"something behind":         "data: " + list + list + "\n\n",
		"invalid UTF-8":            "data: " + strings.Replace(list, `"a"`, "\"\xff\"", 1) + "\n\n",
		"prompts":                  "data: " + `{"id":1,"result":{"prompts":[{"name":"hidden"}]}}` + "\n\n",
		"resources":                "data: " + `{"id":1,"result":{"tools":[],"resources":[{"uri":"hidden"}],"resourceTemplates":[{"uriTemplate":"hidden"}]}}` + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := false
			for _, data := range readings(stream) {
				before = before || showsHidden([]byte(data))
			}
			if !before && !strings.Contains(name, "batch of a batch") && name != "something behind" && name != "CR within the data" {
				t.Error("no client would see the tool even without a filter: the test proves nothing")
			}
			for _, piece := range []int{0, 1, 3} {
				got := through(t, answering("tools/list"), stream, piece)
				for _, data := range readings(got) {
					if showsHidden([]byte(data)) {
						t.Errorf("in pieces of %d a client sees it: %q", piece, got)
					}
				}
			}
		})
	}
}

func TestThreat24_WhatIsNoMessageIsTakenOutAndTheClientTold(t *testing.T) {
	const bad = "id: 4\ndata: {\"id\":1,\"result\":{},\"result\":{\"tools\":[]}}\n\n"
	var problems []error
	f := answering("tools/list")
	f.Problem = func(err error) { problems = append(problems, err) }
	if got := through(t, f, bad+"data: {}\n\n", 0); got != "data: {}\n\n" {
		t.Errorf("got %q", got)
	}
	f.Pending = "1"
	want := "id: 4\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"the server behind answered with something that is not one well-formed message\"}}\n\n"
	if got := through(t, f, bad, 0); got != want {
		t.Errorf("got %q", got)
	}
	if len(problems) != 2 || !strings.Contains(problems[0].Error(), `"result"`) {
		t.Errorf("got %v", problems)
	}
}

func TestThreat24_BodiesThatCannotBeTrustedAreNotPassedOn(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":         "hello",
		"a text":          `"hello"`,
		"cut":             `{"id":1,"result":{"tools":[`,
		"gzip":            "\x1f\x8b\x08\x00",
		"byte order mark": "\xef\xbb\xbf{}",
		"two":             `{"id":1}{"id":1,"result":{"tools":[{"name":"hidden"}]}}`,
		"twice":           `{"id":1,"result":{},"result":{}}`,
		"in a batch":      `[{"id":1,"result":{},"Result":{}}]`,
		"deep":            `{"id":1,"result":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		"deep in a batch": `[{"id":1,"result":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}]`,
		"a batch cut":     `[{"id":1}`,
		"behind a batch":  `[{"id":1}]x`,
		"odd number":      `{"id":1,"result":{"tools":[{"name":"a","n":1e999}]}}`,
	} {
		f := &mcpwire.Filter{Visible: public}
		if got, err := f.JSON([]byte(body)); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
	f := &mcpwire.Filter{Visible: public, Limit: 10}
	if _, err := f.JSON([]byte(`{"id":12345678}`)); err == nil {
		t.Error("a body over the limit passed")
	}
}
