package ledger

import "fmt"

// Kind names what is wrong.
type Kind string

// What Verify finds.
const (
	Edited    Kind = "edited"     // an entry or a column is not what was written
	Deleted   Kind = "deleted"    // a place, or a node's count, is missing
	Inserted  Kind = "inserted"   // a place or a node's count is taken twice
	Reordered Kind = "reordered"  // a node's entries lie in another order than it wrote them
	Rewritten Kind = "rewritten"  // the tree is not the one that was signed, though the entries fit each other
	Truncated Kind = "truncated"  // a checkpoint signs more entries than there are
	Unsigned  Kind = "unsigned"   // entries have places that no checkpoint covers
	WrongKey  Kind = "wrong-key"  // a checkpoint is not signed by the pinned key
	Malformed Kind = "malformed"  // a checkpoint is not one
	Rollback  Kind = "rollback"   // an older checkpoint stands after a newer one, or the ledger was seen larger
	SplitView Kind = "split-view" // two trees of one size were signed
	Missing   Kind = "missing"    // content is gone and no record of an erasure names it
	Unplaced  Kind = "unplaced"   // entries wait for a place far longer than the gateway lets them
)

// Finding is one thing wrong with a ledger, and where. It never holds what a record says.
type Finding struct {
	Kind       Kind   `json:"kind"`
	Seq        int64  `json:"seq"`             // place of the entry, or the first of those concerned; -1: none
	Node       string `json:"node,omitempty"`  // of the entry
	Count      int64  `json:"count,omitempty"` // of the node
	Checkpoint int64  `json:"checkpoint"`      // which checkpoint, from 0; -1: none
	Detail     string `json:"detail"`
}

// String is the finding in a line.
func (f Finding) String() string {
	s := string(f.Kind)
	if f.Seq >= 0 {
		s += fmt.Sprintf(" at place %d", f.Seq)
	}
	if f.Node != "" {
		s += fmt.Sprintf(" (node %s, count %d)", f.Node, f.Count)
	}
	if f.Checkpoint >= 0 {
		s += fmt.Sprintf(" in checkpoint %d", f.Checkpoint)
	}
	return s + ": " + f.Detail
}

// maxFindings bounds the findings that a Report lists.
const maxFindings = 1000

// Report is what Verify saw. All is well when there are no findings.
type Report struct {
	Origin      string    `json:"origin"`      // of the pinned key
	Size        int64     `json:"size"`        // entries with a place
	Root        [32]byte  `json:"-"`           // of the tree of Size entries; zeros when a place is missing
	Pending     int64     `json:"pending"`     // entries without a place yet
	Erased      int64     `json:"erased"`      // entries whose content was erased, on record or not
	Nodes       int       `json:"nodes"`       // gateway nodes that wrote
	Checkpoints int64     `json:"checkpoints"` // signed checkpoints read
	Rows        int64     `json:"rows"`        // versions of rows kept beside the ledger that were held against their records
	Findings    []Finding `json:"findings"`    // at most 1,000
	More        int64     `json:"more"`        // findings that are not listed
}

// OK says that nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }
