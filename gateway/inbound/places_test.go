package inbound

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

type from struct {
	net.Conn
	address string
}

func (f from) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", f.address); return a }

func TestPlacesAreBoundedInAllAndByAddress(t *testing.T) {
	p := newPlaces(5, 2)
	at := func(address string) string { return remoteOf(from{address: address}) }
	require.True(t, p.take(at("192.0.2.1:1")))
	require.True(t, p.take(at("[::ffff:192.0.2.1]:2")))
	require.False(t, p.take(at("192.0.2.1:3")), "its two are taken, however the address is written")
	require.True(t, p.take(at("[2001:db8::1]:1")))
	require.True(t, p.take(at("[2001:db8::2]:1")))
	require.False(t, p.take(at("[2001:db8::3]:1")), "a network of 64 bits is one customer's")
	require.True(t, p.take(at("[2001:db8:0:1::1]:1")))
	require.False(t, p.take(at("192.0.2.9:1")), "all five are taken")
	p.leave(at("192.0.2.1:1"))
	require.True(t, p.take(at("192.0.2.9:1")))
	for _, address := range []string{"192.0.2.1:2", "192.0.2.9:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"} {
		p.leave(at(address))
	}
	require.Empty(t, p.by)
	require.Zero(t, p.taken)
}
