package chain

import (
	"net/netip"
	"strings"
)

// global6 is all of IPv6 that has ever been given out as global unicast (RFC
// 4291). What lies outside of it and carries an IPv4 address, such as
// 64:ff9b::/96, leads wherever a translator near us takes it.
var global6 = netip.MustParsePrefix("2000::/3")

// reserved are the ranges within unicast that are no host of the public internet,
// beside those that netip knows, by the special-purpose registries (RFC 6890).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' own
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // class E
	netip.MustParsePrefix("2001::/32"),       // Teredo: an IPv4 address within
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: an IPv4 address within
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// Routable says whether an address is one of the public internet: one that others
// can reach, and that a stranger may send us to. The zero Addr is not.
func Routable(ip netip.Addr) bool {
	if ip = ip.Unmap(); ip.Is6() && !global6.Contains(ip) { // nor does it contain one with a zone
		return false
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// Loopback says whether a host, as it stands in a URL or before a port, is this
// machine: an address that never leaves it, or localhost. No name is looked up.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
