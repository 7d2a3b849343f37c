//go:build !unix

package ledger

// exclusively runs f: nodes on such a machine do not share a folder of keys.
func exclusively(_ string, f func() error) error { return f() }
