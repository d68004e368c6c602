package page

import "net/http"

// Problem is what a page says when something went wrong. All of it is ours: no text of a stranger, and none of
// the identity provider's, stands on it.
type Problem struct {
	Status int    // of the HTTP answer
	Title  string // what happened, in a few words
	Text   string // one or two sentences more
	Remedy string // what the reader can do now
	// Incident leads from the page to the log. It tells a stranger nothing.
	Incident string
}

// Problem writes the page that says what went wrong.
func (p *Pages) Problem(w http.ResponseWriter, problem Problem) error {
	if problem.Status == 0 {
		problem.Status = http.StatusInternalServerError
	}
	return p.problem.render(w, problem.Status, problem, "'none'")
}
