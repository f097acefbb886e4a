package chain_test

import (
	"net/netip"
	"testing"

	"bettensor/node/chain"
)

func TestRoutable(t *testing.T) {
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "::ffff:8.8.8.8": true, "2a00::1": true, "2001:4860:4860::8888": true, "198.51.101.1": true, "100.128.0.1": true, "172.32.0.1": true,
		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "10.0.0.1": false, "172.20.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "192.0.0.8": false, "192.0.2.1": false, "198.19.0.1": false, "198.51.100.1": false, "203.0.113.5": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd00::1": false, "fec0::1": false, "ff02::1": false, "100::1": false,
		"2001:db8::1": false, "3fff::1": false, "2a00::1%eth0": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b::8.8.8.8": false,
		"64:ff9b:1::10.0.0.1": false, "2001::f5ff:fffe": false, "2002:a00:1::1": false, "2002:7f00:1::": false,
	} {
		if got := chain.Routable(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if chain.Routable(netip.Addr{}) {
		t.Error("no address is routable")
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "128.0.0.1": false, "localhost.example": false, "127.0.0.1.example": false, "127.1": false, "::ffff:10.0.0.1": false,
	} {
		if got := chain.Loopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
