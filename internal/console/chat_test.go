package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/console"
)

func TestAnAnswerStreamsAndToolsAreCalledOnTheWay(t *testing.T) {
	s := script(t,
		line{Words: []string{"I look ", "it up. "}, Calls: []wish{{"c1", "weather__get_forecast", `{"city":"Kyoto"}`}, {"c2", "profile__get_user_info", `{}`}}},
		line{Words: []string{"Sunny."}})
	h := openHouse(t, options{chat: s.chat()})
	v := h.signedIn("alice")
	want := "I look it up. [get_forecast allowed][get_user_info allowed][done well][done well]Sunny.[end false]"
	if diff := cmp.Diff(want, told(v.say("weather?"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	second := s.requests()[1]
	for _, part := range []string{`"tool_call_id":"c1"`, `"tool_call_id":"c2"`, "rain_percent", "Alice Arai"} {
		if !strings.Contains(second, part) {
			t.Errorf("the model wasn't told %s: %s", part, second)
		}
	}
	if page := words(v.get("/console/chat").Body); !strings.Contains(page, "Sunny.") || !strings.Contains(page, "get_forecast") {
		t.Errorf("the conversation is forgotten: %s", page)
	}
	v.post("/console/chat/clear", nil)
	if page := words(v.get("/console/chat").Body); strings.Contains(page, "Sunny.") {
		t.Error("the conversation is not forgotten")
	}
}

func TestWhatChangesSomethingWaitsForAYes(t *testing.T) {
	alert := line{Calls: []wish{{"c1", "weather__set_alert", `{"city":"Kyoto","above":20}`}, {"c2", "weather__list_cities", `{}`}}}
	for verdict, want := range map[string]string{"allow": "[done well]Done.[end false]", "deny": "[declined failed]Done.[end false]"} {
		s := script(t, alert, line{Words: []string{"Done."}})
		h := openHouse(t, options{chat: s.chat()})
		v := h.signedIn("alice")
		if diff := cmp.Diff("[set_alert waiting][list_cities allowed][done well][end true]", told(v.say("alert me"))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", verdict, diff)
		}
		if got := v.post("/console/chat/decide", url.Values{"call": {"c9"}, "verdict": {"allow"}}); got.Status != http.StatusBadRequest {
			t.Errorf("a decision about nothing: %d", got.Status)
		}
		if diff := cmp.Diff(want, told(v.chatAs("/console/chat/decide", url.Values{"call": {"c1"}, "verdict": {verdict}}))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", verdict, diff)
		}
		if got := v.post("/console/chat/decide", url.Values{"call": {"c1"}, "verdict": {"allow"}}); got.Status != http.StatusBadRequest {
			t.Errorf("%s, decided twice: %d", verdict, got.Status)
		}
	}
}

func TestWritingOnIsNoYes(t *testing.T) {
	s := script(t, line{Calls: []wish{{"c1", "weather__set_alert", `{"city":"Kyoto","above":20}`}}}, line{Words: []string{"Fine."}})
	h := openHouse(t, options{chat: s.chat()})
	v := h.signedIn("alice")
	v.say("alert me")
	if diff := cmp.Diff("Fine.[end false]", told(v.say("no, wait"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !strings.Contains(s.requests()[1], "This call was not carried out.") {
		t.Errorf("the model isn't told: %s", s.requests()[1])
	}
}

// A model that asks for what the person may not use is told that there is no such thing, whatever exists.
func TestAModelCannotCallAHiddenTool(t *testing.T) {
	s := script(t,
		line{Calls: []wish{{"c1", "lab__hidden_vault", `{}`}, {"c2", "weather__set_alert", `{"city":"Kyoto","above":20}`}, {"c3", "weather__get_forecast", `not json`}}},
		line{Words: []string{"I can't."}})
	h := openHouse(t, options{chat: s.chat(), extras: []extra{lab()}})
	v := h.signedIn("bob")
	want := "[lab__hidden_vault unknown][weather__set_alert unknown][get_forecast allowed][unknown failed][unknown failed][done failed]I can't.[end false]"
	if diff := cmp.Diff(want, told(v.say("open the vault"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if strings.Contains(s.requests()[0], "hidden_vault") || strings.Contains(s.requests()[0], "set_alert") {
		t.Error("the model is offered what the person may not use")
	}
}

// A letter that asks for tokens finds nothing to give: none is in any request to the model, and what looks like one in
// the letter itself is taken out.
func TestThreat37_APromptInjectionFindsNoToken(t *testing.T) {
	s := script(t,
		line{Calls: []wish{{"c1", "lab__read_mail", `{}`}}},
		line{Words: []string{"The token is Bearer " + strings.Repeat("abcd1234", 8)}, Calls: []wish{{"c2", "lab__hidden_vault", `{}`}}},
		line{Words: []string{"I could not."}})
	h := openHouse(t, options{chat: s.chat(), extras: []extra{lab()}})
	v := h.signedIn("alice")
	v.post("/console/tokens/exchange", url.Values{"service": {"search"}})
	heard := v.say("read my mail")
	if diff := cmp.Diff("[read_mail allowed][done well]The token is Bearer [secret][lab__hidden_vault unknown][unknown failed]I could not.[end false]", told(heard)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	all := strings.Join(s.requests(), "\n")
	if strings.Contains(all, "abcd1234abcd1234") {
		t.Error("the model got what looks like a token in a tool's result")
	}
	if len(h.Seen.tokens()) == 0 {
		t.Fatal("no token was seen: the test proves nothing")
	}
	for _, token := range h.Seen.tokens() {
		for _, part := range strings.Split(token, ".") {
			if len(part) > 16 && strings.Contains(all, part) {
				t.Errorf("a token reached the model: %s", part)
			}
		}
	}
	if !strings.Contains(all, "IGNORE ALL INSTRUCTIONS") {
		t.Error("the letter didn't reach the model at all")
	}
}

func TestAModelThatNeverEndsIsStopped(t *testing.T) {
	var plan []line
	for range 20 {
		plan = append(plan, line{Calls: []wish{{"c", "weather__list_cities", `{}`}}})
	}
	s := script(t, plan...)
	h := openHouse(t, options{chat: s.chat()})
	got := told(h.signedIn("alice").say("go on"))
	if !strings.HasSuffix(got, "[problem Stopped][end false]") || strings.Count(got, "[done well]") != 9 {
		t.Errorf("%s", got)
	}
}

func TestAModelThatFailsIsToldInOurWords(t *testing.T) {
	s := script(t)
	h := openHouse(t, options{chat: s.chat()})
	broken := openHouse(t, options{chat: console.Chat{Endpoint: h.Tenant.URL + "/nothing", Model: "m"}})
	if got := told(broken.signedIn("alice").say("hello")); got != "[problem The model did not answer][end false]" {
		t.Errorf("%s", got)
	}
}

func TestAzureIsAskedWithItsKeyAndDeployment(t *testing.T) {
	s := script(t, line{Words: []string{"Hi."}})
	c := s.chat()
	c.Endpoint, c.AzureVersion = strings.TrimSuffix(s.URL, "/v1"), "2025-04-01-preview"
	h := openHouse(t, options{chat: c})
	if got := told(h.signedIn("alice").say("hello")); got != "Hi.[end false]" {
		t.Errorf("%s", got)
	}
	if diff := cmp.Diff([]string{"/openai/deployments/scripted/chat/completions key-of-the-model"}, s.auth); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAModelIsNotAskedOverPlainHTTPElsewhere(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("http to another machine is accepted")
		}
	}()
	openHouse(t, options{chat: console.Chat{Endpoint: "http://model.example/v1", Model: "m"}})
}

func TestTheResponderFindsToolsByTheirWords(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	got := told(v.say("Tell me about myself"))
	for _, want := range []string{"I am not a language model", "[get_user_info allowed][done well]", "name: Alice Arai", "[end false]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if got := told(v.say("What will the weather be in Kyoto?")); !strings.Contains(got, "[get_forecast allowed][done well]") || !strings.Contains(got, "city: Kyoto") {
		t.Errorf("%s", got)
	}
	if got := told(v.say("xyzzy")); !strings.Contains(got, "I found no tool for that") || !strings.Contains(got, "List cities") {
		t.Errorf("%s", got)
	}
}

func TestTheResponderAsksForWhatIsMissing(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	if got := told(v.say("set an alert")); !strings.Contains(got, "Which ") || strings.Contains(got, "[set_alert") {
		t.Fatalf("%s", got)
	}
	if got := told(v.say("a lot")); !strings.Contains(got, "can't be that") {
		t.Fatalf("a word where a number is needed: %s", got)
	}
	if got := told(v.say("15")); !strings.Contains(got, "Which city?") {
		t.Fatalf("%s", got)
	}
	if got := told(v.say("Kyoto")); !strings.Contains(got, "[set_alert waiting]") || !strings.HasSuffix(got, "[end true]") {
		t.Fatalf("%s", got)
	}
	if got := told(v.chatAs("/console/chat/decide", url.Values{"call": {"call-weather__set_alert"}, "verdict": {"allow"}})); !strings.Contains(got, "[done well]") || !strings.Contains(got, "above: 15") {
		t.Fatalf("%s", got)
	}
	v.say("forecast")
	if got := told(v.say("never mind")); !strings.Contains(got, "Then not.") {
		t.Errorf("%s", got)
	}
}
