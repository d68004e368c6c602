package bridge_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/bridge"
)

func TestFirstMessageSignsInAndTheRestFollows(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	if diff := cmp.Diff("get_forecast Kyoto", callText(t, s, "get_forecast", map[string]any{"city": "Kyoto"})); diff != "" {
		t.Error(diff)
	}
	p.want(t, 1, 1, 0)
	m.wantClean(t, p.allSecrets())
	m.wantLog(t, "sign in on the page that has opened")
}

func TestNextStartNeedsNoSignIn(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	first := m.session(t, p.URL+"/mcp", nil)
	_ = first.Close()
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	p.want(t, 1, 1, 0)
}

func TestTokensLieSealedAndTheListOfConnectionsHoldsNone(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	m.session(t, p.URL+"/mcp", nil)
	err := filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range p.allSecrets() {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clock is a clock that can be turned forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func TestTokenIsRefreshedBeforeItExpires(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	var c clock
	m.change = func(o *bridge.ConnectOptions) { o.Now = c.now }
	s := m.session(t, p.URL+"/mcp", nil)
	c.forward(time.Hour - 2*time.Minute)
	callText(t, s, "get_forecast", nil)
	p.want(t, 1, 1, 0)
	c.forward(time.Minute + time.Second) // less than a minute is left
	callText(t, s, "get_forecast", nil)
	p.want(t, 1, 1, 1)
	m.wantClean(t, p.allSecrets())
}

func TestRefusedTokenIsRefreshedWithoutThePerson(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	p.forgetAccess()
	callText(t, s, "get_forecast", nil)
	p.want(t, 1, 1, 1)
}

func TestEndedSignInBeginsAnewWithTheSameClient(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	p.set(func() { p.rejectRefresh = true })
	p.forgetAccess()
	callText(t, s, "get_forecast", nil)
	p.want(t, 2, 1, 1)
	m.wantLog(t, "the sign-in has ended", "the session has ended")
}

func TestExpiredRefreshTokenAtTheStartAsksThePerson(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	_ = m.session(t, p.URL+"/mcp", nil).Close()
	p.set(func() { p.rejectRefresh = true })
	p.forgetAccess()
	m.change = func(o *bridge.ConnectOptions) { o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } }
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	p.want(t, 2, 1, 1)
}

func TestOutageOfTheAuthorizationServerEndsNothing(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	var c clock
	m.change = func(o *bridge.ConnectOptions) { o.Now = c.now }
	s := m.session(t, p.URL+"/mcp", nil)
	p.set(func() { p.down = http.StatusServiceUnavailable })
	c.forward(time.Hour - 30*time.Second)
	callText(t, s, "get_forecast", nil) // the old token still lives
	m.wantLog(t, "use the old one while it lasts")
	c.forward(time.Minute)
	_, err := tryText(s, "get_forecast", nil)
	wantError(t, err, "the authorization server has trouble (it answered 503", "try again later")
	p.set(func() { p.down = 0 })
	callText(t, s, "get_forecast", nil)
	p.want(t, 1, 1, 1)
}

func TestStepUpAsksForWhatIsMissingBesideWhatWasThere(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.wantScope["set_alert"] = "weather.write"
	s := m.session(t, p.URL+"/mcp", nil)
	callText(t, s, "set_alert", nil)
	p.want(t, 2, 1, 0)
	if diff := cmp.Diff([]string{"mcp offline_access", "weather.write mcp offline_access"}, []string{p.authorize[0].Get("scope"), p.authorize[1].Get("scope")}); diff != "" {
		t.Error(diff)
	}
}

func TestStepUpThatDoesNotHelpIsNotRepeated(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.wantScope["set_alert"] = "weather.write"
	p.neverEnough = true
	s := m.session(t, p.URL+"/mcp", nil)
	for range 3 {
		_, err := tryText(s, "set_alert", nil)
		wantError(t, err, "still refuses after you signed in", "weather.write")
	}
	p.want(t, 2, 1, 0)
}

// Tokens and registrations of one authorization server are never shown to another, nor used for it.
func TestAnotherAuthorizationServerMeansANewSignInThere(t *testing.T) {
	p, next, m := newProvider(t), newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	callText(t, s, "get_forecast", nil)
	p.set(func() { p.movedTo = next })
	callText(t, s, "get_forecast", nil)
	p.want(t, 1, 1, 0)
	next.want(t, 1, 1, 0)
	if got := m.status(t); strings.Contains(got, p.URL+"  ") || !strings.Contains(got, next.URL) {
		t.Errorf("status says:\n%s", got)
	}
}

func TestClaimsChallengeSignsInAgainWithTheClaims(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	p.set(func() {
		p.challenge = fmt.Sprintf(`, error="insufficient_claims", claims=%q`, base64.StdEncoding.EncodeToString([]byte(claims)))
	})
	p.forgetAccess()
	callText(t, s, "get_forecast", nil)
	p.want(t, 2, 1, 0)
	if diff := cmp.Diff(claims, p.authorize[1].Get("claims")); diff != "" {
		t.Error(diff)
	}
}

func TestFiveBridgesOpenOneSignInPage(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			cmd := processCommand(processOptions{Server: p.URL + "/mcp", Dir: m.dir, Timeout: 20 * time.Second})
			cmd.Stderr = m.log
			client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
			s, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Errorf("connect: %v", err)
				return
			}
			defer s.Close()
			if text, err := tryText(s, "get_forecast", nil); err != nil || text != "get_forecast " {
				t.Errorf("call: %q %v", text, err)
			}
		})
	}
	all.Wait()
	p.want(t, 1, 1, 0)
	m.wantClean(t, p.allSecrets())
}

func TestKilledBridgeStartsAgainWithoutASignIn(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	cmd := processCommand(processOptions{Server: p.URL + "/mcp", Dir: m.dir, Timeout: 20 * time.Second})
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	callText(t, s, "get_forecast", nil)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	p.want(t, 1, 1, 0)
}

// A lock that dies with its process: somebody who is killed while signing in keeps nobody out.
func TestKilledInTheMiddleOfASignInKeepsNobodyOut(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.nobody = true
	cmd := processCommand(processOptions{Server: p.URL + "/mcp", Dir: m.dir, Timeout: time.Minute})
	cmd.Stderr = m.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	m.log.await(t, "sign in on the page")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	p.set(func() { p.nobody = false })
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
}

func TestNobodySignsInEndsWithAClearMessage(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.nobody = true
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.Timeout = 200 * time.Millisecond }
	_, err := m.connect(t, p.URL+"/mcp", nil)
	wantError(t, err, "nobody signed in to "+p.URL+"/mcp within 200ms", "try again to get a new sign-in page")
}

func TestDeclinedSignInSaysSo(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.deny = true
	_, err := m.connect(t, p.URL+"/mcp", nil)
	wantError(t, err, "the sign-in was declined", "Alice said no")
}

func TestThreat04_AnswerWithAnotherStateIsIgnoredAndTheRightOneAwaited(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	var forged *http.Response
	p.answer = func(right url.Values) {
		wrong := url.Values{"state": {"of another sign-in"}, "code": {"stolen"}, "iss": right["iss"]}
		resp, err := http.Get(p.authorize[0].Get("redirect_uri") + "?" + wrong.Encode())
		if err != nil {
			t.Error(err)
			return
		}
		forged = resp
	}
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	if forged == nil || forged.StatusCode != http.StatusBadRequest {
		t.Errorf("the forged answer got %v", forged)
	} else if page := bodyOf(forged); !strings.Contains(page, "This is not the sign-in that was expected") {
		t.Errorf("the page says: %s", page)
	}
	m.wantLog(t, "a sign-in answer with a wrong state came and was ignored")
	p.want(t, 1, 1, 0)
}

func TestThreat12_AnswerOfAnotherIssuerIsRefusedAndItsErrorNotShown(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.deny = true
	p.answer = func(answer url.Values) {
		answer.Set("iss", "https://evil.example")
		answer.Set("error_description", "call this number")
	}
	_, err := m.connect(t, p.URL+"/mcp", nil)
	wantError(t, err, "comes from another authorization server", "https://evil.example")
	if strings.Contains(err.Error()+m.log.String(), "call this number") {
		t.Error("the words of somebody else were shown")
	}
}

func TestTakenCallbackPortIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	p, m := newProvider(t), newMachine(t)
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.CallbackPort = port }
	_, err = m.connect(t, p.URL+"/mcp", nil)
	wantError(t, err, "another program has port "+itoa(port), "--callback-port")
	p.want(t, 0, 0, 0)
}

func TestTakenUsualPortIsReplacedAndTheClientRegisteredAnew(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	s := m.session(t, p.URL+"/mcp", nil)
	usual, err := url.Parse(p.redirects[0])
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", usual.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.set(func() { p.rejectRefresh = true })
	p.forgetAccess()
	callText(t, s, "get_forecast", nil)
	p.want(t, 2, 2, 1)
}

func TestWithoutRegistrationItAsksForAClientID(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.noRegister = true
	_, err := m.connect(t, p.URL+"/mcp", nil)
	wantError(t, err, "registers no clients", "--client-id")
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.ClientID, o.SignIn.CallbackPort = "given", 0 }
	p.set(func() { p.clients["given"] = "http://127.0.0.1:" + itoa(usualPortOf(p)) + "/callback" })
	_, err = m.connect(t, p.URL+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
}

// usualPortOf finds the port by looking at what the first try would have used: a person reads it in the consent page.
func usualPortOf(p *provider) int {
	return bridge.UsualPort(p.URL + "/mcp")
}

func TestDeviceCodeIsShownAndAwaited(t *testing.T) {
	p, m := newProvider(t), newMachine(t)
	p.device = true
	m.change = func(o *bridge.ConnectOptions) { o.SignIn.DeviceCode = true }
	go func() {
		m.log.await(t, "ABCD-EFGH")
		p.set(func() { p.approve = true })
	}()
	callText(t, m.session(t, p.URL+"/mcp", nil), "get_forecast", nil)
	m.wantLog(t, "enter the code ABCD-EFGH", p.URL+"/enter")
	if !strings.Contains(m.stdout.String(), `"notifications/message"`) {
		t.Error("the MCP client was not told")
	}
	p.want(t, 0, 1, 0)
	m.wantClean(t, p.allSecrets())
}

func bodyOf(resp *http.Response) string {
	defer resp.Body.Close()
	var b strings.Builder
	_ = resp.Write(&b)
	return b.String()
}
