package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/console"
)

func TestEverybodySeesTheToolsThatTheirRolesOpen(t *testing.T) {
	h := openHouse(t, options{})
	for who, want := range map[string][]string{
		"alice": {"get_forecast", "list_cities", "set_alert", "get_user_info", "secure_ping"},
		"bob":   {"get_forecast", "list_cities", "get_user_info", "secure_ping"},
		"carol": {"get_user_info", "secure_ping"},
	} {
		page := h.signedIn(who).get("/console/tools").Body
		var got []string
		for _, m := range regexp.MustCompile(`<a href="/console/tools/[a-z]+/([a-z_]+)">`).FindAllStringSubmatch(page, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", who, diff)
		}
		if strings.Contains(page, "hidden from you") {
			t.Errorf("%s is told of hidden tools", who)
		}
	}
}

func TestAdministratorsSeeWhichToolsAreHiddenAndWhy(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	page := words(h.signedIn("frank").get("/console/tools").Body)
	for _, want := range []string{"1 tool is hidden from you", "set_alert", "the app role Weather.Write", "writers", "hidden_vault", "none names it"} {
		if !strings.Contains(page, want) {
			t.Errorf("nothing of %q: %s", want, page)
		}
	}
}

func TestAToolIsCalledByItsFormWithoutAScript(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("bob")
	got := v.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Kyoto"}, "arg.days": {"2"}})
	text := words(got.Body)
	if got.Status != http.StatusOK || !strings.Contains(text, `"city": "Kyoto"`) || strings.Count(text, "rain_percent") != 2 {
		t.Errorf("%d %s", got.Status, text)
	}
	if got := v.post("/console/tools/weather/get_forecast", url.Values{"arg.days": {"two"}}); got.Status != http.StatusUnprocessableEntity || !strings.Contains(words(got.Body), "city: is needed. days: must be a number without a fraction.") {
		t.Errorf("%d %s", got.Status, words(got.Body))
	}
	if got := v.post("/console/tools/weather/get_forecast", url.Values{"arg.city": {"Atlantis"}}); !strings.Contains(words(got.Body), "there is no forecast for that city") {
		t.Errorf("the tool's own no isn't shown: %s", words(got.Body))
	}
	if got := v.post("/console/tools/weather/set_alert", url.Values{"arg.city": {"Kyoto"}}); got.Status != http.StatusNotFound {
		t.Errorf("a hidden tool: %d", got.Status)
	}
	if text := words(v.get("/console/tools").Body); strings.Count(text, "Called in this session") != 1 || !strings.Contains(text, "Atlantis") {
		t.Errorf("no history: %s", text)
	}
	v.post("/console/tools/forget", nil)
	if text := words(v.get("/console/tools").Body); strings.Contains(text, "Atlantis") {
		t.Error("the history is not forgotten")
	}
}

var sentArguments = regexp.MustCompile(`(?s)Arguments as they were sent</summary><pre tabindex="0">(.*?)</pre>`)

// arguments calls book_trip and reads which arguments were sent.
func arguments(t *testing.T, v *visitor, form url.Values) any {
	t.Helper()
	got := v.post("/console/tools/lab/book_trip", form)
	found := sentArguments.FindStringSubmatch(got.Body)
	if found == nil {
		t.Fatalf("it was not called: %d %s", got.Status, words(got.Body))
	}
	var sent any
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestFormsSayWhatSchemasAskFor(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	v := h.signedIn("alice")
	base := map[string]any{"name": "Mio", "class": "first"}
	for name, c := range map[string]struct {
		form url.Values
		want map[string]any
	}{
		"the least":           {url.Values{}, map[string]any{}},
		"a list by lines":     {url.Values{"arg.tags": {"sea\r\n\r\n  hills \n"}}, map[string]any{"tags": []any{"sea", "hills"}}},
		"an object":           {url.Values{"arg.hotel.city": {"Nara"}, "arg.hotel.nights": {"3"}}, map[string]any{"hotel": map[string]any{"city": "Nara", "nights": 3.0}}},
		"a list of objects":   {url.Values{"arg.stops.0.city": {"Kobe"}, "arg.stops.3.city": {"Osaka"}, "arg.stops.3.hour": {"9"}, "arg.stops.1.city": {""}}, map[string]any{"stops": []any{map[string]any{"city": "Kobe"}, map[string]any{"city": "Osaka", "hour": 9.0}}}},
		"no, a truth":         {url.Values{"arg.flexible": {"false"}}, map[string]any{"flexible": false}},
		"a number or null":    {url.Values{"arg.budget": {"12.50"}}, map[string]any{"budget": 12.5}},
		"a titled constant":   {url.Values{"arg.seat": {`"w"`}}, map[string]any{"seat": "w"}},
		"a stranger's field":  {url.Values{"arg.admin": {"true"}}, map[string]any{}},
		"a number, not words": {url.Values{"arg.hotel.city": {"007"}}, map[string]any{"hotel": map[string]any{"city": "007"}}},
	} {
		want := map[string]any{}
		for _, m := range []map[string]any{base, c.want} {
			for key, value := range m {
				want[key] = value
			}
		}
		c.form.Set("arg.name", "Mio")
		c.form.Set("arg.class", `"first"`)
		if diff := cmp.Diff(any(want), arguments(t, v, c.form)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	exact := arguments(t, v, url.Values{"json": {`{"name":"Mio","class":"first","budget":3}`}})
	if diff := cmp.Diff(any(map[string]any{"name": "Mio", "class": "first", "budget": 3.0}), exact); diff != "" {
		t.Errorf("as JSON: (-want +got)\n%s", diff)
	}
}

func TestFormsRefuseWhatSchemasCannotMean(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	v := h.signedIn("alice")
	for name, c := range map[string]struct{ field, value, want string }{
		"no choice":        {"arg.class", `"third"`, "class: must be one of the list."},
		"a word":           {"arg.budget", "much", "budget: must be a number."},
		"half a night":     {"arg.hotel.nights", "1.5", "nights: must be a number without a fraction."},
		"an object's need": {"arg.hotel.nights", "2", "city: is needed."},
		"no object":        {"json", `["x"]`, "must be one JSON object"},
		"two objects":      {"json", `{} {}`, "must be one JSON object"},
	} {
		form := url.Values{"arg.name": {"Mio"}, "arg.class": {`"first"`}}
		form.Set(c.field, c.value)
		if got := v.post("/console/tools/lab/book_trip", form); got.Status != http.StatusUnprocessableEntity || !strings.Contains(words(got.Body), c.want) {
			t.Errorf("%s: %d %s", name, got.Status, words(got.Body))
		}
	}
}

func TestAServerThatIsDownDoesNotHideTheOthers(t *testing.T) {
	dead := extra{Name: "dead", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "stack trace of internal-host", 500) })}
	h := openHouse(t, options{extras: []extra{dead}})
	got := h.signedIn("alice").get("/console/tools")
	if text := words(got.Body); got.Status != http.StatusOK || !strings.Contains(text, "It can't be reached at the moment") || !strings.Contains(text, "Get a forecast") || strings.Contains(text, "internal-host") {
		t.Errorf("%d %s", got.Status, text)
	}
}

func TestEveryServerHasItsLineForEveryClient(t *testing.T) {
	h := openHouse(t, options{})
	page := html.UnescapeString(h.signedIn("carol").get("/console/install").Body)
	address := h.URL + "/weather/mcp"
	for _, want := range []string{
		"claude mcp add --transport http weather " + address, `code --add-mcp '{"name":"weather","type":"http","url":"` + address + `"}'`,
		"genkan connect " + address, "vscode:mcp/install?", "cursor://anysphere.cursor-deeplink/mcp/install?name=weather",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func FuzzFormsNeverPanic(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"type":"array","items":{"$ref":"#/$defs/x"}}},"$defs":{"x":{"type":"object","properties":{"y":{"$ref":"#/$defs/x"}}}}}`, "arg.a.0.y=1")
	f.Add(`{"properties":{"a.b":{"anyOf":[{"type":"null"},{"enum":[1,"x",null]}]}}}`, "arg.a~1b=1&json={}")
	f.Add(`{"type":["object"],"required":[1],"properties":{"#":{"oneOf":[{"const":1},{}]},"":{"type":"integer","default":"x"}}}`, "arg.~2=1")
	f.Fuzz(func(t *testing.T, schema, sent string) {
		var parsed any
		form, err := url.ParseQuery(sent)
		if json.Unmarshal([]byte(schema), &parsed) != nil || err != nil {
			return
		}
		arguments, mistakes := console.ReadForm(parsed, form)
		if arguments == nil && len(mistakes) == 0 {
			t.Error("neither arguments nor a mistake")
		}
	})
}
