package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURI bounds an address that a client gives.
const maxURI = 2048

// RedirectKind says where a redirect URI leads, which is what a person has to know about it.
type RedirectKind string

// The kinds of redirect URI.
const (
	WebRedirect      RedirectKind = "web"      // an https site
	LoopbackRedirect RedirectKind = "loopback" // a program on this computer (RFC 8252 §7.3)
	AppRedirect      RedirectKind = "app"      // whichever app owns the scheme (RFC 8252 §7.1)
)

// Redirect is a redirect URI that passed registration.
type Redirect struct {
	URI  string
	Kind RedirectKind
	// Host is what a person is shown: a host name with its port where that is not the usual one, or the
	// scheme of an app.
	Host string
}

// loopbackHosts are the spellings that the port rule knows. The address "localhost" is there because clients
// use it, though RFC 8252 §8.3 advises against it.
func loopbackHosts() [3]string { return [3]string{"127.0.0.1", "[::1]", "localhost"} }

// ParseRedirect judges a redirect URI at registration: https with a host; http on loopback only; or an
// app's own scheme, which has a dot in its name (RFC 8252 §7.1) or is one of appSchemes. Never a fragment
// (RFC 6749 §3.1.2), user information, a wildcard, a backslash or a control character.
func ParseRedirect(raw string, appSchemes ...string) (Redirect, error) {
	if raw == "" || len(raw) > maxURI {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI must have 1 to %d characters", maxURI)
	}
	if !isVisibleASCII(raw) || strings.ContainsAny(raw, "\\<>\"`{}|^*#") {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI must not hold spaces, control characters, wildcards, fragments or backslashes")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI is not well formed")
	}
	// url.Parse lowers the scheme; one that was not in lower case is a trick or a mistake.
	if u.Scheme == "" || !strings.HasPrefix(raw, u.Scheme+":") {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI must begin with a scheme in lower case")
	}
	if u.User != nil || u.Opaque != "" {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI must not hold user information, and a path must follow its scheme")
	}
	switch u.Scheme {
	case "https":
		return webRedirect(raw, u)
	case "http":
		return loopbackRedirect(raw, u)
	default:
		return appRedirect(raw, u, appSchemes)
	}
}

func webRedirect(raw string, u *url.URL) (Redirect, error) {
	if !strings.HasPrefix(raw, "https://") || !isHost(u.Hostname()) || !portOK(u) {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI must name a host")
	}
	return Redirect{URI: raw, Kind: WebRedirect, Host: strings.TrimSuffix(strings.ToLower(u.Host), ":443")}, nil
}

func loopbackRedirect(raw string, u *url.URL) (Redirect, error) {
	host, _, ok := splitLoopback(raw)
	if !ok || !portOK(u) {
		return Redirect{}, Refuse(InvalidRedirectURI, "a redirect URI with http must lead to localhost, 127.0.0.1 or [::1]; use https elsewhere")
	}
	return Redirect{URI: raw, Kind: LoopbackRedirect, Host: host}, nil
}

func appRedirect(raw string, u *url.URL, appSchemes []string) (Redirect, error) {
	if !strings.Contains(u.Scheme, ".") && !slices.Contains(appSchemes, u.Scheme) {
		return Redirect{}, Refuse(InvalidRedirectURI, "the scheme of a redirect URI must be https, http on loopback, or a reversed domain name such as com.example.app")
	}
	if !strings.HasPrefix(raw, u.Scheme+":/") {
		return Redirect{}, Refuse(InvalidRedirectURI, "a path must follow the scheme of a redirect URI")
	}
	return Redirect{URI: raw, Kind: AppRedirect, Host: u.Scheme}, nil
}

// Allows says whether an authorization request may use this address: it equals the registered one byte by
// byte (OAuth 2.1 §2.3.1), or both are on the same loopback host and differ in the port only
// (RFC 8252 §7.3).
func (r Redirect) Allows(requested string) bool {
	if requested == r.URI {
		return true
	}
	if r.Kind != LoopbackRedirect {
		return false
	}
	host, rest, ok := splitLoopback(r.URI)
	askedHost, askedRest, askedOK := splitLoopback(requested)
	return ok && askedOK && host == askedHost && rest == askedRest
}

// splitLoopback takes the port out of an http address on loopback. It works on the bytes, not on a parsed
// address, so that two addresses that merely parse alike never match.
func splitLoopback(raw string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(raw, "http://")
	if !ok {
		return "", "", false
	}
	for _, host := range loopbackHosts() {
		rest, found := strings.CutPrefix(after, host)
		if !found {
			continue
		}
		if digits, ported := strings.CutPrefix(rest, ":"); ported {
			rest = strings.TrimLeft(digits, "0123456789")
			if !isPort(digits[:len(digits)-len(rest)]) {
				return "", "", false
			}
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
		return "", "", false
	}
	return "", "", false
}

func portOK(u *url.URL) bool {
	return !strings.HasSuffix(u.Host, ":") && (u.Port() == "" || isPort(u.Port()))
}

func isPort(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0 && digits[0] != '0'
}

// isHost takes a DNS name of letters, digits and hyphens, or an IP address.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		wrong := strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' })
		if label == "" || len(label) > 63 || wrong {
			return false
		}
	}
	return true
}
