package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/store"
)

// Versions implements store.Snapshot.
func (n *snapshot) Versions(ctx context.Context, q store.VersionQuery, g store.Guard) (store.Result, error) {
	out, err := n.versions(ctx, q, g)
	if err != nil && !errors.Is(err, store.ErrTooCostly) && !errors.Is(err, store.ErrCursor) {
		err = fmt.Errorf("sqlstore: versions: %w", err)
	}
	return out, err
}

func (n *snapshot) versions(ctx context.Context, q store.VersionQuery, g store.Guard) (store.Result, error) {
	out := store.Result{Total: -1}
	if q.Limit <= 0 {
		return out, errors.New("a page of nothing")
	}
	print := fingerprint(fmt.Sprintf("%q %q %t %t", q.Types, q.Clients, q.Current, q.Personal))
	var from *cursor
	if q.Cursor != "" {
		c, err := readCursor(q.Cursor, print, []keyKind{intKey})
		if err != nil || c.Keys[0] == nil {
			return out, store.ErrCursor
		}
		if _, err := strconv.ParseInt(c.ID, 10, 64); err != nil {
			return out, store.ErrCursor
		}
		from = &c
	}
	p := &plan{d: n.s.engine, past: true}
	permitted, err := n.permitVersions(ctx, q, p, g)
	if err != nil || len(permitted) == 0 {
		return out, err
	}
	hits, more, err := n.versionPage(ctx, p, q, from)
	if err != nil {
		return out, err
	}
	if more {
		last := hits[len(hits)-1]
		out.Next = cursor{Sort: print, Keys: []any{last.keys[0]}, ID: strconv.FormatInt(last.rid, 10)}.String()
	}
	for _, h := range hits {
		grant := permitted[h.class]
		if grant == nil {
			return store.Result{}, errors.New("a version outside the permitted classes")
		}
		h.row.Class = grant.Class
		out.Matches = append(out.Matches, store.Found{Row: h.row, Decision: &grant.Decision})
	}
	return out, nil
}

// versionPage reads up to a page: of history by time of the version, newest first; of what is there by the row, oldest
// first. Each hit's rid is what breaks ties; more says that there are others after them.
func (n *snapshot) versionPage(ctx context.Context, p *plan, q store.VersionQuery, from *cursor) (out []hit, more bool, _ error) {
	s := &statement{plan: p}
	own := s.ints(p.own)
	driver := over(s.d, "("+own+") g")
	key, tie, order := "v.updated", "v.vid", "p.k DESC, p.t DESC"
	if q.Current {
		driver.look("resource", "v", "v.class = g.v AND v.deleted = 0")
		key, tie, order = "0", "v.rid", "p.t"
	} else {
		driver.look("version", "v", "v.class = g.v"+s.since("v", q.Since))
	}
	if q.Current && !q.Since.IsZero() {
		driver.and("v.updated >= " + s.arg(ceilMillis(q.Since)))
	}
	driver.and(s.permittedVersion("v"))
	if !q.Current {
		// A label that was mended closes the versions before it: the class that the resource has now is permitted as well.
		driver.and(exists("SELECT 1 FROM resource c WHERE c.rid = v.rid AND " + within("c.class", own)))
		driver.and(s.currentWithin("v", q.From, q.To))
	}
	if from != nil {
		after, _ := strconv.ParseInt(from.ID, 10, 64)
		if q.Current {
			driver.and("v.rid > " + s.arg(after))
		} else {
			at := s.arg(from.Keys[0])
			driver.and("v.updated <= " + at + " AND (v.updated < " + at + " OR v.vid < " + s.arg(after) + ")")
		}
	}
	page := driver.sql(key + " AS k, " + tie + " AS t, v.vid AS vid, v.rid AS rid")
	limited := fmt.Sprintf("(SELECT p.k AS k, p.t AS t, p.vid AS vid, p.rid AS rid FROM (%s) p ORDER BY %s LIMIT %d) p", page, order, q.Limit+1)
	sql := over(s.d, limited).look("version", "v", "v.vid = p.vid").look("resource", "r", "r.rid = p.rid").
		sql(versionColumns+", p.k, p.t") + " ORDER BY " + order
	in := newRoom(q.Limit)
	var at, rid int64
	scan := newScan(&at, &rid)
	err := each(ctx, n.r, func(rows Rows) error {
		if more = !in.left(); more {
			return errEnough
		}
		row, class, err := scan.next(rows)
		in.take(&row)
		out = append(out, hit{row: row, rid: rid, class: class, keys: []any{at}})
		return err
	}, sql, s.args...)
	return out, more, err
}

// since spells that a version was made at or after a time.
func (s *statement) since(v string, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " AND " + v + ".updated >= " + s.arg(ceilMillis(at))
}

// currentWithin spells that a version was the newest that the guard permits at some moment of a span: what is hidden
// ends nothing.
func (s *statement) currentWithin(v string, from, to time.Time) string {
	if from.IsZero() && to.IsZero() {
		return ""
	}
	var all []string
	if !to.IsZero() {
		all = append(all, v+".updated < "+s.arg(ceilMillis(to)))
	}
	if !from.IsZero() {
		n := s.alias("n")
		all = append(all, "NOT "+exists(fmt.Sprintf("SELECT 1 FROM version %s WHERE %[1]s.rid = %[2]s.rid AND %[1]s.version > %[2]s.version AND %[1]s.updated <= %[3]s AND %[4]s",
			n, v, s.arg(ceilMillis(from)), s.permittedVersion(n))))
	}
	return strings.Join(all, " AND ")
}
