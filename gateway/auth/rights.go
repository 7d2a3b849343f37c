package auth

import (
	"slices"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
)

// Rights is the register of users and rights (703/2023 § 9.3) as this file has it: each client, then its users, in the
// order of the file. Keys are told by their thumbprints; nothing of it is secret.
func (r *Registry) Rights() []exchange.Right {
	var out []exchange.Right
	for _, c := range r.clients {
		of := exchange.Right{
			Client: c.ID, ClientName: c.Name, ClientKind: string(c.Kind), Register: c.Register, Controller: c.Controller,
			Purposes: codes(c.Purposes), Scopes: c.Scope(), Keys: c.thumbs(),
		}
		for _, unit := range c.Units {
			of.Units = append(of.Units, unit.ID)
		}
		out = append(out, of)
		for i := range c.Users {
			u := &c.Users[i]
			actor := c.actorOf(u)
			out = append(out, exchange.Right{
				Client: c.ID, ClientName: c.Name, ClientKind: string(c.Kind), User: u.ID, Name: u.Name, Kind: u.Kind, Person: u.Person,
				Role: u.Role, Unit: u.Unit, Units: actor.Units, Register: u.Register, Controller: or(u.Controller, c.Controller),
				Task: u.Task, Service: u.Service, Authority: u.Authority, Producer: actor.Producer, Purposes: codes(u.Purposes),
				Roles: u.SubjectRoles, Scopes: c.Scope(), Sees: u.Clients,
			})
		}
	}
	return out
}

// thumbs are the thumbprints of the client's keys, in order, or the address that they are fetched from.
func (c *Client) thumbs() []string {
	if set, ok := c.keys.(keySet); ok {
		var out []string
		for _, key := range set {
			out = append(out, key.thumb)
		}
		slices.Sort(out)
		return out
	}
	return []string{c.jwksURI}
}

// codes are purposes as texts.
func codes(purposes []consent.Purpose) []string {
	out := make([]string, len(purposes))
	for i, purpose := range purposes {
		out[i] = string(purpose)
	}
	return out
}
