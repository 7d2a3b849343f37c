package rest

import (
	"crypto/sha256"
	"encoding/binary"
)

// ExchangeID is the id of the nth exchange (from 0) made for the request with this X-Request-Id, and thereby of its
// first ledger record. The first is the request's own; a batch makes one per entry, so the others are derived from it
// (a UUID of version 8, RFC 9562 § 5.8) and an auditor who is given an X-Request-Id finds all of them.
func ExchangeID(requestID string, n int) string {
	if n == 0 {
		return requestID
	}
	var b [16]byte
	sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(requestID), uint32(n)))
	copy(b[:], sum[:])
	return uuid(b, 8)
}
