package inbound

import (
	"net"
	"net/netip"
	"sync"
)

// places are the connections that may be open at once, in all and from one address, so that no single machine can take
// them all.
type places struct {
	all, each int

	mu    sync.Mutex
	taken int
	by    map[string]int
}

func newPlaces(all, each int) *places { return &places{all: all, each: each, by: map[string]int{}} }

// take takes a place for an address, if there is one.
func (p *places) take(remote string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.all || p.by[remote] >= p.each {
		return false
	}
	p.taken++
	p.by[remote]++
	return true
}

// leave gives a place back.
func (p *places) leave(remote string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[remote]--; p.by[remote] <= 0 {
		delete(p.by, remote)
	}
}

// remoteOf is the address at the other end without its port; of IPv6 the network of 64 bits that one customer has.
func remoteOf(conn net.Conn) string {
	to := conn.RemoteAddr().String()
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return to
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
