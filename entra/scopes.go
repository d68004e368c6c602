package entra

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const tokenPath = "/oauth2/v2.0/token"

// nameScopes makes the scopes of a token answer bear the names that were asked for. A resource has several names (its
// GUID, its application ID URI, with or without a slash at the end), Entra may answer with another than it was asked
// with, and MSAL would then take the scope for declined. Nothing is decided by these names: a Verifier looks into the
// token itself.
func nameScopes(r *http.Request, response *http.Response) error {
	if r.Method != http.MethodPost || r.GetBody == nil || response.StatusCode != http.StatusOK || !strings.HasSuffix(r.URL.Path, tokenPath) {
		return nil
	}
	asked, err := askedScopes(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // everything was read
	if err != nil {
		return err
	}
	body = renameScopes(body, asked)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response.Header.Del("Content-Length")
	return nil
}

func askedScopes(r *http.Request) ([]string, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	return strings.Fields(form.Get("scope")), nil
}

// renameScopes leaves alone what it does not understand: MSAL says what is wrong with it.
func renameScopes(body []byte, asked []string) []byte {
	var answer map[string]json.RawMessage
	var granted string
	if json.Unmarshal(body, &answer) != nil || json.Unmarshal(answer["scope"], &granted) != nil || granted == "" {
		return body
	}
	names := strings.Fields(granted)
	for i, name := range names {
		for _, wanted := range asked {
			// All scopes of a request are of one resource, so that the permission alone tells them apart.
			if strings.Contains(wanted, "/") && strings.Contains(name, "/") && strings.EqualFold(permissionOf(name), permissionOf(wanted)) {
				names[i] = wanted
			}
		}
	}
	renamed, err := json.Marshal(strings.Join(names, " "))
	if err != nil {
		return body
	}
	answer["scope"] = renamed
	if renamedBody, err := json.Marshal(answer); err == nil {
		return renamedBody
	}
	return body
}

// permissionOf is what stands behind the name of the resource.
func permissionOf(scope string) string { return scope[strings.LastIndexByte(scope, '/')+1:] }
