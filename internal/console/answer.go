package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// notice is an error whose words are for the person at the page.
type notice struct {
	Status   int    `json:"-"`
	Title    string `json:"title"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy,omitempty"`
	Incident string `json:"incident,omitempty"`
	SignIn   string `json:"sign_in,omitempty"` // where to sign in, if that helps
}

// Error is the notice in one line.
func (n *notice) Error() string { return n.Title + ": " + n.Text }

func badRequest(text, remedy string) *notice {
	return &notice{Status: http.StatusBadRequest, Title: "That can't be done", Text: text, Remedy: remedy}
}

// answer tells the person what went wrong: on a page, or as JSON if a script asked.
func (k *Console) answer(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there any more
	}
	if k.sendToEntra(w, r, err) {
		return
	}
	n := k.explain(r, err)
	if errors.Is(err, errNoSession) {
		if r.Method == http.MethodGet && !script(r) {
			http.Redirect(w, r, signInPath(r), http.StatusSeeOther) //nolint:gosec // to our own sign-in; the way back is judged by localPath
			return
		}
		n.SignIn = signInPath(r)
	}
	if script(r) {
		k.writeJSON(w, n.Status, n)
		return
	}
	s, _ := r.Context().Value(sessionKey).(*session)
	if err := k.render(w, r, s, view{Name: "problem", Title: n.Title, Status: n.Status, Data: n}); err != nil {
		k.Logger.LogAttrs(r.Context(), slog.LevelError, "a page can't be made", slog.Any("error", err))
		http.Error(w, n.Title, n.Status)
	}
}

// sendToEntra starts a new sign-in when Entra wants to see the person, with what it wants (a claims challenge).
func (k *Console) sendToEntra(w http.ResponseWriter, r *http.Request, err error) bool {
	interaction, ok := errors.AsType[*entra.InteractionRequiredError](err)
	if !ok || r.Method != http.MethodGet || script(r) || r.URL.Path == CallbackPath {
		return false
	}
	return k.toEntra(w, r, "", r.URL.RequestURI(), interaction.Claims) == nil
}

// explain finds the words for an error. What nobody foresaw gets a number that leads to the log, and no words of
// its own.
func (k *Console) explain(r *http.Request, err error) *notice {
	if n, ok := errors.AsType[*notice](err); ok {
		return n
	}
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return &notice{Status: http.StatusForbidden, Title: "You were not let in", Text: "Refused by the " + string(refusal.Check) + " check: wanted " + refusal.Wanted + ", got " + refusal.Got + ".", Remedy: refusal.Remedy}
	}
	if failure, ok := errors.AsType[*entra.Error](err); ok {
		return entraNotice(failure)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return badRequest("That is too large.", "Send less than 1 MiB.")
	}
	switch {
	case errors.Is(err, errNoSession):
		return &notice{Status: http.StatusUnauthorized, Title: "You are not signed in", Text: "Your session has ended.", Remedy: "Sign in again."}
	case errors.Is(err, grant.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		k.Logger.LogAttrs(r.Context(), slog.LevelWarn, "the console could not answer", slog.Any("error", err))
		return &notice{Status: http.StatusServiceUnavailable, Title: "Not now", Text: "Sessions can't be read at the moment. Nothing was lost.", Remedy: "Try again in a moment."}
	}
	incident, randomErr := secret.Random(k.Rand, 10)
	if randomErr != nil {
		incident = "none"
	}
	k.Logger.LogAttrs(r.Context(), slog.LevelError, "the console failed", slog.String("incident", incident), slog.Any("error", err))
	return &notice{Status: http.StatusInternalServerError, Title: "Something went wrong here", Text: "It is not your fault, and it was written down.", Remedy: "Try again.", Incident: incident}
}

// entraNotice says what to do about a failure of Entra, in this project's words only.
func entraNotice(e *entra.Error) *notice {
	n := &notice{Status: http.StatusBadGateway, Title: "Entra refused", Text: "Microsoft Entra ID did not do what was asked.", Remedy: e.Remedy}
	switch e.Reason {
	case entra.Unavailable:
		n.Status, n.Title, n.Text = http.StatusServiceUnavailable, "Entra can't be reached", "Nothing has ended; you are still signed in."
	case entra.Ended, entra.Interaction:
		n.Status, n.Title, n.Text, n.SignIn = http.StatusUnauthorized, "Entra wants to see you again", "Your sign-in at Microsoft Entra ID is over.", Root+"sign-in"
	case entra.Denied:
		n.Status, n.Title = http.StatusForbidden, "Entra said no"
	case entra.Misuse:
	}
	if e.Code != 0 {
		n.Text += fmt.Sprintf(" (AADSTS%d)", e.Code)
	}
	return n
}

// script says whether a script of ours asked, which wants data and no page.
func script(r *http.Request) bool { return r.Header.Get("X-Genkan-Form") != "" }

func (k *Console) writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "{}", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	k.Pages.Secure(h)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// printable is what may be shown of a text that a stranger sent: no control characters, nothing that turns the
// direction of reading, not too long.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	if len(clean) > 300 {
		return strings.ToValidUTF8(clean[:300], "") + "…"
	}
	return clean
}
