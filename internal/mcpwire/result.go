package mcpwire

import "strings"

const privateScope = `,"cacheScope":"private"`

// resultEditor writes a result again, without what may not be seen.
type resultEditor struct {
	scanner
	visible   func(Use) bool
	how       treatment
	lists     bool // the result has a list
	cacheable bool // the result says for how long it may be kept, or for whom
}

// result says whether the result had to be written again.
func (e *resultEditor) result() (bool, error) {
	if e.next() != '{' {
		return false, nil
	}
	if err := e.object(e.member); err != nil {
		return false, err
	}
	if e.how == unknown && !e.lists {
		return false, nil
	}
	if !e.cacheable {
		return e.lists, nil
	}
	e.dst = e.dst[:len(e.dst)-1]
	scope := privateScope
	if e.dst[len(e.dst)-1] == '{' {
		scope = scope[1:]
	}
	e.dst = append(append(e.dst, scope...), '}')
	return true, nil
}

// member reads a member of the result. Each of the lists is filtered wherever it stands, in whatever case,
// as often as it is there: so it doesn't matter how the client reads such a thing.
func (e *resultEditor) member(key []byte) error {
	switch name := string(key); {
	case strings.EqualFold(name, cacheScope):
		return e.dropMember(key)
	case strings.EqualFold(name, "ttlMs"):
		e.cacheable = true
		return e.value()
	case e.how == privatised:
		return e.value()
	case strings.EqualFold(name, "tools"):
		return e.list(Tool, "name")
	case strings.EqualFold(name, "prompts"):
		return e.list(Prompt, "name")
	case strings.EqualFold(name, "resources"):
		return e.list(Resource, "uri")
	case strings.EqualFold(name, "resourceTemplates"):
		return e.list(Template, "uriTemplate")
	}
	return e.value()
}

// dropMember takes the member back: its scope is written anew at the end.
func (e *resultEditor) dropMember(key []byte) error {
	e.cacheable = true
	at := len(e.dst) - len(key) - len(`"":`)
	err := e.value()
	e.dst = e.dst[:at]
	return err
}

// list reads a list and takes back every item that may not be seen. What isn't a list becomes an empty one.
func (e *resultEditor) list(thing Thing, field string) error {
	e.lists = true
	if e.next() == '[' {
		return e.array(func() error { return e.item(thing, field) })
	}
	at := len(e.dst)
	err := e.value()
	e.dst = append(e.dst[:at], "[]"...)
	return err
}

// item reads an item of a list. One without a name, with two, or with a name in another case is not shown:
// it can't be known as what the client would take it.
func (e *resultEditor) item(thing Thing, field string) error {
	at := len(e.dst)
	var name text
	names := 0
	read := e.value
	if e.next() == '{' {
		read = func() error {
			return e.object(func(key []byte) error {
				if !strings.EqualFold(string(key), field) {
					return e.value()
				}
				names++
				exact := string(key) == field
				raw, err := e.written(e.value)
				if err == nil && exact {
					name.value, name.ok = unquote(raw.of(e.dst))
				}
				return err
			})
		}
	}
	err := read()
	if names != 1 || !name.ok || !e.visible(Use{thing, name.value}) {
		e.dst = e.dst[:at]
	}
	return err
}
