package entratest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// adminRoutes change the tenant while it runs, for programs that are not in this process. Only programs
// on this machine may ask, and no web page may.
func (t *Tenant) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/directory", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_ = t.directory().Write(w) // a broken connection is the caller's to notice
	})
	mux.Handle("PUT /admin/directory", t.adminDo(t.replaceDirectory))
	mux.HandleFunc("GET /admin/calls", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, slices.Concat([]Call{}, t.Calls(r.URL.Query().Get("path"))))
	})
	for name, do := range t.adminActions() {
		mux.Handle("POST /admin/"+name, t.adminDo(func(r *http.Request) error {
			var order adminOrder
			decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&order); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the order: %w", err)
			}
			return do(order)
		}))
	}
	return localOnly(mux)
}

// adminOrder is the body of every order; each takes what it needs from it.
type adminOrder struct {
	Person   string   `json:"person"`
	App      string   `json:"app"`
	Resource string   `json:"resource"`
	Role     string   `json:"role"`
	Scopes   []string `json:"scopes"`
	By       string   `json:"by"` // a duration: 90m
	Policy   struct {
		MFA             bool     `json:"mfa"`
		Block           bool     `json:"block"`
		SignInFrequency string   `json:"sign_in_frequency"`
		People          []string `json:"people"`
	} `json:"policy"`
	Fault struct {
		Path       string `json:"path"`
		Grant      string `json:"grant"`
		Times      int    `json:"times"`
		Delay      string `json:"delay"`
		Status     int    `json:"status"`
		RetryAfter string `json:"retry_after"`
		Code       int    `json:"code"`
		Claims     string `json:"claims"`
		Challenge  string `json:"challenge"`
		Body       string `json:"body"`
		Drop       bool   `json:"drop"`
	} `json:"fault"`
}

// adminActions are the methods of Tenant by the name of their order.
func (t *Tenant) adminActions() map[string]func(adminOrder) error {
	plain := func(f func()) func(adminOrder) error { return func(adminOrder) error { f(); return nil } }
	person := func(f func(string)) func(adminOrder) error {
		return func(o adminOrder) error { f(o.Person); return nil }
	}
	return map[string]func(adminOrder) error{
		"disable":          person(t.Disable),
		"enable":           person(t.Enable),
		"sign-out":         person(t.SignOut),
		"expire-secrets":   func(o adminOrder) error { t.ExpireSecrets(o.App); return nil },
		"assign":           func(o adminOrder) error { t.Assign(o.App, o.Person, o.Role); return nil },
		"unassign":         func(o adminOrder) error { t.Unassign(o.App, o.Person, o.Role); return nil },
		"consent":          func(o adminOrder) error { t.Consent(o.App, o.Resource, o.Scopes...); return nil },
		"withdraw-consent": func(o adminOrder) error { t.WithdrawConsent(o.App, o.Resource); return nil },
		"rotate-keys":      plain(t.RotateKeys),
		"forget-old-keys":  plain(t.ForgetOldKeys),
		"lift-policies":    plain(t.LiftPolicies),
		"clear-faults":     plain(t.ClearFaults),
		"advance":          t.adminAdvance,
		"require":          t.adminRequire,
		"fail-next":        t.adminFail,
	}
}

func (t *Tenant) adminAdvance(o adminOrder) error {
	by, err := time.ParseDuration(o.By)
	if err != nil {
		return fmt.Errorf("by: %w", err)
	}
	t.Advance(by)
	return nil
}

// duration reads a time that may be left out.
func duration(raw string) (time.Duration, error) {
	if raw == "" {
		return 0, nil
	}
	return time.ParseDuration(raw)
}

func (t *Tenant) adminRequire(o adminOrder) error {
	frequency, err := duration(o.Policy.SignInFrequency)
	if err != nil {
		return fmt.Errorf("policy.sign_in_frequency: %w", err)
	}
	t.Require(Policy{Resource: o.Resource, People: o.Policy.People, MFA: o.Policy.MFA, Block: o.Policy.Block, SignInFrequency: frequency})
	return nil
}

func (t *Tenant) adminFail(o adminOrder) error {
	f := o.Fault
	delay, err := duration(f.Delay)
	if err != nil {
		return fmt.Errorf("fault.delay: %w", err)
	}
	after, err := duration(f.RetryAfter)
	if err != nil {
		return fmt.Errorf("fault.retry_after: %w", err)
	}
	t.FailNext(Fault{Path: f.Path, Grant: f.Grant, Times: f.Times, Delay: delay, Status: f.Status, RetryAfter: after,
		Code: f.Code, Claims: f.Claims, Challenge: f.Challenge, Body: f.Body, Drop: f.Drop})
	return nil
}

func (t *Tenant) replaceDirectory(r *http.Request) error {
	next, err := Load(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return err
	}
	if next.TenantID != t.TenantID || next.Domain != t.Domain {
		return errors.New("the tenant's ID and domain can't change while it runs")
	}
	t.change(func(d *Directory) { *d = *next.clone() })
	return nil
}

// adminDo carries out an order; what the order names and the tenant has not is the caller's mistake.
func (t *Tenant) adminDo(do func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := caught(func() error { return do(r) }); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// unknownName is what mustBe panics with.
type unknownName string

func (u unknownName) Error() string { return string(u) }

func caught(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			name, ok := p.(unknownName)
			if !ok {
				panic(p)
			}
			err = name
		}
	}()
	return do()
}

// localOnly lets through what comes from this machine, under a name of this machine, and not from a web
// page: a page elsewhere could otherwise rule the tenant through its visitor's browser.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, err := net.SplitHostPort(r.RemoteAddr)
		name := r.Host
		if host, _, splitErr := net.SplitHostPort(r.Host); splitErr == nil {
			name = host
		}
		page := r.Header.Get("Origin") != "" || !slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site"))
		if err != nil || !loopback(from) || name != "localhost" && !loopback(name) || page {
			writeJSON(w, http.StatusForbidden, map[string]string{"error": "only programs on this machine may administer the tenant"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && ip.IsLoopback()
}
