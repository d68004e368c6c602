package entratest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// graphRoutes are the parts of Microsoft Graph that this tenant has.
func (t *Tenant) graphRoutes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]graphHandler{
		"GET /v1.0/me":                               t.me,
		"GET /v1.0/me/memberOf":                      t.memberOf,
		"GET /v1.0/me/transitiveMemberOf":            t.memberOf,
		"POST /v1.0/me/getMemberObjects":             t.memberIDs,
		"POST /v1.0/me/getMemberGroups":              t.memberIDs,
		"POST /v1.0/me/checkMemberGroups":            t.checkMembers,
		"GET /v1.0/users":                            t.users,
		"GET /v1.0/users/{id}":                       t.user,
		"PATCH /v1.0/users/{id}":                     t.editUser,
		"POST /v1.0/users/{id}/revokeSignInSessions": t.revokeSessions,
		"GET /v1.0/users/{id}/memberOf":              t.memberOf,
		"GET /v1.0/users/{id}/transitiveMemberOf":    t.memberOf,
		"POST /v1.0/users/{id}/getMemberObjects":     t.memberIDs,
		"POST /v1.0/users/{id}/getMemberGroups":      t.memberIDs,
		"POST /v1.0/users/{id}/checkMemberGroups":    t.checkMembers,
		"GET /v1.0/organization":                     t.organization,
	} {
		mux.Handle(pattern, t.graph(h))
	}
	for pattern, h := range t.managementRoutes() {
		mux.Handle(pattern, t.graph(h))
	}
	mux.Handle("/v1.0/", t.graph(func(http.ResponseWriter, *http.Request, *bearer) error {
		return &graphRefusal{status: 404, code: "Request_ResourceNotFound", message: "Resource not found for the segment."}
	}))
	return byKey(mux)
}

var alternateKey = regexp.MustCompile(`^(/v1\.0/\w+)\((\w+)='([^']*)'\)`)

// byKey lets a path name an object by an alternate key: /applications(appId='...').
func byKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := alternateKey.FindStringSubmatch(r.URL.Path); m != nil {
			again := r.Clone(r.Context())
			again.URL.Path, again.URL.RawPath = m[1]+"/"+m[2]+"="+m[3]+r.URL.Path[len(m[0]):], ""
			r = again
		}
		next.ServeHTTP(w, r)
	})
}

func notFound(what string) *graphRefusal {
	return &graphRefusal{status: 404, code: "Request_ResourceNotFound",
		message: "Resource '" + what + "' does not exist or one of its queried reference-property objects are not present."}
}

func badGraph(message string) *graphRefusal {
	return &graphRefusal{status: 400, code: "Request_BadRequest", message: message}
}

// subject is the person that a request is about: the caller for /me, else the one in the path.
func (t *Tenant) subject(r *http.Request, b *bearer) (*Directory, *Person, error) {
	id := r.PathValue("id")
	if id == "" {
		return t.self(r, b)
	}
	d := t.directory()
	if !b.may("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "GroupMember.Read.All") && id != b.Object {
		return nil, nil, forbidden()
	}
	p := d.person(id)
	if p == nil {
		return nil, nil, notFound(id)
	}
	return d, p, nil
}

// list is a page of objects.
type list struct {
	Context string `json:"@odata.context"`
	Count   *int   `json:"@odata.count,omitempty"`
	Next    string `json:"@odata.nextLink,omitempty"`
	Value   any    `json:"value"`
}

// writePage writes one page of items and says where the next one is.
func writePage[T any](t *Tenant, w http.ResponseWriter, r *http.Request, kind string, items []T) error {
	query := r.URL.Query()
	top, from := 100, 0
	var err error
	if raw := query.Get("$top"); raw != "" {
		if top, err = strconv.Atoi(raw); err != nil || top < 1 || top > 999 {
			return badGraph("Invalid page size specified: '" + raw + "'. Must be between 1 and 999 inclusive.")
		}
	}
	if raw := query.Get("$skiptoken"); raw != "" {
		if from, err = strconv.Atoi(raw); err != nil || from < 0 || from > len(items) {
			return badGraph("The specified page token value has expired and can no longer be included in your request.")
		}
	}
	page := list{Context: t.base(r) + "/v1.0/$metadata#" + kind}
	if query.Get("$count") == "true" {
		total := len(items)
		page.Count = &total
	}
	until := min(from+top, len(items))
	if until < len(items) {
		query.Set("$skiptoken", strconv.Itoa(until))
		page.Next = t.base(r) + r.URL.Path + "?" + query.Encode()
	}
	page.Value = slices.Concat([]T{}, items[from:until])
	writeJSON(w, http.StatusOK, page)
	return nil
}

var equals = regexp.MustCompile(`^\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*$`)

// filter understands "name eq 'value'", which is all that programs here ask.
func filter(query url.Values) (name, value string, err error) {
	raw := query.Get("$filter")
	if raw == "" {
		return "", "", nil
	}
	m := equals.FindStringSubmatch(raw)
	if m == nil {
		return "", "", badGraph("Invalid filter clause: this tenant understands name eq 'value' only.")
	}
	return m[1], strings.ReplaceAll(m[2], "''", "'"), nil
}

// users is GET /users.
func (t *Tenant) users(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if !b.may("User.Read.All", "User.ReadWrite.All", "Directory.Read.All") {
		return forbidden()
	}
	name, value, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	var found []user
	d := t.directory()
	for i := range d.People {
		u := userOf(&d.People[i])
		field := map[string]string{"": "", "userPrincipalName": u.UserName, "mail": u.Mail, "id": u.ID, "displayName": u.DisplayName}
		got, known := field[name]
		if !known {
			return badGraph("Invalid filter clause: '" + name + "' can't be filtered by.")
		}
		if name == "" || strings.EqualFold(got, value) {
			found = append(found, u)
		}
	}
	return writePage(t, w, r, "users", found)
}

// user is GET /users/{id}.
func (t *Tenant) user(w http.ResponseWriter, r *http.Request, b *bearer) error {
	_, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	u := userOf(p)
	if strings.Contains(r.URL.Query().Get("$select"), "accountEnabled") {
		alive := !p.Disabled
		u.AccountAlive = &alive
	}
	u.Context = t.base(r) + "/v1.0/$metadata#users/$entity"
	writeJSON(w, http.StatusOK, u)
	return nil
}

// editUser is PATCH /users/{id}, for enabling and disabling accounts.
func (t *Tenant) editUser(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if !b.may("User.ReadWrite.All", "Directory.ReadWrite.All", "User.EnableDisableAccount.All") {
		return forbidden()
	}
	_, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	var change struct {
		Enabled *bool `json:"accountEnabled"`
	}
	if err := readJSON(r, &change); err != nil {
		return err
	}
	switch {
	case change.Enabled == nil:
	case *change.Enabled:
		t.Enable(p.ID)
	default:
		t.Disable(p.ID)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// revokeSessions is POST /users/{id}/revokeSignInSessions.
func (t *Tenant) revokeSessions(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if !b.may("User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All") {
		return forbidden()
	}
	_, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	t.SignOut(p.ID)
	writeJSON(w, http.StatusOK, map[string]any{"value": true})
	return nil
}

// organization is GET /organization.
func (t *Tenant) organization(w http.ResponseWriter, r *http.Request, _ *bearer) error {
	d := t.directory()
	return writePage(t, w, r, "organization", []map[string]any{{
		"id": t.TenantID, "displayName": d.Name, "tenantType": "AAD",
		"verifiedDomains": []map[string]any{{"name": d.Domain, "isDefault": true, "isInitial": true}},
	}})
}
