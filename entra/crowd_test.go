package entra_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

func TestAThousandCallersOfOneKeyMakeOneRequest(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	tenant.FailNext(entratest.Fault{Path: "/token", Delay: 50 * time.Millisecond})
	if err := crowd(t, exchange(t, client), entra.Assertion{Token: signIn.Token, Session: "one"}, 1000); err != nil {
		t.Fatal(err)
	}
	if got := grants(tenant, oboGrant); got != 1 {
		t.Errorf("exchanges: want 1, got %d", got)
	}
}

// Whoever comes in the moment after the answer must find it, not ask again.
func TestLatecomersOfACrowdMakeNoSecondRequest(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	obo := exchange(t, client)
	for round := range 25 {
		obo.Forget("s")
		if err := crowd(t, obo, entra.Assertion{Token: signIn.Token, Session: "s"}, 300); err != nil {
			t.Fatal(err)
		}
		if got := grants(tenant, oboGrant); got != round+1 {
			t.Fatalf("exchanges after %d crowds: got %d", round+1, got)
		}
	}
}

func TestWhoGoesAwayStopsNobodyElse(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	obo, a := exchange(t, client), entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	tenant.FailNext(entratest.Fault{Path: "/token", Delay: 400 * time.Millisecond})
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var others sync.WaitGroup
	others.Go(func() {
		_, err := obo.Token(impatient, a)
		wantUnavailable(t, err)
	})
	others.Go(func() {
		if _, err := obo.Token(t.Context(), a); err != nil {
			t.Errorf("who waited: %v", err)
		}
	})
	others.Wait()
	if got := grants(tenant, oboGrant); got != 1 {
		t.Errorf("exchanges: want 1, got %d", got)
	}
}

// Nor is anything left running, or held against those who come later.
func TestWhenEverybodyHasGoneAwayNothingIsLeft(t *testing.T) {
	tenant := entratest.Start(t)
	hang, ended := false, make(chan struct{})
	client := newClient(t, tenant, func(c *entra.ClientConfig) {
		c.HTTPClient = &http.Client{Transport: altered(func(r *http.Request, _ *http.Response) {
			if hang && r.Method == http.MethodPost {
				<-r.Context().Done()
				close(ended)
			}
		})}
	})
	obo, a := exchange(t, client), entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token}
	hang = true
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := obo.Token(impatient, a)
	wantUnavailable(t, err)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the request runs on though nobody waits for it")
	}
	hang = false
	mustExchange(t, obo, a)
}

// crowd asks for a token from everybody at once.
func crowd(t testing.TB, obo *entra.OnBehalfOf, a entra.Assertion, callers int) error {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var failures error
	start := make(chan struct{})
	for range callers {
		all.Go(func() {
			<-start
			if _, err := obo.Token(t.Context(), a); err != nil {
				mu.Lock()
				failures = errors.Join(failures, err)
				mu.Unlock()
			}
		})
	}
	close(start)
	all.Wait()
	return failures
}
