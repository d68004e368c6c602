package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddress is where a request came from. X-Forwarded-For is believed only when it comes from a trusted proxy,
// and read from the right: up to the first address that is not a trusted proxy's. What stands further left, anybody
// can write.
func (g *Gateway) ClientAddress(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	address := peer.Addr().Unmap().WithZone("")
	if !g.trusts(address) {
		return address.String()
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for rest != "" {
			var last string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				rest, last = "", rest
			}
			hop, ok := parseHop(strings.TrimSpace(last))
			if !ok {
				return address.String()
			}
			if address = hop; !g.trusts(address) {
				return address.String()
			}
		}
	}
	return address.String()
}

func (g *Gateway) trusts(a netip.Addr) bool {
	for _, p := range g.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseHop reads an entry of X-Forwarded-For; some proxies add the port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
