package substrate

import (
	"testing"

	"bettensor/node/chain"
)

// TestA10ReservedAddressesAreNotSent: what nobody else can reach is refused before
// an extrinsic is made of it, though the chain would take most of it. Only on a
// chain of this machine, where others are on it too, it is announced.
func TestA10ReservedAddressesAreNotSent(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	c := dial(t, me, nil, f.serve())
	announce := func(ip string) chain.Code {
		return ask(t, c, chain.Request{Op: chain.OpServeAxon, Hotkey: me.hotkey(), Axon: chain.Axon{IP: ip, Port: 8091}}).Code
	}
	reserved := []string{"127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "203.0.113.5", "::1", "::", "fe80::1", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1"}
	if code := announce("127.0.0.1"); code != chain.OK {
		t.Fatalf("on loopback: %s", code)
	}
	c.mu.Lock()
	c.session.url = "wss://entrypoint.example:443" // as if the same chain were far away
	c.mu.Unlock()
	before := f.submissions()
	for _, ip := range reserved {
		if code := announce(ip); code != chain.InvalidIpAddress {
			t.Errorf("%s: %s", ip, code)
		}
	}
	if got := f.submissions() - before; got != 0 {
		t.Errorf("%d extrinsics were sent", got)
	}
	if code := announce("8.8.4.4"); code != chain.OK || f.submissions() != before+1 {
		t.Errorf("a public address: %s, %d submissions", code, f.submissions()-before)
	}
}
