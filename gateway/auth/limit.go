package auth

import (
	"net/netip"

	"golang.org/x/time/rate"

	"sotesilta/gateway/allowance"
	"sotesilta/gateway/shared"
)

// Limits bounds how often assertions are verified: an ES384 signature costs half a millisecond of a core, so a flood
// must be stopped before the verification. The zero value is the defaults.
type Limits struct {
	Off       bool       // no limits (the sandbox, unless told)
	PerClient rate.Limit // a second and client id; 20
	PerRemote rate.Limit // a second and remote address (an IPv6 one: its /64); 20
	Burst     int        // of each; 100
	Remotes   int        // addresses remembered at most; 10,000
	// Memory is what the nodes count together in; without it, and while it is lost, each counts for itself.
	Memory *shared.Memory
}

func (l Limits) withDefaults() Limits {
	if l.PerClient == 0 {
		l.PerClient = 20
	}
	if l.PerRemote == 0 {
		l.PerRemote = 20
	}
	if l.Burst == 0 {
		l.Burst = 100
	}
	if l.Remotes == 0 {
		l.Remotes = 10000
	}
	return l
}

// remoteKey is the address as the limiter counts it: a holder of one IPv6 network has all its addresses.
func remoteKey(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	if addr = addr.Unmap(); addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// allowances makes those of registered clients, of ids that are not registered, and of remote addresses. Ids that are not
// registered are limited as those that are, so that being limited tells nothing.
func (l Limits) allowances() (client, unknown, remote *allowance.Allowance) {
	if l.Off {
		return nil, nil, nil
	}
	l = l.withDefaults()
	return allowance.Of("token:client", l.Remotes, l.PerClient, l.Burst, l.Memory),
		allowance.Of("token:unknown", l.Remotes, l.PerClient, l.Burst, l.Memory),
		allowance.Of("token:remote", l.Remotes, l.PerRemote, l.Burst, l.Memory)
}
