package entratest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// searchRoutes are the part of Azure AI Search that answers queries.
func (t *Tenant) searchRoutes() http.Handler {
	mux := http.NewServeMux()
	g := guard{audiences: []string{SearchURI, SearchURI + "/", SearchID}, missing: func(*http.Request) *graphRefusal {
		return &graphRefusal{status: 401, code: "Unauthorized", message: "A token for " + SearchURI + " is needed.",
			challenge: `Bearer authorization_uri="https://login.microsoftonline.com", resource_id="` + SearchURI + `"`}
	}}
	mux.Handle("GET /indexes/{name}/docs", t.guarded(g, t.search))
	mux.Handle("POST /indexes/{name}/docs/search", t.guarded(g, t.search))
	return mux
}

// searchQuery is what a query can say, in the body or in the address.
type searchQuery struct {
	Search string `json:"search"`
	Top    int    `json:"top"`
	Count  bool   `json:"count"`
	Select string `json:"select"`
}

func readSearch(r *http.Request) (searchQuery, error) {
	q := searchQuery{Top: 50}
	if r.Method == http.MethodPost {
		return q, readJSON(r, &q)
	}
	query := r.URL.Query()
	q.Search, q.Select, q.Count = query.Get("search"), query.Get("$select"), query.Get("$count") == "true"
	if raw := query.Get("$top"); raw != "" {
		var err error
		if q.Top, err = strconv.Atoi(raw); err != nil {
			return q, badGraph("Invalid $top.")
		}
	}
	return q, nil
}

// search finds the documents that have every word of the query in one of their fields.
func (t *Tenant) search(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if b.Scopes != "" && !b.may("user_impersonation") {
		return &graphRefusal{status: 403, code: "Forbidden", message: "The token lacks user_impersonation."}
	}
	if r.URL.Query().Get("api-version") == "" {
		return badGraph("The api-version query parameter is required.")
	}
	q, err := readSearch(r)
	if err != nil {
		return err
	}
	indexes := t.directory().Indexes
	i := slices.IndexFunc(indexes, func(x Index) bool { return x.Name == r.PathValue("name") })
	if i < 0 {
		return &graphRefusal{status: 404, code: "ResourceNotFound", message: "The index '" + r.PathValue("name") + "' was not found."}
	}
	hits := []map[string]any{}
	total := 0
	for _, document := range indexes[i].Documents {
		if !matches(document, q.Search) {
			continue
		}
		if total++; len(hits) < q.Top {
			hits = append(hits, selected(document, q.Select))
		}
	}
	answer := map[string]any{
		"@odata.context": t.base(r) + "/indexes('" + indexes[i].Name + "')/$metadata#docs(*)", "value": hits,
	}
	if q.Count {
		answer["@odata.count"] = total
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func matches(document map[string]string, query string) bool {
	var text strings.Builder
	for _, field := range document {
		text.WriteString(strings.ToLower(field) + "\n")
	}
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if word != "*" && !strings.Contains(text.String(), word) {
			return false
		}
	}
	return true
}

func selected(document map[string]string, names string) map[string]any {
	out := map[string]any{"@search.score": 1.0}
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	for name, value := range document {
		if len(wanted) == 0 || slices.Contains(wanted, name) {
			out[name] = value
		}
	}
	return out
}
