package ledger

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

// keeping is a ledger whose store keeps rows beside it.
type keeping struct {
	*memory
	rows []VouchedRow
}

func (k keeping) Vouched(context.Context) iter.Seq2[VouchedRow, error] {
	return func(yield func(VouchedRow, error) bool) {
		for _, row := range k.rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Records vouch for the rows that supervision reads beside the ledger.
func TestRowsBesideTheLedgerAreHeldAgainstTheirRecords(t *testing.T) {
	m, key := written(t, 5)
	class := consent.Class{Type: "Parameters", Register: consent.Directive, Controller: "Organization/county"}
	row := func(version string, body string) VouchedRow {
		return VouchedRow{What: "Parameters/a/_history/" + version, Hash: ContentHash(&class, at(1), []byte(body)), Time: at(1)}
	}
	r := sample(90)
	r.Interaction, r.Client, r.Target, r.Disclosure = "publish", "", "", false
	r.Entities = []Entity{
		{What: "Parameters/a/_history/1", Role: "updated"}, // before records held hashes
		{What: "Parameters/a/_history/2", Role: "updated"},
		ContentEntity("Parameters", "a", 2, ContentHash(&class, at(1), []byte("two"))),
	}
	m.write("a", r)
	good := []VouchedRow{row("1", "one"), row("2", "two")}
	for name, c := range map[string]struct {
		rows []VouchedRow
		want Kind
		says string
	}{
		"as they were written":  {good, "", ""},
		"changed":               {[]VouchedRow{good[0], row("2", "twin")}, Edited, "Parameters/a/_history/2, kept beside the ledger, is not what its record says"},
		"taken away":            {good[:1], Deleted, "Parameters/a/_history/2, kept beside the ledger, is gone"},
		"added":                 {append([]VouchedRow{row("3", "three")}, good...), Inserted, "Parameters/a/_history/3, kept beside the ledger, is named by no record"},
		"damaged":               {[]VouchedRow{{What: good[0].What, Damage: "is not as it was written", Time: at(1)}, good[1]}, Edited, "is not as it was written"},
		"all taken away":        {nil, Deleted, "Parameters/a/_history/1"},
		"without a known hash":  {[]VouchedRow{row("1", "anything"), good[1]}, "", ""},
		"of another version":    {[]VouchedRow{good[0], {What: "Parameters/a/_history/2", Hash: good[0].Hash, Time: at(1)}}, Edited, "_history/2"},
		"of a forged older row": {append([]VouchedRow{{What: "Basic/x/_history/1", Time: at(0).AddDate(-30, 0, 0)}}, good...), Inserted, "Basic/x/_history/1"},
	} {
		report := verified(t, keeping{m, c.rows}, key)
		require.EqualValues(t, len(c.rows), report.Rows, name)
		if c.want == "" {
			require.Empty(t, report.Findings, name)
			continue
		}
		require.Equal(t, c.want, report.Findings[0].Kind, name)
		require.Contains(t, report.Findings[0].Detail, c.says, name)
	}
	other := class
	other.Controller = "Organization/clinic"
	require.NotEqual(t, ContentHash(&class, at(1), nil), ContentHash(&other, at(1), nil), "whose it is belongs to it")
	require.NotEqual(t, ContentHash(&class, at(1), nil), ContentHash(&class, at(1).Add(time.Millisecond), nil))
}

// A row whose record was erased in its time is no finding.
func TestARowWhoseRecordWasErased(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := new(memory), NewLog(key)
	m.write("a", sample(0))
	erasing := sample(1)
	erasing.Interaction, erasing.Target = Erase, ""
	erasing.Time = erasing.Time.AddDate(RetentionYears, 0, 1)
	erasing.Entities = []Entity{ErasedEntity("a", 1, 1)}
	m.write("a", erasing)
	m.sequence(t, log, 10, false)
	e := &m.placed[0]
	e.Salt, e.Canonical, e.Columns = nil, nil, nil
	old := VouchedRow{What: "Parameters/a/_history/1", Time: at(0)}
	require.Empty(t, verified(t, keeping{m, []VouchedRow{old}}, key).Findings)
	old.Time = erasing.Time.AddDate(-1, 0, 0)
	require.Len(t, verified(t, keeping{m, []VouchedRow{old}}, key).Findings, 1, "but one that is younger")
}
