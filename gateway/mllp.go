package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/inbound"
	"sotesilta/mappings/hl7v2"
)

// mllp is who speaks HL7 v2 with the gateway over MLLP, by plain connections: within this machine or private networks,
// where TLS or a tunnel stands in front.
type mllp struct {
	source    string                      // the client that this machine's own peers are; "": none
	peers     []mllpPeer                  // other machines
	senders   map[string][]inbound.Sender // names (MSH-3, MSH-4) that a client sends under; a client without any takes all
	receivers []receiver
}

// mllpPeer are machines that an API client sends from.
type mllpPeer struct {
	client string
	from   netip.Prefix
}

// receiver is an API client that takes HL7 v2 messages at an address.
type receiver struct {
	client, address string
	name            inbound.Sender // MSH-5, MSH-6
}

// clientOf takes a setting of the form CLIENT=VALUE apart.
func clientOf(text, value string) (client, rest string, err error) {
	client, rest, ok := strings.Cut(text, "=")
	if !ok || client == "" || rest == "" {
		return "", "", fmt.Errorf("%q is not of the form CLIENT=%s", text, value)
	}
	return client, rest, nil
}

// readPeer reads CLIENT=ADDRESS, or CLIENT=NETWORK/BITS.
func readPeer(text string) (mllpPeer, error) {
	client, address, err := clientOf(text, "ADDRESS")
	if err != nil {
		return mllpPeer{}, err
	}
	from, err := netip.ParsePrefix(address)
	if err != nil {
		ip, err := netip.ParseAddr(address)
		if err != nil || ip.Zone() != "" {
			return mllpPeer{}, fmt.Errorf("%q is neither an IP address nor a network such as 10.1.2.0/24", address)
		}
		from = netip.PrefixFrom(ip, ip.BitLen())
	}
	return mllpPeer{client, from}, nil
}

// readSender reads CLIENT=APPLICATION or CLIENT=APPLICATION|FACILITY, whose components are parted as in HL7 v2, by ^.
func readSender(text string) (client string, sender inbound.Sender, err error) {
	client, names, err := clientOf(text, "APPLICATION|FACILITY")
	if err != nil {
		return "", sender, err
	}
	application, facility, _ := strings.Cut(names, "|")
	for _, name := range []struct {
		text string
		to   *hl7v2.HD
	}{{application, &sender.Application}, {facility, &sender.Facility}} {
		parts := strings.Split(name.text, "^")
		if len(parts) > len(name.to) || strings.ContainsAny(name.text, "|&~\\") {
			return "", sender, fmt.Errorf("%q is not a name of HL7 v2 (HD): at most three components, parted by ^", name.text)
		}
		copy(name.to[:], parts)
	}
	if application == "" {
		return "", sender, fmt.Errorf("%q names no application", text)
	}
	return client, sender, nil
}

// readReceiver reads CLIENT=HOST:PORT.
func readReceiver(text string) (receiver, error) {
	client, address, err := clientOf(text, "HOST:PORT")
	if err != nil {
		return receiver{}, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return receiver{}, fmt.Errorf("%q is not of the form HOST:PORT", address)
	}
	if ip, err := netip.ParseAddr(host); err == nil && !private(ip) {
		return receiver{}, fmt.Errorf("%s: %w", host, errPublic)
	}
	return receiver{client, address, inbound.Sender{Application: hl7v2.HD{client}}}, nil
}

// errPublic refuses to send messages in the clear.
var errPublic = errors.New("neither this machine's nor of a private network: plain HL7 v2 is sent nowhere else")

func private(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return inbound.Private(netip.PrefixFrom(ip, ip.BitLen()))
}

// dialPrivate connects to an address within this machine or a private network, whatever its name stands for now.
func dialPrivate(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, to string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(to); err != nil || !private(at.Addr()) {
			return errPublic
		}
		return nil
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

// read reads the settings of serve; fault is told what is wrong with which.
func (m *mllp) read(s *serveCommand, fault func(setting string, err error)) {
	m.source, m.senders = s.MLLPSource, map[string][]inbound.Sender{}
	for _, text := range s.MLLPPeers {
		peer, err := readPeer(text)
		if fault("SOTESILTA_MLLP_PEERS", err); err == nil {
			m.peers = append(m.peers, peer)
		}
	}
	for _, text := range s.MLLPSenders {
		client, sender, err := readSender(text)
		if fault("SOTESILTA_MLLP_SENDERS", err); err == nil {
			m.senders[client] = append(m.senders[client], sender)
		}
	}
	for _, text := range s.MLLPReceivers {
		to, err := readReceiver(text)
		if err == nil && slices.ContainsFunc(m.receivers, func(of receiver) bool { return of.client == to.client }) {
			err = fmt.Errorf("%s has two addresses", to.client)
		}
		if fault("SOTESILTA_MLLP_RECEIVERS", err); err == nil {
			if names := m.senders[to.client]; names != nil {
				to.name = names[0]
			}
			m.receivers = append(m.receivers, to)
		}
	}
	if _, err := inbound.Peers(m.from(m.bare())...); err != nil {
		fault("SOTESILTA_MLLP_PEERS", err)
	}
	for _, client := range slices.Sorted(maps.Keys(m.senders)) {
		if m.bare()[client] == nil {
			fault("SOTESILTA_MLLP_SENDERS", fmt.Errorf("%s sends from nowhere (SOTESILTA_MLLP_SOURCE, SOTESILTA_MLLP_PEERS)", client))
		}
	}
}

// bare are the sources by client, with nothing but their ids.
func (m *mllp) bare() map[string]*inbound.Source {
	sources := map[string]*inbound.Source{}
	if m.source != "" {
		sources[m.source] = &inbound.Source{ID: m.source}
	}
	for _, p := range m.peers {
		sources[p.client] = &inbound.Source{ID: p.client}
	}
	return sources
}

// from are the machines that sources send from.
func (m *mllp) from(sources map[string]*inbound.Source) []inbound.Peer {
	var peers []inbound.Peer
	if m.source != "" {
		peers = inbound.Here(sources[m.source])
	}
	for _, p := range m.peers {
		peers = append(peers, inbound.Peer{From: p.from, Source: sources[p.client]})
	}
	return peers
}

// systems checks that whoever speaks over a wire without a token is, and stays, a registered system.
func (m *mllp) systems(registry *auth.Registry) error {
	check := func(setting, client string) error {
		if actor, ok := registry.Actor(client, ""); client != "" && (!ok || actor.Kind != consent.System) {
			return fmt.Errorf("%s: %q is not a client of kind system", setting, client)
		}
		return nil
	}
	errs := []error{check("SOTESILTA_MLLP_SOURCE", m.source)}
	for _, p := range m.peers {
		errs = append(errs, check("SOTESILTA_MLLP_PEERS", p.client))
	}
	for _, r := range m.receivers {
		errs = append(errs, check("SOTESILTA_MLLP_RECEIVERS", r.client))
	}
	return errors.Join(errs...)
}
