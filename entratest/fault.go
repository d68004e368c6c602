package entratest

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is a bad moment of the service. Path says of which endpoint, by the end of its path: "/token",
// "/keys", "/me"; an empty Path means every endpoint. Grant narrows "/token" to one grant type.
type Fault struct {
	Path  string
	Grant string
	// Times is how many requests suffer; 0 is one, negative all until ClearFaults.
	Times int
	// Delay passes before the answer, or the caller loses patience.
	Delay time.Duration
	// Status is the answer: 429, 500, 503. With 0 and nothing below the answer is right, only late.
	Status     int
	RetryAfter time.Duration
	// Code refuses with that AADSTS number, Claims with that claims challenge.
	Code   int
	Claims string
	// Challenge makes Graph, AI Search or Key Vault ask for these claims (JSON): 401, insufficient_claims.
	Challenge string
	// Body replaces the answer's body, for those who parse without looking.
	Body string
	// Drop closes the connection without an answer.
	Drop bool
}

// FailNext lets the next request to an endpoint fail. Faults of the same endpoint queue up.
func (t *Tenant) FailNext(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	t.remember(func(s *state) { s.faults = append(s.faults, &f) })
}

// ClearFaults ends all faults.
func (t *Tenant) ClearFaults() { t.remember(func(s *state) { s.faults = nil }) }

// Call is a request that the tenant answered. No secret is kept of it.
type Call struct {
	Method, Path    string
	Grant           string // grant_type
	Client          string // client_id
	Scope, Resource string
	Claims          string
}

// callsKept bounds what a tenant remembers that runs for days.
const callsKept = 10_000

// Calls lists the requests so far whose path ends like that, oldest first: "/token", "/keys", "/me".
func (t *Tenant) Calls(path string) []Call {
	var calls []Call
	t.remember(func(s *state) {
		for _, c := range s.calls {
			if strings.HasSuffix(c.Path, path) {
				calls = append(calls, c)
			}
		}
	})
	return calls
}

// watched records each request and lets it suffer what FailNext ordered.
func (t *Tenant) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := Call{Method: r.Method, Path: r.URL.Path, Resource: r.URL.Query().Get("resource")}
		if form := peekForm(r); form != nil {
			call.Grant, call.Client, call.Scope = form.Get("grant_type"), form.Get("client_id"), form.Get("scope")
			call.Claims, call.Resource = form.Get("claims"), form.Get("resource")
		}
		f := t.record(call)
		if f == nil || !t.suffer(w, r, f) {
			next.ServeHTTP(w, r)
		}
	})
}

// peekForm reads a form body and puts it back.
func peekForm(r *http.Request) url.Values {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(string(raw)), rest), rest}
	if err != nil {
		return nil
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil
	}
	return form
}

// record keeps a call and takes the fault that waits for it.
func (t *Tenant) record(c Call) *Fault {
	var hit *Fault
	t.remember(func(s *state) {
		if len(s.calls) >= callsKept {
			s.calls = slices.Delete(s.calls, 0, callsKept/2)
		}
		s.calls = append(s.calls, c)
		for i, f := range s.faults {
			if !strings.HasSuffix(c.Path, f.Path) || f.Grant != "" && f.Grant != c.Grant {
				continue
			}
			hit = f
			if f.Times > 0 {
				if f.Times--; f.Times == 0 {
					s.faults = slices.Delete(s.faults, i, i+1)
				}
			}
			return
		}
	})
	return hit
}

// suffer carries a fault out. It says whether that was the answer.
func (t *Tenant) suffer(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	switch {
	case f.Body != "":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(max(f.Status, http.StatusOK))
		_, _ = io.WriteString(w, f.Body) // a broken connection is the client's to notice
	case f.Challenge != "":
		t.resourceError(w, r, t.challenged(r, f.Challenge))
	case f.Code != 0:
		no := refuse(f.Code).with(f.Claims)
		if f.Status != 0 {
			no.status = f.Status
		}
		t.api(func(http.ResponseWriter, *http.Request) error { return no }).ServeHTTP(w, r)
	case f.Status != 0:
		t.statusOnly(w, r, f.Status)
	default:
		return false
	}
	return true
}

// statusOnly answers with a status in the words of the service that was asked.
func (t *Tenant) statusOnly(w http.ResponseWriter, r *http.Request, status int) {
	if !resourcePath(r.URL.Path) {
		no := refuse(90033)
		if status == http.StatusTooManyRequests {
			no = refuse(90055)
		}
		no.status = status
		t.api(func(http.ResponseWriter, *http.Request) error { return no }).ServeHTTP(w, r)
		return
	}
	no := &graphRefusal{status: status, code: "serviceNotAvailable", message: "The service is temporarily unavailable."}
	if status == http.StatusTooManyRequests {
		no.code, no.message = "TooManyRequests", "Too many requests."
	}
	t.resourceError(w, r, no)
}

// resourcePath says whether a path belongs to a service that Entra protects, not to Entra.
func resourcePath(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains([]string{"v1.0", "beta", "indexes", "keys"}, first)
}
