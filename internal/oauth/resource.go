package oauth

import (
	"net/url"
	"strings"
)

// CheckResource judges the form of a resource indicator: an absolute http or https URL without a fragment
// (RFC 8707 §2).
func CheckResource(raw string) error {
	if canonicalResource(raw) == "" {
		return Refuse(InvalidTarget, "the resource must be an absolute URL without a fragment")
	}
	return nil
}

// SameResource says whether two resource indicators name the same server. Scheme and host are compared
// without regard to case, a default port and an empty path count as nothing (RFC 3986 §6.2.2, §6.2.3);
// everything else is compared byte by byte. A malformed one equals nothing.
func SameResource(a, b string) bool {
	canonical := canonicalResource(a)
	return canonical != "" && canonical == canonicalResource(b)
}

// canonicalResource is "" when raw is no resource indicator.
func canonicalResource(raw string) string {
	if raw == "" || len(raw) > maxURI || strings.Contains(raw, "#") || !isVisibleASCII(raw) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return ""
	}
	defaultPort := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if defaultPort == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Port() == defaultPort || strings.HasSuffix(host, ":") {
		host = host[:strings.LastIndexByte(host, ':')]
	}
	path := u.EscapedPath()
	if path == "/" {
		path = ""
	}
	canonical := u.Scheme + "://" + host + path
	if u.RawQuery != "" || u.ForceQuery {
		canonical += "?" + u.RawQuery
	}
	return canonical
}

func isVisibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
