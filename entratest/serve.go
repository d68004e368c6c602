package entratest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// handler answers a request or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// guids of one answer, by which Microsoft's support would find it.
type traces struct{ trace, correlation, timestamp string }

func (t *Tenant) traces(r *http.Request) traces {
	correlation := r.Header.Get("client-request-id")
	if correlation == "" {
		correlation = r.FormValue("client-request-id")
	}
	if correlation == "" {
		correlation = t.guid()
	}
	return traces{trace: t.guid(), correlation: correlation, timestamp: t.now().UTC().Format("2006-01-02 15:04:05Z")}
}

// describe is the error_description of a refusal: text, then three lines for support.
func (tr traces) describe(no *refusal) string {
	return fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s",
		no.code, no.text, tr.trace, tr.correlation, tr.timestamp)
}

// errorBody is the body of a refusal by a token endpoint.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri,omitempty"`
	Suberror      string `json:"suberror,omitempty"`
	Claims        string `json:"claims,omitempty"`
}

// api renders refusals as JSON, for programs.
func (t *Tenant) api(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		no := asRefusal(err)
		tr := t.traces(r)
		writeJSON(w, no.status, errorBody{
			Error: no.oauth, Description: tr.describe(no), Codes: []int{no.code}, Timestamp: tr.timestamp,
			TraceID: tr.trace, CorrelationID: tr.correlation,
			URI: fmt.Sprintf("%s/error?code=%d", t.base(r), no.code), Suberror: no.suberror, Claims: no.claims,
		})
	})
}

// asRefusal finds Entra's refusal in an error; anything else is a transient fault of the service.
func asRefusal(err error) *refusal {
	var no *refusal
	if errors.As(err, &no) {
		return no
	}
	no = refuse(90033)
	no.text += " (" + err.Error() + ")"
	return no
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the status is out; a broken connection is the client's to notice
}

// knownTenant finds out which tenant a path names. All names mean this one; common and organizations
// differ in discovery only.
func (t *Tenant) knownTenant(r *http.Request) *refusal {
	name := r.PathValue("tenant")
	switch {
	case strings.EqualFold(name, t.TenantID), strings.EqualFold(name, t.Domain), t.anyTenant(name):
		return nil
	default:
		return refuse(90002, name)
	}
}

// anyTenant says whether a path names no tenant in particular.
func (t *Tenant) anyTenant(name string) bool { return name == "common" || name == "organizations" }

// stamp writes a time as Entra does in its texts.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// asSendBack finds a refusal that the application is to hear.
func asSendBack(err error) (*sendBack, bool) {
	var back *sendBack
	if !errors.As(err, &back) || back.no.page {
		return nil, false
	}
	return back, true
}
