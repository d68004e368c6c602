package oauth

import (
	"errors"
	"strings"
)

// BearerChallenge is what a protected resource answers with when a token is missing or not good enough
// (RFC 6750 §3, RFC 9728 §5.1). Empty fields are left out.
type BearerChallenge struct {
	Realm            string
	Error            Code
	Description      string
	Scope            []string
	ResourceMetadata string
	Claims           string // base64 JSON, as Entra's claims challenge wants it
}

// String renders the challenge for a WWW-Authenticate header.
func (c BearerChallenge) String() string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+PlainText(value)+`"`)
		}
	}
	add("realm", c.Realm)
	add("error", string(c.Error))
	add("error_description", c.Description)
	add("scope", JoinScope(c.Scope))
	add("resource_metadata", c.ResourceMetadata)
	add("claims", c.Claims)
	if len(params) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(params, ", ")
}

// Challenge is one challenge of a WWW-Authenticate header. Scheme and the names of the parameters are in
// lower case, since both are compared without regard to case (RFC 9110 §11.1, §11.2).
type Challenge struct {
	Scheme  string
	Token68 string
	Params  map[string]string
}

// ParseChallenges reads WWW-Authenticate headers (RFC 9110 §11.6.1). One header may hold several challenges,
// and the commas between them are the same as those between parameters.
func ParseChallenges(headers []string) ([]Challenge, error) {
	var all []Challenge
	for _, header := range headers {
		s := &challengeScanner{rest: header}
		found, err := s.challenges()
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// FindBearer returns the first Bearer challenge.
func FindBearer(challenges []Challenge) (Challenge, bool) {
	for _, c := range challenges {
		if c.Scheme == "bearer" {
			return c, true
		}
	}
	return Challenge{}, false
}

var errChallenge = errors.New("malformed WWW-Authenticate header")

type challengeScanner struct{ rest string }

func (s *challengeScanner) challenges() ([]Challenge, error) {
	var found []Challenge
	for s.skipCommas(); s.rest != ""; s.skipCommas() {
		scheme := s.token()
		if scheme == "" {
			return nil, errChallenge
		}
		c := Challenge{Scheme: strings.ToLower(scheme), Params: map[string]string{}}
		if err := s.body(&c); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, nil
}

// body reads what follows a scheme: nothing, a token68, or parameters up to the next scheme.
func (s *challengeScanner) body(c *Challenge) error {
	if s.rest == "" || s.rest[0] == ',' {
		return nil
	}
	if s.rest[0] != ' ' && s.rest[0] != '\t' {
		return errChallenge
	}
	s.skipSpace()
	if word := s.upToComma(); isToken68(word) {
		c.Token68 = word
		s.rest = s.rest[len(word):]
		return nil
	}
	for s.skipCommas(); s.rest != ""; s.skipCommas() {
		before := s.rest
		name := strings.ToLower(s.token())
		s.skipSpace()
		if name == "" || !strings.HasPrefix(s.rest, "=") {
			if s.rest = before; name == "" {
				return errChallenge
			}
			return nil // it is the next challenge's scheme
		}
		s.rest = s.rest[1:]
		s.skipSpace()
		value, err := s.value()
		if err != nil {
			return err
		}
		if _, twice := c.Params[name]; twice {
			return errChallenge
		}
		c.Params[name] = value
		s.skipSpace()
		if s.rest != "" && s.rest[0] != ',' {
			return errChallenge
		}
	}
	return nil
}

func (s *challengeScanner) value() (string, error) {
	if !strings.HasPrefix(s.rest, `"`) {
		if v := s.token(); v != "" {
			return v, nil
		}
		return "", errChallenge
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), nil
		case '\\':
			if i++; i == len(s.rest) {
				return "", errChallenge
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(s.rest[i])
		}
	}
	return "", errChallenge // the quote never closes
}

func (s *challengeScanner) token() string {
	n := 0
	for n < len(s.rest) && isToken(s.rest[n:n+1]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

// upToComma looks ahead to the end of a possible token68, which a comma or the end follows.
func (s *challengeScanner) upToComma() string {
	word, _, _ := strings.Cut(s.rest, ",")
	return strings.TrimRight(word, " \t")
}

func (s *challengeScanner) skipSpace()  { s.rest = strings.TrimLeft(s.rest, " \t") }
func (s *challengeScanner) skipCommas() { s.rest = strings.TrimLeft(s.rest, " \t,") }
