package entratest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
)

// readJSON reads the body of a request to Graph.
func readJSON(r *http.Request, into any) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return badGraph("The body can't be read.")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return badGraph("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return nil
}

// member is how Graph writes a group in a membership. Who may not read groups sees only that they exist.
type member struct {
	Type            string  `json:"@odata.type"`
	ID              string  `json:"id"`
	DisplayName     *string `json:"displayName"`
	SecurityEnabled *bool   `json:"securityEnabled"`
}

// memberOf is GET /me/memberOf and its kin.
func (t *Tenant) memberOf(w http.ResponseWriter, r *http.Request, b *bearer) error {
	d, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	readsGroups := b.may("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All")
	if !readsGroups && !b.may("User.Read") {
		return forbidden()
	}
	var groups []member
	for _, id := range d.groupsOf(p) {
		m := member{Type: "#microsoft.graph.group", ID: id}
		if readsGroups {
			yes := true
			m.DisplayName, m.SecurityEnabled = maybe(d.group(id).Name), &yes
		}
		groups = append(groups, m)
	}
	return writePage(t, w, r, "directoryObjects", groups)
}

// memberIDs is POST /me/getMemberObjects, getMemberGroups and their kin: what a token with too many
// groups points at.
func (t *Tenant) memberIDs(w http.ResponseWriter, r *http.Request, b *bearer) error {
	d, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	if !b.may("User.Read", "User.Read.All", "GroupMember.Read.All", "Directory.Read.All") {
		return forbidden()
	}
	var body struct {
		SecurityEnabledOnly *bool `json:"securityEnabledOnly"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, list{
		Context: t.base(r) + "/v1.0/$metadata#Collection(Edm.String)", Value: d.groupsOf(p),
	})
	return nil
}

// checkMembers is POST /me/checkMemberGroups: which of at most twenty groups the person is in.
func (t *Tenant) checkMembers(w http.ResponseWriter, r *http.Request, b *bearer) error {
	d, p, err := t.subject(r, b)
	if err != nil {
		return err
	}
	if !b.may("User.Read", "User.Read.All", "GroupMember.Read.All", "Directory.Read.All") {
		return forbidden()
	}
	var body struct {
		GroupIDs []string `json:"groupIds"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if len(body.GroupIDs) == 0 || len(body.GroupIDs) > 20 {
		return badGraph("The number of group IDs must be between 1 and 20.")
	}
	in := []string{}
	for _, id := range d.groupsOf(p) {
		if slices.Contains(body.GroupIDs, id) {
			in = append(in, id)
		}
	}
	writeJSON(w, http.StatusOK, list{Context: t.base(r) + "/v1.0/$metadata#Collection(Edm.String)", Value: in})
	return nil
}
