package localnet

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestRelay: bytes go both ways, from the address they came from; a cut is felt
// at both ends, and nothing else is.
func TestRelay(t *testing.T) {
	axon, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer axon.Close()
	r, err := newRelay(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (net.Conn, net.Conn) {
		d := net.Dialer{Timeout: 5 * time.Second}
		if own := ownAddress(7); Free(net.JoinHostPort(own, "0")) {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(own)}
		}
		peer, err := d.Dial("tcp", r.addr().String())
		if err != nil {
			t.Fatal(err)
		}
		peer.SetDeadline(time.Now().Add(10 * time.Second))
		in, err := axon.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in.SetDeadline(time.Now().Add(10 * time.Second))
		if got, want := in.RemoteAddr().(*net.TCPAddr).IP, peer.LocalAddr().(*net.TCPAddr).IP; !got.Equal(want) {
			t.Errorf("the axon sees %s, the peer is %s", got, want)
		}
		return peer, in
	}
	say := func(to, from net.Conn, word string) {
		t.Helper()
		if _, err := io.WriteString(from, word); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(word))
		if _, err := io.ReadFull(to, got); err != nil || string(got) != word {
			t.Fatalf("%q, %v; want %q", got, err, word)
		}
	}

	early, err := net.Dial("tcp", r.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	early.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := early.Read(make([]byte, 1)); err == nil {
		t.Error("passed on before there was an axon")
	}
	early.Close()

	r.aim(axon.Addr().String())
	a, inA := dial()
	say(inA, a, "hello")
	say(a, inA, "welcome")
	b, inB := dial()
	say(inB, b, "hello")
	ids := r.connections()
	if len(ids) != 2 || !r.cut(ids[0]) {
		t.Fatalf("connections %v", ids)
	}
	for _, end := range []net.Conn{a, inA} {
		if _, err := end.Read(make([]byte, 1)); err == nil {
			t.Error("a connection that was cut says something")
		}
		end.Close()
	}
	say(b, inB, "still here")
	b.Close()
	if _, err := inB.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of one side reached the other as %v, want EOF", err)
	}
	inB.Close()
	if r.cut(ids[0]) {
		t.Error("a connection was cut twice")
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}
