package console

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// payload is what a token says, without its header and signature. Nothing is checked here: the token came from
// Entra itself, and what it says is only shown.
func payload(token string) (json.RawMessage, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is no JWT")
	}
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("the token's payload can't be decoded")
	}
	if !json.Valid(plain) || !bytes.HasPrefix(bytes.TrimSpace(plain), []byte("{")) {
		return nil, errors.New("the token's payload is no JSON object")
	}
	return plain, nil
}

// claimSet is what one token says, for a column of the table.
type claimSet struct {
	Title string
	Note  string
	Said  map[string]any
}

func readClaimSet(title, note string, raw json.RawMessage) (claimSet, bool) {
	c := claimSet{Title: title, Note: note}
	if json.Unmarshal(raw, &c.Said) != nil || len(c.Said) == 0 {
		return c, false
	}
	return c, true
}

// moment reads a claim that holds a time.
func (c claimSet) moment(name string) time.Time {
	seconds, ok := c.Said[name].(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// claimRow is one claim in all tokens.
type claimRow struct {
	Name  string
	About string
	Cells []claimCell
	Key   bool // one of those that tell the phases apart
}

// claimCell is one claim in one token. Changed says that the token before had it otherwise.
type claimCell struct {
	Text    string
	Missing bool
	Changed bool
}

// compareClaims puts tokens side by side, in the order in which people ask about claims.
func compareClaims(sets []claimSet) []claimRow {
	names := map[string]bool{}
	for _, set := range sets {
		for name := range set.Said {
			names[name] = true
		}
	}
	var rows []claimRow
	for _, name := range claimOrder() {
		if names[name] {
			rows = append(rows, compareClaim(name, sets))
			delete(names, name)
		}
	}
	var rest []string
	for name := range names {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	for _, name := range rest {
		rows = append(rows, compareClaim(name, sets))
	}
	return rows
}

func compareClaim(name string, sets []claimSet) claimRow {
	row := claimRow{Name: printable(name), About: aboutClaim(name), Key: slices.Contains([]string{"aud", "scp", "azp", "appid"}, name)}
	before := ""
	for _, set := range sets {
		value, there := set.Said[name]
		if !there {
			row.Cells = append(row.Cells, claimCell{Missing: true})
			continue
		}
		text := claimText(name, value)
		row.Cells = append(row.Cells, claimCell{Text: text, Changed: row.Key && before != "" && text != before})
		before = text
	}
	return row
}

// claimText writes a value for people: times as times, lists in one line.
func claimText(name string, value any) string {
	switch v := value.(type) {
	case string:
		return printable(v)
	case float64:
		if slices.Contains([]string{"iat", "nbf", "exp", "auth_time"}, name) {
			return time.Unix(int64(v), 0).UTC().Format("2006-01-02 15:04:05")
		}
		return fmt.Sprintf("%v", v)
	case []any:
		const most = 8
		var parts []string
		for i, e := range v {
			if i == most {
				parts = append(parts, fmt.Sprintf("and %d more", len(v)-most))
				break
			}
			parts = append(parts, claimText("", e))
		}
		return strings.Join(parts, ", ")
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return printable(string(text))
	}
}

func claimOrder() []string {
	return []string{
		"aud", "scp", "azp", "appid", "iss", "tid", "oid", "sub", "name", "preferred_username", "upn", "roles", "groups",
		"iat", "nbf", "exp", "ver", "azpacr", "appidacr", "idp", "nonce", "sid", "uti",
	}
}

// aboutClaim explains a claim in one line.
func aboutClaim(name string) string {
	about, known := map[string]string{
		"aud":                "Audience: for whom the token is. Everybody else must refuse it.",
		"scp":                "Scope: what the client may do as this person.",
		"azp":                "Authorized party: the client that asked for the token (version 2).",
		"appid":              "The client that asked for the token (version 1).",
		"iss":                "Issuer: the tenant that vouches for what is said here.",
		"tid":                "Tenant: the directory that the person belongs to.",
		"oid":                "Object ID: who it is, the same in every application of the tenant.",
		"sub":                "Subject: who it is, for this audience only. It differs from one to the next.",
		"name":               "Display name. It can be changed, so it never decides anything.",
		"preferred_username": "The address to show. It can be changed, so it never decides anything.",
		"upn":                "User principal name. It can be changed, so it never decides anything.",
		"unique_name":        "A name to show (version 1). It never decides anything.",
		"roles":              "App roles that an administrator gave the person, in the application that is the audience.",
		"groups":             "Object IDs of the person's groups. With too many, Entra leaves them out.",
		"iat":                "Issued at.",
		"nbf":                "Not valid before.",
		"exp":                "Not valid after.",
		"ver":                "Version of the token's form: 1.0 or 2.0.",
		"azpacr":             "How the client proved itself: 0 not at all, 1 secret, 2 certificate.",
		"appidacr":           "How the client proved itself: 0 not at all, 1 secret, 2 certificate.",
		"idp":                "Who knows the person's password, if not this tenant.",
		"nonce":              "What this browser's sign-in sent along, so that a token can't be slipped in.",
		"sid":                "The browser's session at Entra: by it, a sign-out there ends this session too.",
		"uti":                "Entra's name for the token, to find it in Entra's logs.",
		"rh":                 "For Entra itself.",
		"aio":                "For Entra itself.",
		"email":              "An address that others can change. It never decides anything.",
		"auth_time":          "When the person last proved who they are.",
		"amr":                "How the person proved who they are.",
		"acct":               "0: a member of the tenant, 1: a guest.",
		"ipaddr":             "From where the person signed in.",
		"wids":               "Directory roles of the person.",
		"xms_cc":             "What the client can do, such as answering claims challenges.",
		"_claim_names":       "Claims that did not fit, and where to ask for them.",
		"_claim_sources":     "Where to ask for claims that did not fit.",
		"login_hint":         "Names the account at sign-out.",
	}[name]
	if !known {
		return "A claim without a special meaning here."
	}
	return about
}
