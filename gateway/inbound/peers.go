package inbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Peer are machines from which a source sends.
type Peer struct {
	From   netip.Prefix
	Source *Source
}

// within are the networks that plain connections are taken from: this machine and private networks (RFC 1918, RFC 4193),
// where a tunnel or a proxy that ends TLS stands in front of the sender. Over any other, person data would go in the clear.
var within = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"),
}

// Private says whether all addresses of a network are this machine's or of one private network.
func Private(network netip.Prefix) bool {
	return slices.ContainsFunc(within, func(of netip.Prefix) bool {
		return of.Bits() <= network.Bits() && of.Contains(network.Addr().Unmap())
	})
}

// Peers takes plain connections from the peers' machines, as their sources, and no others. It errs when an address would
// be of two sources, or is neither this machine's nor of a private network.
func Peers(peers ...Peer) (func(net.Conn) (*Source, error), error) {
	for i, p := range peers {
		if !p.From.IsValid() || p.From.Addr().Is4In6() || p.From.Masked() != p.From {
			return nil, fmt.Errorf("inbound: %s is not a network", p.From)
		}
		if !Private(p.From) {
			return nil, fmt.Errorf("inbound: %s is not within this machine or a private network: plain HL7 v2 is taken from nowhere else", p.From)
		}
		for _, other := range peers[:i] {
			if other.Source != p.Source && other.From.Overlaps(p.From) {
				return nil, fmt.Errorf("inbound: %s of %s and %s of %s overlap: nobody could tell who sends", other.From, other.Source.ID, p.From, p.Source.ID)
			}
		}
	}
	peers = slices.Clone(peers)
	return func(conn net.Conn) (*Source, error) {
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err == nil {
			for _, p := range peers {
				if p.From.Contains(from.Addr().Unmap().WithZone("")) {
					return p.Source, nil
				}
			}
		}
		return nil, errors.New("inbound: no source is registered for the sender's address")
	}, nil
}

// Here are the peers of a source that sends from this machine.
func Here(src *Source) []Peer { return []Peer{{within[0], src}, {within[1], src}} }
