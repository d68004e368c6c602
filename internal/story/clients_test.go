package story

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// callbackURL is where the clients of the stories are called back: nobody listens there, the browser stops before it.
const callbackURL = "http://127.0.0.1:33418/callback"

// client is a real MCP client that starts from nothing but the server's URL.
type client interface {
	connect(ctx context.Context, b *browser.Browser, person string) error
	list(ctx context.Context) ([]string, error)
	call(ctx context.Context, tool string, arguments map[string]any) (string, error)
	refresh(ctx context.Context) error // makes the access token unusable and works on with the next
}

func clients(t *testing.T) map[string]func(server string) client {
	return map[string]func(string) client{
		"go-sdk": func(server string) client { return &goClient{server: server} },
		"typescript-sdk-v1": func(server string) client {
			return startNode(t.Context(), t, "client.mjs", "sdk", server, callbackURL)
		},
		"typescript-sdk-v2": func(server string) client {
			return startNode(t.Context(), t, "client.mjs", "client", server, callbackURL)
		},
	}
}

func TestRealClientsSignInListCallRefreshAndCallAgain(t *testing.T) {
	d := openDoor(t)
	for name, open := range clients(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := open(d.URL + "/weather/mcp")
			if err := c.connect(ctx, browser.New(), "alice@contoso.example"); err != nil {
				t.Fatalf("sign in as alice: %v", err)
			}
			wantTools(ctx, t, c, "get_forecast", "list_cities", "set_alert")
			for range 2 {
				said, err := c.call(ctx, "get_forecast", map[string]any{"city": "Kyoto", "days": 2})
				if err != nil || !strings.Contains(said, "Kyoto") {
					t.Fatalf("get_forecast said %q, %v", said, err)
				}
				if err := c.refresh(ctx); err != nil {
					t.Fatalf("refresh: %v", err)
				}
			}
			if _, err := c.call(ctx, "set_alert", map[string]any{"city": "Oslo", "above": 20}); err != nil {
				t.Errorf("alice may set_alert, but: %v", err)
			}
		})
	}
}

func TestWhatAPersonMayNotUseIsNotThere(t *testing.T) {
	d := openDoor(t)
	for name, open := range clients(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			bob := open(d.URL + "/weather/mcp")
			if err := bob.connect(ctx, browser.New(), "bob@contoso.example"); err != nil {
				t.Fatalf("sign in as bob: %v", err)
			}
			wantTools(ctx, t, bob, "get_forecast", "list_cities")
			_, hidden := bob.call(ctx, "set_alert", map[string]any{"city": "Oslo", "above": 20})
			_, unknown := bob.call(ctx, "no_such_tool", map[string]any{})
			if hidden == nil || unknown == nil {
				t.Fatalf("hidden tool: %v, unknown tool: %v; both must be refused", hidden, unknown)
			}
			if got, want := hidden.Error(), strings.ReplaceAll(unknown.Error(), "no_such_tool", "set_alert"); got != want {
				t.Errorf("a hidden tool is told from an unknown one:\n got %s\nwant %s", got, want)
			}

			carol := open(d.URL + "/weather/mcp")
			if err := carol.connect(ctx, browser.New(), "carol@contoso.example"); err != nil {
				t.Fatalf("sign in as carol: %v", err)
			}
			wantTools(ctx, t, carol)
		})
	}
}

func TestTheServerBehindSeesWhoCallsAndChecksItEightTimes(t *testing.T) {
	d := openDoor(t)
	c := &goClient{server: d.URL + "/profile/mcp"}
	if err := c.connect(t.Context(), browser.New(), "bob@contoso.example"); err != nil {
		t.Fatal(err)
	}
	said, err := c.call(t.Context(), "get_user_info", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bob@contoso.example", "access_as_user", `"signature"`, `"audience"`, `"issuer"`, `"tenant"`, `"expiry"`, `"not_before"`, `"client"`, `"object"`, `"scope"`} {
		if !strings.Contains(said, want) {
			t.Errorf("get_user_info does not say %s: %s", want, said)
		}
	}
	if strings.Contains(said, `"passed":false`) {
		t.Errorf("a check failed: %s", said)
	}
	if _, err := c.call(t.Context(), "secure_ping", map[string]any{}); err != nil {
		t.Error(err)
	}
}

func wantTools(ctx context.Context, t *testing.T, c client, want ...string) {
	t.Helper()
	got, err := c.list(ctx)
	if err != nil {
		t.Fatalf("list tools: %v", err)
	}
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, got...)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}
