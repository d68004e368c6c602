package authserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// newFetcher makes an HTTP client for addresses that strangers choose. It follows no redirect, uses no proxy, keeps
// no connection, and connects to public addresses only: the address is judged when the connection is made, after
// the name was resolved for the last time, so that a name can't change its mind in between.
func newFetcher(c Documents) *http.Client {
	dialer := &net.Dialer{Timeout: c.Timeout}
	if !c.InsecureAllowLoopback && c.InsecureDial == nil {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { // the last word, by the socket itself
			addr, err := netip.ParseAddrPort(address)
			if err != nil || !isPublic(addr.Addr()) {
				return errNotPublic
			}
			return nil
		}
	}
	dial := dialer.DialContext
	if c.InsecureDial != nil {
		dial = c.InsecureDial
	}
	lookup := c.InsecureLookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialPublic(ctx, c, lookup, dial, network, address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    c.Timeout,
			ResponseHeaderTimeout:  c.Timeout,
			MaxResponseHeaderBytes: 16 << 10,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			ForceAttemptHTTP2:      false,
		},
	}
}

var errNotPublic = errors.New("the address is not public")

type (
	lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)
	dialFunc   func(ctx context.Context, network, address string) (net.Conn, error)
)

// dialPublic resolves a name once and connects to what came out, if all of it is public: a name that also leads
// inside is not one to follow.
func dialPublic(ctx context.Context, c Documents, lookup lookupFunc, dial dialFunc, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var addresses []netip.Addr
	if literal, err := netip.ParseAddr(host); err == nil {
		addresses = []netip.Addr{literal}
	} else if addresses, err = lookup(ctx, host); err != nil {
		return nil, err
	}
	for _, ip := range addresses {
		if !isPublic(ip) && (!c.InsecureAllowLoopback || !ip.Unmap().IsLoopback()) {
			return nil, fmt.Errorf("%w: %s", errNotPublic, ip)
		}
	}
	failure := fmt.Errorf("%s has no address", host)
	for _, ip := range addresses {
		conn, err := dial(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failure = err
	}
	return nil, failure
}

// reserved are the networks that are not the public internet though they look like unicast (the IANA registries of
// special-purpose addresses, RFC 6890), and one of Azure's that is inside every virtual network.
func reserved() []string {
	return []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
		"fec0::/10",
	}
}

// isPublic says whether an address belongs to the public internet. An IPv4 address in IPv6 clothes is judged as
// what it is.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, network := range reserved() {
		if netip.MustParsePrefix(network).Contains(ip) {
			return false
		}
	}
	return true
}

// freshFor is how long a document may be kept by its headers (RFC 9111 §5.2.2, §5.3), within bounds.
func freshFor(h http.Header, now time.Time) time.Duration {
	fresh := usuallyKept
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil {
		fresh = expires.Sub(now)
	}
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache", "private":
			return shortestKept
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return shortestKept
			}
			age, _ := strconv.ParseUint(h.Get("Age"), 10, 31)
			fresh = time.Duration(seconds)*time.Second - time.Duration(age)*time.Second //nolint:gosec // both have 31 bits
		}
	}
	return min(max(fresh, shortestKept), longestKept)
}

// isJSON takes application/json and what is built on it (RFC 6839 §3.1).
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}
