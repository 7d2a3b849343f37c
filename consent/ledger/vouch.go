package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
)

// Beside its records a gateway keeps rows that supervision reads as much as these: the register of users and rights
// (703/2023 § 9.3), the texts of the law that was in force, how long records are kept, legal holds. Their records hold the hash of
// each version, so that Verify names one that was changed, taken away or added.

// VouchedTypes are the types of these rows. Of no other row does the ledger hold the content.
var VouchedTypes = []string{"Basic", "Library", "Parameters"}

// RoleContent is the role by which a record vouches for the content of a row.
const RoleContent = "content"

// ContentEntity says in the record of a row's version what its content is.
func ContentEntity(typ, id string, version int64, hash [sha256.Size]byte) Entity {
	return Entity{What: "content:" + typ + ":" + id + ":" + strconv.FormatInt(version, 10) + ":" + hex.EncodeToString(hash[:]), Role: RoleContent}
}

// ContentHash is over all of a row's version that is served, or decides who is: its label, its time, and its bytes; those of a
// deletion are none.
func ContentHash(class *consent.Class, updated time.Time, body []byte) [sha256.Size]byte {
	label, _ := json.Marshal(class) // texts and booleans always marshal
	return hash(label, []byte("\n"+strconv.FormatInt(updated.UnixMilli(), 10)+"\n"), body)
}

// VouchedRow is a version of a row that a store keeps.
type VouchedRow struct {
	What   string // Type/id/_history/version
	Hash   [sha256.Size]byte
	Time   time.Time
	Damage string // what of it is not as a store writes it; empty when it is
}

// Vouching is a Source whose store keeps rows of VouchedTypes.
type Vouching interface {
	Source
	// Vouched gives every version of every row of VouchedTypes.
	Vouched(ctx context.Context) iter.Seq2[VouchedRow, error]
}

// vouched is what the records say of a version.
type vouched struct {
	hash [sha256.Size]byte
	told bool // a record holds the hash
}

// vouchedOf are the versions of VouchedTypes that a record says it wrote.
func vouchedOf(r *Record) map[string]vouched {
	var out map[string]vouched
	put := func(what string, v vouched) {
		if out == nil {
			out = map[string]vouched{}
		}
		if !out[what].told {
			out[what] = v
		}
	}
	if r.Outcome != permitted || !r.Success {
		return nil
	}
	for _, e := range r.Entities {
		switch e.Role {
		case "created", "updated", "deleted":
			if typ, _, _ := strings.Cut(e.What, "/"); slices.Contains(VouchedTypes, typ) {
				put(e.What, vouched{})
			}
		case RoleContent:
			parts := strings.Split(e.What, ":")
			if len(parts) != 5 || parts[0] != "content" {
				continue
			}
			if sum, err := hex.DecodeString(parts[4]); err == nil && len(sum) == sha256.Size {
				put(parts[1]+"/"+parts[2]+"/_history/"+parts[3], vouched{[sha256.Size]byte(sum), true})
			}
		}
	}
	return out
}

// readVouched reads the rows. It is done before the records are read: what is written meanwhile has its record among them.
func (a *audit) readVouched(ctx context.Context) error {
	vouching, ok := a.src.(Vouching)
	if !ok {
		return nil
	}
	a.rows = map[string]VouchedRow{}
	for row, err := range vouching.Vouched(ctx) {
		if err != nil {
			return fmt.Errorf("ledger: reading the rows kept beside: %w", err)
		}
		a.rows[row.What] = row
	}
	return nil
}

// findVouched holds the rows against the records.
func (a *audit) findVouched(ctx context.Context) error {
	vouching, ok := a.src.(Vouching)
	if !ok {
		return nil
	}
	tell := func(kind Kind, what, detail string) {
		a.find(Finding{Kind: kind, Seq: -1, Checkpoint: -1, Detail: what + ", kept beside the ledger, " + detail})
	}
	a.report.Rows = int64(len(a.rows))
	for _, what := range slices.Sorted(maps.Keys(a.rows)) {
		row := a.rows[what]
		by, named := a.vouched[what]
		switch {
		case !named && (a.report.Erased == 0 || row.Time.After(Expired(a.newest).Add(patience))):
			// The record of an older one may have been erased in its time.
			tell(Inserted, what, "is named by no record")
		case row.Damage != "":
			tell(Edited, what, row.Damage)
		case by.told && by.hash != row.Hash:
			tell(Edited, what, "is not what its record says")
		}
	}
	missing := slices.DeleteFunc(slices.Sorted(maps.Keys(a.vouched)), func(what string) bool { _, there := a.rows[what]; return there })
	if len(missing) == 0 {
		return nil
	}
	now := map[string]bool{} // what was written since the rows were read is there now
	for row, err := range vouching.Vouched(ctx) {
		if err != nil {
			return fmt.Errorf("ledger: reading the rows kept beside: %w", err)
		}
		now[row.What] = true
	}
	for _, what := range missing {
		if !now[what] {
			tell(Deleted, what, "is gone")
		}
	}
	return nil
}
