package sqlstore

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sotesilta/gateway/search"
)

// Table names an index table.
type Table uint8

// The index tables.
const (
	TokenTable Table = iota
	ReferenceTable
	DateTable
	StringTable
	NumberTable
	PositionTable
	Tables // how many there are
)

// IndexRow is a row of an index table, its columns after rid, param and ord by kind:
//
//	ix_token      A code, B system, C text; a URI is a code without a system
//	ix_reference  A id or URL, B type ("" of a URL), C code, D system
//	ix_date       F from, T to, in milliseconds
//	ix_string     A folded, B exact
//	ix_number     L low, H high, A code, B system
//	ix_position   L x, H y, Z z, as of a search.Point
type IndexRow struct {
	Table      Table
	Rid        int64
	Param      int64
	Ord        int64
	A, B, C, D string
	F, T       int64
	L, H, Z    float64
}

// maxText bounds a text in an index in bytes; search.Extract bounds them alike.
const maxText = 600

// bounded is s as it lies in an index: at most maxText bytes, and without NUL, which PostgreSQL cannot hold.
func bounded(s string) string {
	if len(s) > maxText {
		end := maxText
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return clean(s)
}

// clean replaces what a text column cannot hold.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// named is an IndexRow whose parameter has no number yet.
type named struct {
	param string
	row   IndexRow
}

// indexRows turns an Index into rows, sorted by table and parameter, numbered within these in the given order.
func indexRows(x *search.Index) []named {
	n := len(x.Tokens) + len(x.References) + len(x.Dates) + len(x.Strings) + len(x.URIs) + len(x.Numbers) + len(x.Positions)
	rows := make([]named, 0, n)
	for _, e := range x.Tokens {
		rows = append(rows, named{e.Param, IndexRow{Table: TokenTable, A: bounded(e.Code), B: bounded(e.System), C: bounded(e.Text)}})
	}
	for _, e := range x.URIs {
		rows = append(rows, named{e.Param, IndexRow{Table: TokenTable, A: bounded(e.Exact)}})
	}
	for _, e := range x.References {
		row := IndexRow{Table: ReferenceTable, A: bounded(e.ID), B: bounded(e.Type), C: bounded(e.Code), D: bounded(e.System)}
		if e.Type == "" || e.ID == "" {
			row.A, row.B = bounded(e.URL), ""
		}
		rows = append(rows, named{e.Param, row})
	}
	for _, e := range x.Dates {
		rows = append(rows, named{e.Param, IndexRow{Table: DateTable, F: millis(e.From), T: millis(e.To)}})
	}
	for _, e := range x.Strings {
		rows = append(rows, named{e.Param, IndexRow{Table: StringTable, A: bounded(e.Folded), B: bounded(e.Exact)}})
	}
	for _, e := range x.Numbers {
		if e.Low <= e.High { // not so of NaN
			rows = append(rows, named{e.Param, IndexRow{Table: NumberTable, L: e.Low, H: e.High, A: bounded(e.Code), B: bounded(e.System)}})
		}
	}
	for _, e := range x.Positions {
		rows = append(rows, named{e.Param, IndexRow{Table: PositionTable, L: e.Point.X, H: e.Point.Y, Z: e.Point.Z}})
	}
	slices.SortStableFunc(rows, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.row.Table, b.row.Table), strings.Compare(a.param, b.param))
	})
	for i := 1; i < len(rows); i++ {
		if rows[i].row.Table == rows[i-1].row.Table && rows[i].param == rows[i-1].param {
			rows[i].row.Ord = rows[i-1].row.Ord + 1
		}
	}
	return rows
}

// place orders index rows as the tables are clustered.
func place(a, b IndexRow) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Rid, b.Rid), cmp.Compare(a.Param, b.Param), cmp.Compare(a.Ord, b.Ord))
}

// diff tells which rows of before to drop and which of after to add; both are sorted by place. Most new versions of a
// resource change a status and leave the rest.
func diff(before, after []IndexRow, dropped, added []IndexRow) (drop, add []IndexRow) {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = place(before[0], after[0])
		}
		switch {
		case order < 0:
			dropped, before = append(dropped, before[0]), before[1:]
		case order > 0:
			added, after = append(added, after[0]), after[1:]
		default:
			if before[0] != after[0] {
				dropped, added = append(dropped, before[0]), append(added, after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
	return dropped, added
}

// millis is t as the store keeps it: milliseconds since 1970, UTC.
func millis(t time.Time) int64 { return t.UnixMilli() }

// moment is the time of milliseconds.
func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Name is the table's name.
func (t Table) Name() string {
	return [...]string{"ix_token", "ix_reference", "ix_date", "ix_string", "ix_number", "ix_position"}[t]
}

// Holds says whether resources of a type may have rows in the table: most types have no positions, and their writes look
// for none.
func (t Table) Holds(typ string) bool { return t != PositionTable || search.Positioned(typ) }

// Columns are the table's columns after rid, param and ord.
func (t Table) Columns() []string {
	return [...][]string{
		{"code", "system", "text"}, {"id", "type", "code", "system"}, {"f", "t"}, {"folded", "exact"}, {"low", "high", "code", "system"}, {"x", "y", "z"},
	}[t]
}

// Values are the places of the table's Columns in the row.
func (x *IndexRow) Values() []any {
	switch x.Table {
	case TokenTable:
		return []any{&x.A, &x.B, &x.C}
	case ReferenceTable:
		return []any{&x.A, &x.B, &x.C, &x.D}
	case DateTable:
		return []any{&x.F, &x.T}
	case StringTable:
		return []any{&x.A, &x.B}
	case NumberTable:
		return []any{&x.L, &x.H, &x.A, &x.B}
	default:
		return []any{&x.L, &x.H, &x.Z}
	}
}
