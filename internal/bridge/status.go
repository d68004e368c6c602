package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/oauth2"

	"github.com/genkan-mcp/genkan/entra/keystore"
)

// StatusOptions say what to look at.
type StatusOptions struct {
	Place Place
	Out   io.Writer
	Now   func() time.Time // nil means time.Now
}

// Status prints at which servers somebody is signed in, and where the tokens are kept. It shows no token.
func Status(ctx context.Context, o StatusOptions) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	found, err := listConnections(o.Place)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(o.Out, "You are signed in nowhere.")
		return err
	}
	store, err := o.Place.open(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SERVER\tSIGNED IN AT\tAS CLIENT\tTOKEN\tPERMISSIONS")
	for _, c := range inOrder(found) {
		r, err := readRecord(ctx, store, c)
		if err != nil {
			return err
		}
		granted := "-"
		if r != nil && len(r.Granted) > 0 {
			granted = strings.Join(r.Granted, " ")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.Server, c.Issuer, c.ClientID, tokenState(r, o.Now()), oneLine(granted))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "Tokens are kept %s.\n", store.Where())
	return err
}

func inOrder(found map[string]*Connection) []*Connection {
	return slices.SortedFunc(maps.Values(found), func(a, b *Connection) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.ClientID, b.ClientID))
	})
}

func tokenState(r *record, now time.Time) string {
	renews := r != nil && (r.RefreshToken != "" || r.State != nil)
	switch {
	case r.alive(now) && r.Expires.IsZero():
		return "good"
	case r.alive(now) && renews:
		return "good for " + r.Expires.Sub(now).Round(time.Minute).String() + ", renews itself"
	case r.alive(now):
		return "good for " + r.Expires.Sub(now).Round(time.Minute).String()
	case renews:
		return "renews itself at the next use"
	}
	return "none: the next use asks you to sign in"
}

func readRecord(ctx context.Context, store *keystore.Store, c *Connection) (*record, error) {
	raw, err := store.Get(ctx, c.key())
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if json.Unmarshal(raw, &r) != nil {
		return nil, nil
	}
	return &r, nil
}

// SignOutOptions say from where to sign out.
type SignOutOptions struct {
	Server string // empty: from everywhere
	Place  Place
	Out    io.Writer
	Client *http.Client
}

// SignOut forgets the tokens of one server, or of all, and tells the authorization server to forget them too
// (RFC 7009). What can't be told is forgotten here all the same.
func SignOut(ctx context.Context, o SignOutOptions) error {
	if o.Client == nil {
		o.Client = newHTTPClient()
	}
	found, err := listConnections(o.Place)
	if err != nil {
		return err
	}
	maps.DeleteFunc(found, func(_ string, c *Connection) bool { return o.Server != "" && c.Server != o.Server })
	if len(found) == 0 {
		_, err := fmt.Fprintln(o.Out, "You are not signed in there.")
		return err
	}
	store, err := o.Place.open(ctx)
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		c := found[path]
		r, err := readRecord(ctx, store, c)
		if err != nil {
			return err
		}
		word := "Signed out of"
		if err := revoke(ctx, o.Client, r); err != nil {
			word = fmt.Sprintf("Forgot the tokens of (%s could not be told: %s)", c.Issuer, oneLine(err.Error()))
		}
		if err := errors.Join(store.Delete(ctx, c.key()), os.Remove(path)); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(o.Out, word, c.Server)
	}
	return nil
}

// revoke asks the authorization server to end the session. Entra has no such endpoint: its tokens end by
// themselves once they are forgotten.
func revoke(ctx context.Context, client *http.Client, r *record) error {
	if r == nil || r.RevokeURL == "" {
		return nil
	}
	token, hint := r.RefreshToken, "refresh_token"
	if token == "" {
		token, hint = r.AccessToken, "access_token"
	}
	if token == "" {
		return nil
	}
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	if r.AuthStyle != oauth2.AuthStyleInHeader {
		form.Set("client_id", r.ClientID)
		if r.ClientSecret != "" {
			form.Set("client_secret", r.ClientSecret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.AuthStyle == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.ClientSecret))
	}
	resp, err := client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	discard(resp)
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp.StatusCode}
	}
	return nil
}
