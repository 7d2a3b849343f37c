package inbound_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/inbound"
)

// from is a connection of which only the other end's address is known.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr))
}

func TestAPeersAddressSaysWhoSends(t *testing.T) {
	ehr, clinic := &inbound.Source{ID: "ehr"}, &inbound.Source{ID: "clinic"}
	peer := func(network string, src *inbound.Source) inbound.Peer {
		return inbound.Peer{From: netip.MustParsePrefix(network), Source: src}
	}
	source, err := inbound.Peers(append(inbound.Here(ehr), peer("10.1.2.0/24", ehr), peer("10.1.2.0/24", ehr), peer("10.1.3.4/32", clinic), peer("fd00:7::/64", clinic))...)
	require.NoError(t, err)
	for addr, want := range map[string]*inbound.Source{
		"127.0.0.1:1": ehr, "[::1]:1": ehr, "[::ffff:127.0.0.1]:1": ehr, "10.1.2.255:40000": ehr, "[::ffff:10.1.2.3]:9": ehr,
		"10.1.3.4:1": clinic, "[fd00:7::5]:1": clinic, "10.1.3.5:1": nil, "192.0.2.1:1": nil, "[fd00:8::5]:1": nil, "[2001:db8::1]:1": nil,
	} {
		got, err := source(from{addr: addr})
		require.Equal(t, want, got, addr)
		require.Equal(t, want == nil, err != nil, addr)
	}
	for name, peers := range map[string][]inbound.Peer{
		"public":                    {peer("192.0.2.1/32", ehr)},
		"public, version 6":         {peer("2001:db8::/64", ehr)},
		"wider than private":        {peer("10.0.0.0/7", ehr)},
		"everything":                {peer("0.0.0.0/0", ehr)},
		"everything, version 6":     {peer("::/0", ehr)},
		"version 4 within 6":        {peer("::ffff:10.0.0.0/104", ehr)},
		"host bits":                 {{From: netip.PrefixFrom(netip.MustParseAddr("10.1.2.3"), 24), Source: ehr}},
		"nothing":                   {{Source: ehr}},
		"one inside another's":      {peer("10.1.0.0/16", ehr), peer("10.1.3.4/32", clinic)},
		"this machine is another's": append(inbound.Here(ehr), peer("127.0.0.1/32", clinic)),
	} {
		_, err := inbound.Peers(peers...)
		require.Error(t, err, name)
	}
	nobody, err := inbound.Peers()
	require.NoError(t, err)
	_, err = nobody(from{addr: "127.0.0.1:1"})
	require.Error(t, err)
}
