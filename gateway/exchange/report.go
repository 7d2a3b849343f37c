package exchange

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/report"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// DisclosureReport is the making of a client's log report; recorded by this name.
const DisclosureReport Interaction = "disclosure-report"

// Bounds of a report.
const (
	reportLines   = 100    // of a page, unless asked otherwise
	maxReport     = 500    // of a page
	maxReportLook = 5000   // records looked at for one page
	maxCounted    = 50_000 // records looked at to count the lines of all pages; with more they are not counted
	countPage     = 1000
	maxWithheld   = 100
	maxReason     = 1000 // bytes of a reason in a person's words
)

// lookBack is how old a line a report on request may hold without a special reason (703/2023 § 11).
const lookBackYears = 2

// placing is how long a report waits for the newest of its lines to get their places, so that all can be proved.
const placing = 2 * time.Second

// ReportRequest is what a log report is asked for.
type ReportRequest struct {
	Form     report.Form
	Client   string            // Patient id
	Register consent.Register  // section-11
	From, To time.Time         // of the records; zero is open. Section 11: two years back at most without a Reason
	Reason   string            // section-11: the special reason for older lines
	Asked    string            // section-11: the day of the client's written request, for the record only
	Withheld map[string]string // section-11: lines that a person decided not to give, by AuditEvent id, with the reason
	Count    int               // lines of a page; 0: 100
	Cursor   string            // Report.Next of the page before
}

// Report makes a page of the log report of one client (703/2023 §§ 11 and 74), with a proof for each line. The client
// sees their own; the guardian the registers that are open to the guardian; the controller's clerk the controller's own.
// Everybody else gets Absent. The report is recorded with the id of every line before it leaves, and what a person
// withheld with that person's reasons.
func (d *Desk) Report(ctx context.Context, c Caller, q ReportRequest) (_ *report.Report, err error) {
	c = d.complete(c)
	c.Interaction = ""
	if err := allowed(c, auditEvent, DisclosureReport); err != nil {
		return nil, err
	}
	at := d.clock()
	if err := q.complete(at); err != nil {
		return nil, err
	}
	asked := d.question(c, DisclosureReport)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	for deadline := d.now().Add(placing); ; {
		out, unplaced, err := d.reportOnce(ctx, c, q, at, d.now().After(deadline))
		if err != nil || !unplaced {
			return out, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, unrecorded(ctx.Err())
		}
	}
}

// complete checks a request and fills in what it leaves open.
func (q *ReportRequest) complete(at time.Time) error {
	bad := func(code, what string) error { return Refuse(Invalid, code, "Parameters.parameter", what) }
	if q.Count == 0 {
		q.Count = reportLines
	}
	switch {
	case q.Form != report.OwnView && q.Form != report.Section11:
		return bad("required", "$disclosure-report needs the parameter form: own-view or section-11.")
	case q.Count < 1 || q.Count > maxReport:
		return bad("value", "count is 1 to "+strconv.Itoa(maxReport)+".")
	case len(q.Withheld) > maxWithheld:
		return bad("too-costly", "At most "+strconv.Itoa(maxWithheld)+" lines are withheld on a page.")
	case len(q.Reason) > maxReason || len(q.Asked) > maxReason:
		return bad("too-long", "A reason has at most "+strconv.Itoa(maxReason)+" bytes.")
	case q.Cursor != "" && !strings.Contains(q.Cursor, "."):
		return bad("invalid", "The cursor is damaged or not ours.")
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return bad("value", "from is before to.")
	}
	if q.Form == report.OwnView {
		if q.Register != "" || q.Reason != "" || q.Asked != "" || len(q.Withheld) > 0 {
			return bad("not-supported", "register, reason, requested and withheld belong to the form section-11.")
		}
		return nil
	}
	if q.Register != consent.Health && q.Register != consent.Social {
		return bad("required", "The form section-11 is of one register: health or social.")
	}
	if day, _, ok := fhir.ParseDate(q.Asked); ok && day.After(at) {
		return bad("value", "requested is the day of the client's written request, and in the future.")
	}
	oldest := at.AddDate(-lookBackYears, 0, 0)
	if since, _, paged := strings.Cut(q.Cursor, "."); paged && q.From.IsZero() && q.Reason == "" {
		ms, err := strconv.ParseInt(since, 10, 64)
		if err != nil {
			return bad("invalid", "The cursor is damaged or not ours.")
		}
		q.From = time.UnixMilli(ms).UTC()
		oldest = oldest.AddDate(0, 0, -1) // the first page was asked for earlier
	}
	if q.From.IsZero() && q.Reason == "" {
		q.From = oldest
	}
	if q.Reason == "" && q.From.Before(oldest) {
		return Refuse(Unprocessable, "business-rule", "Parameters.parameter",
			"Log data older than two years are given for a special reason only (703/2023 § 11): tell it in the parameter reason.")
	}
	for id, why := range q.Withheld {
		if !fhir.ValidID(id) || why == "" || len(why) > maxReason {
			return bad("invalid", "Each withheld names the line's record, an AuditEvent id, and the reason of the person who decided.")
		}
	}
	return nil
}

// record keeps what was asked for and what a person decided.
func (q *ReportRequest) record(rec ledger.Record) ledger.Record {
	asked := url.Values{"form": {string(q.Form)}}
	for name, value := range map[string]string{
		"register": string(q.Register), "requested": q.Asked, "from": stamp(q.From), "to": stamp(q.To),
	} {
		if value != "" {
			asked.Set(name, value)
		}
	}
	rec.Query = asked.Encode()
	if q.Reason != "" {
		rec.Assertion.Reason = q.Reason
	}
	if len(q.Withheld) > 0 {
		facts := map[string]string{}
		for name, value := range rec.Assertion.Facts {
			facts[name] = value
		}
		for id, why := range q.Withheld {
			facts["withheld "+auditEvent+"/"+id] = why
		}
		rec.Assertion.Facts = facts
	}
	return rec
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// reportOnce makes the report of one moment. unplaced says that lines of it have no place yet; then nothing was recorded
// and nothing may leave, unless last.
func (d *Desk) reportOnce(ctx context.Context, c Caller, q ReportRequest, at time.Time, last bool) (_ *report.Report, unplaced bool, _ error) {
	checkpoint, err := ledger.Latest(ctx, d.store.Ledger())
	if err != nil {
		return nil, false, unrecorded(err)
	}
	l, err := d.lookBeside(ctx, c, DisclosureReport, "Patient/"+q.Client+"/$"+string(DisclosureReport))
	if err != nil {
		return nil, false, err
	}
	defer l.Close()
	l.rec.Time = at
	l.rec = q.record(l.rec)
	unknown := absent("Patient", q.Client)

	patient, err := l.Get(ctx, "Patient", q.Client)
	if errors.Is(err, store.ErrNotFound) || err == nil && patient.Deleted {
		l.rec.Reason = "absent: there is no such client"
		return nil, false, l.conceal(ctx, l.rec, unknown)
	}
	if err != nil {
		return nil, false, unrecorded(err)
	}
	facts, err := l.Facts(ctx, q.Client)
	if err != nil {
		return nil, false, unrecorded(err)
	}
	open := l.reportable(q, facts)
	if len(open) == 0 {
		return nil, false, l.conceal(ctx, l.rec, unknown)
	}
	out := &report.Report{
		Form: q.Form, ID: l.rec.ID, Client: q.Client, From: q.From, To: q.To, Made: at, Names: map[string]string{},
	}
	if q.Form == report.Section11 {
		out.Controller, out.Register = c.Actor.Controller, q.Register
	}
	found, err := l.reported(ctx, q, out, open)
	if err != nil {
		return nil, false, err
	}
	out.Next = found.next
	for _, one := range found.kept {
		line, err := d.line(ctx, q.Form, one, checkpoint)
		switch {
		case errors.Is(err, ledger.ErrUnplaced) && !last:
			return nil, true, nil
		case err != nil && !errors.Is(err, ledger.ErrUnplaced):
			return nil, false, unrecorded(err)
		}
		if _, withheld := q.Withheld[line.Record.ID]; withheld {
			out.Withheld++ // which ones is told in the assertion, which no client is shown
			continue
		}
		out.Lines = append(out.Lines, line)
		l.saw(auditEvent + "/" + line.Record.ID)
	}
	if out.Withheld < len(q.Withheld) {
		return nil, false, Refuse(Unprocessable, "business-rule", "Parameters.parameter", "A withheld record is no line of this page of the report.")
	}
	if err := l.name(ctx, out); err != nil {
		return nil, false, err
	}
	if q.Cursor == "" && checkpoint != nil {
		if out.Counted, err = l.counted(ctx, q, out, open, checkpoint); err != nil {
			return nil, false, err
		}
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, false, err
	}
	return out, false, nil
}

// reportable decides which registers' log data the caller may see, and describes them in the record; with none it is a
// denial.
func (l *look) reportable(q ReportRequest, facts map[string]*consent.Facts) map[consent.Register]bool {
	actor := l.caller.Actor
	registers := []consent.Register{consent.Health, consent.Social, consent.Identity, consent.Directive}
	own := actor.Kind == consent.Client || actor.Kind == consent.Guardian || actor.Kind == consent.Representative
	if q.Form == report.Section11 {
		registers = []consent.Register{q.Register}
	}
	open := map[consent.Register]bool{}
	var denied *consent.Decision
	var deniedClass consent.Class
	for _, register := range registers {
		class := consent.Class{Type: auditEvent, Clients: []string{q.Client}, Controller: actor.Controller, Register: register}
		decision := l.decide(consent.Report, class, facts)
		if own != (q.Form == report.OwnView) {
			decision = consent.Decision{Reason: "the form " + string(q.Form) + " is not this caller's"}
		}
		if decision.Outcome == consent.Permitted {
			l.rec = describe(l.rec, class, facts, &decision)
			open[register] = true
		} else if denied == nil {
			denied, deniedClass = &decision, class
		}
	}
	if len(open) == 0 {
		l.rec = deny(describe(l.rec, deniedClass, facts, denied), denied)
	}
	return open
}

// reported are the records of a page, newest first; its next is the cursor of the next page.
func (l *look) reported(ctx context.Context, q ReportRequest, out *report.Report, open map[consent.Register]bool) (sifted, error) {
	query := q.entries(out)
	query.Limit = q.Count
	_, query.After, _ = strings.Cut(q.Cursor, ".")
	found, err := l.sift(ctx, query, maxReportLook, func(t *told) (bool, error) { return l.isLine(t.rec, out, open), nil })
	if found.next != "" {
		found.next = strconv.FormatInt(q.From.UnixMilli(), 10) + "." + found.next
	}
	return found, err
}

// entries is the query of a report's records.
func (q *ReportRequest) entries(out *report.Report) store.EntryQuery {
	query := store.EntryQuery{Client: []string{q.Client}, From: q.From, To: q.To}
	if q.Form == report.Section11 {
		query.Controllers = []string{out.Controller}
	}
	return query
}

// isLine says whether a record of the client is a line of the report. The giving of log data is no use of the register,
// and tells of what was withheld.
func (l *look) isLine(rec *ledger.Record, out *report.Report, open map[consent.Register]bool) bool {
	if out.Form == report.OwnView {
		return shown(rec, open) && inOwnView(l.caller.law, rec)
	}
	return out.Belongs(rec) && rec.Interaction != string(DisclosureReport)
}

// counted counts the lines of all pages that have their places in the tree of a checkpoint; nil when there are too many
// records to look at.
func (l *look) counted(ctx context.Context, q ReportRequest, out *report.Report, open map[consent.Register]bool, checkpoint []byte) (*report.Count, error) {
	tree, err := ledger.ReadCheckpoint(checkpoint)
	if err != nil {
		return nil, unrecorded(err)
	}
	count := &report.Count{Size: tree.Size, Lines: map[consent.Register]int64{}}
	for register := range open {
		count.Lines[register] = 0
	}
	query := q.entries(out)
	query.Limit = countPage
	found, err := l.sift(ctx, query, maxCounted, func(t *told) (bool, error) {
		switch placed := t.Seq >= 0 && t.Seq < tree.Size; {
		case !placed || !l.isLine(t.rec, out, open):
		case out.Form == report.Section11:
			count.Lines[out.Register]++ // a joint document's too, whichever register its record names first
		default:
			count.Lines[t.rec.Register]++
		}
		return false, nil
	})
	if err != nil || found.next != "" {
		return nil, err
	}
	return count, nil
}

// inOwnView says whether a record is among those that the own view tells of by itself (switch O13).
func inOwnView(law consent.Decider, rec *ledger.Record) bool {
	keeping, ok := law.(interface {
		OwnView(purpose consent.Purpose, bases []consent.Basis) bool
	})
	if !ok {
		return true
	}
	purpose := rec.Purpose
	switch Interaction(rec.Interaction) {
	case Ask, Disclose, Correct: // tried in ordinary work, where it is refused
		purpose = consent.StatutoryAct
	}
	return keeping.OwnView(purpose, rec.Bases)
}

// shown says whether a record is within the registers that are open: one that tells of no register is shown to who may
// see all, and a joint document belongs to both registers.
func shown(rec *ledger.Record, open map[consent.Register]bool) bool {
	all := open[consent.Health] && open[consent.Social] && open[consent.Directive]
	if all {
		return true
	}
	if rec.Register == "" || !open[rec.Register] {
		return false
	}
	return !slices.ContainsFunc(rec.Classes, func(c consent.Class) bool {
		return !open[c.Register] || c.Joint && !(open[consent.Health] && open[consent.Social])
	})
}

// line is an entry with its proof; of the own view the open part of both.
func (d *Desk) line(ctx context.Context, form report.Form, one told, checkpoint []byte) (report.Line, error) {
	rec := one.rec
	if form == report.OwnView {
		rec = rec.Open()
	}
	if checkpoint == nil {
		return report.Line{Record: rec}, ledger.ErrUnplaced
	}
	proof, err := d.tree.Prove(ctx, &one.Entry, checkpoint)
	if err == nil && form == report.OwnView {
		proof = proof.OpenPart() // nil for a record of the first form, which has none
	}
	return report.Line{Record: rec, Proof: proof}, err
}

// name asks the directory for the organisations of a report.
func (l *look) name(ctx context.Context, out *report.Report) error {
	for _, ref := range out.Organisations() {
		org, err := l.organisation(ctx, ref)
		if err != nil {
			return err
		}
		if org != nil {
			out.Names[ref] = org.Text("name")
		}
	}
	return nil
}

// Prove gives the proof of one record to who supervises the controller, as its AuditEvent is read: what was denied or is
// not there is Absent, and the asking is recorded. A record without a place yet waits for one; with none in time it is
// refused as Busy.
func (d *Desk) Prove(ctx context.Context, c Caller, id string) (_ *ledger.Proof, err error) {
	c = d.complete(c)
	if err := allowed(c, auditEvent, Read); err != nil {
		return nil, err
	}
	asked := d.question(c, DisclosureReport)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	if _, err := d.readAudit(ctx, c, id, Read, 0); err != nil {
		return nil, err
	}
	for deadline := d.now().Add(placing); ; {
		proof, err := d.proveOnce(ctx, id)
		switch {
		case err == nil:
			return proof, nil
		case !errors.Is(err, ledger.ErrUnplaced):
			return nil, unrecorded(err)
		case d.now().After(deadline):
			return nil, &Error{Kind: Busy, Entry: -1, Err: err, Issues: []fhir.Issue{{
				Severity: "error", Code: "transient", Diagnostics: "The record has no place in the ledger yet. Try again in a moment.",
			}}}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, unrecorded(ctx.Err())
		}
	}
}

func (d *Desk) proveOnce(ctx context.Context, id string) (*ledger.Proof, error) {
	checkpoint, err := ledger.Latest(ctx, d.store.Ledger())
	if err != nil {
		return nil, err
	}
	if checkpoint == nil {
		return nil, ledger.ErrUnplaced
	}
	snap, err := d.openBeside(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	entry, err := snap.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.tree.Prove(ctx, &entry, checkpoint)
}
