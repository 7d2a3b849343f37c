package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/internal/terms"
)

// Feed shows the ledger as it grows: one line per record, in the order of the tree. It is the sequencer's observer.
type Feed struct {
	mu      sync.Mutex
	out     io.Writer // nil: quiet
	keeps   bool      // lines are remembered
	lines   []Line
	byID    map[string]int
	size    int64
	arrived chan struct{}
	room    int       // lines that may be printed at once
	grown   time.Time // when the room was last made
	skipped [2]int64  // places of records not printed of late: the first, and the one after the last; alike: none
}

// Line is one printed line: what was printed, and the record that it was printed from.
type Line struct {
	Record *ledger.Record
	Seq    int64
}

// NewFeed makes a quiet feed.
func NewFeed() *Feed {
	return &Feed{byID: map[string]int{}, arrived: make(chan struct{}), room: linesAtOnce, grown: time.Now()}
}

// Print makes the feed print to w from now on; nil makes it quiet.
func (f *Feed) Print(w io.Writer) {
	f.mu.Lock()
	f.out = w
	f.mu.Unlock()
}

// Keep makes the feed remember the lines that it prints, for Lines, Exchange and Await. Without it, as at first, it
// forgets them, also those of before: a sandbox that serves for days stays as small as it began.
func (f *Feed) Keep(keep bool) {
	f.mu.Lock()
	if f.keeps = keep; !keep {
		f.lines, f.byID = nil, map[string]int{}
	}
	f.mu.Unlock()
}

// Begin tells the feed how many records the ledger holds already, from before.
func (f *Feed) Begin(size int64) {
	f.mu.Lock()
	f.size = max(f.size, size)
	f.mu.Unlock()
}

// What comes faster than somebody's tries is a load that nobody reads line by line: of it so many lines a second are
// printed, and how many more there were. Lines that are kept are all printed.
const (
	linesAtOnce  = 1000
	linesASecond = 50
)

// Observe takes in sequenced entries.
func (f *Feed) Observe(entries []ledger.Entry) {
	if len(entries) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = entries[len(entries)-1].Seq + 1
	if f.out != nil {
		f.print(entries)
	}
	close(f.arrived)
	f.arrived = make(chan struct{})
}

// print prints the entries that there is room for, in one write, and counts the others.
func (f *Feed) print(entries []ledger.Entry) {
	f.makeRoom()
	var text bytes.Buffer
	for _, entry := range entries {
		if !f.keeps && (f.room == 0 || f.skipped[0] < f.skipped[1]) {
			f.skip(entry.Seq, f.size)
			break
		}
		rec, err := ledger.ParseRecord(entry.Canonical)
		if err != nil {
			continue
		}
		line := Line{Record: rec, Seq: entry.Seq}
		if f.keeps {
			f.byID[rec.ID] = len(f.lines)
			f.lines = append(f.lines, line)
		}
		f.room = max(0, f.room-1)
		text.WriteString(line.String())
		text.WriteByte('\n')
	}
	_, _ = f.out.Write(text.Bytes()) // who does not read the lines does not stop the ledger
}

// makeRoom makes room for the lines of the seconds since it was last made.
func (f *Feed) makeRoom() {
	seconds := int(time.Since(f.grown) / time.Second)
	f.room = min(linesAtOnce, f.room+seconds*linesASecond)
	f.grown = f.grown.Add(time.Duration(seconds) * time.Second)
}

// skip counts records that are not printed; a second after the first of them it is told how many, and there is room again.
func (f *Feed) skip(first, after int64) {
	if f.skipped[0] < f.skipped[1] {
		f.skipped[1] = after
		return
	}
	f.skipped = [2]int64{first, after}
	time.AfterFunc(time.Second, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.out != nil {
			fmt.Fprintf(f.out, "              … and %d more exchanges, #%d to #%d: see the ledger\n", f.skipped[1]-f.skipped[0], f.skipped[0], f.skipped[1]-1)
		}
		f.skipped[0] = f.skipped[1]
	})
}

// Lines are the lines printed so far, while the feed keeps them.
func (f *Feed) Lines() []Line {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Line(nil), f.lines...)
}

// Exchange waits until the record with this id was printed and answers the lines of its exchange.
func (f *Feed) Exchange(ctx context.Context, id string) ([]Line, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		f.mu.Lock()
		_, found := f.byID[id]
		arrived := f.arrived
		var out []Line
		for i := len(f.lines) - 1; found && i >= 0; i-- {
			if f.lines[i].Record.Exchange == id {
				out = append([]Line{f.lines[i]}, out...)
			}
		}
		f.mu.Unlock()
		if found {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("sandbox: exchange %s is not in the ledger", id)
		case <-arrived:
		}
	}
}

// Await waits until a line after number n satisfies want, and answers it.
func (f *Feed) Await(ctx context.Context, n int, want func(*ledger.Record) bool) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		f.mu.Lock()
		arrived := f.arrived
		for _, line := range f.lines[n:] {
			if want(line.Record) {
				f.mu.Unlock()
				return line, nil
			}
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return Line{}, fmt.Errorf("sandbox: an expected record is not in the ledger")
		case <-arrived:
		}
	}
}

// verdict is PERMIT, or DENY for all else: needs-human answers as a denial.
func (l Line) verdict() string {
	if l.Record.Outcome == consent.Permitted.String() {
		return "PERMIT"
	}
	return "DENY"
}

// basis is the id of the first basis, or what stands in its place.
func (l Line) basis() (id, citation string) {
	if len(l.Record.Bases) == 0 {
		return "-", l.Record.Reason
	}
	basis := l.Record.Bases[0]
	for _, other := range l.Record.Bases {
		// An invitation is written in one's own register, and goes out on a basis of its own.
		if l.Record.Disclosure && !strings.HasPrefix(other.ID, "ATL-4.3") {
			basis = other
			break
		}
	}
	return basis.ID, basis.Citation
}

// notDone follows the citation of what the law permitted and the gateway did not do: a stale If-Match (412), a row
// that was deleted (410), an update of a type that is read only (405).
const notDone = " (not done)"

// String is the line as printed: time, from → to, interaction, what, PERMIT or DENY, basis and citation, ledger number.
// A denial has no basis; in its place stands the true reason, which only the ledger tells.
func (l Line) String() string {
	id, citation := l.basis()
	from, to := l.parties()
	citation = clip(citation, 64)
	if l.Permitted() && !l.Record.Success {
		citation += notDone
	}
	return fmt.Sprintf("%s  %-40s  %-11s  %-42s  %-6s  %-9s  %-40s  #%d",
		l.Record.Time.Local().Format("15:04:05.000"), clip(from+" → "+to, 40), l.Record.Interaction, clip(l.what(), 42), l.verdict(),
		id, citation, l.Seq)
}

// parties is where data moved from and to.
func (l Line) parties() (from, to string) {
	actor := l.Record.Actor.App
	if l.Record.Actor.User != "" {
		actor = l.Record.Actor.User + "@" + actor
	}
	register := string(l.Record.Register)
	if register == "" {
		register = "gateway"
	}
	if l.Record.Controller != "" && l.Record.Controller != l.Record.Actor.Controller {
		register = strings.TrimPrefix(l.Record.Controller, "Organization/") + "/" + register
	}
	switch l.Record.Interaction {
	case "create", "update", "patch", "delete", "transaction", "apply", "receive", "publish":
		return actor, register
	case "notify":
		return register, l.Record.Recipient
	}
	return register, actor
}

// what is what moved or was asked for, with long ids shortened.
func (l Line) what() string {
	what := longIDs.ReplaceAllString(l.Record.Target, "$1…")
	if l.Record.Query != "" {
		query := longIDs.ReplaceAllString(strings.ReplaceAll(l.Record.Query, terms.Base+"CodeSystem/", ""), "$1…")
		what += "?" + query
	}
	if l.Record.Exchange != l.Record.ID || what == "" {
		moved := make([]string, 0, len(l.Record.Entities))
		for _, entity := range l.Record.Entities {
			ref, _, _ := strings.Cut(entity.What, "/_history/")
			moved = append(moved, longIDs.ReplaceAllString(ref, "$1…"))
		}
		what = strings.Join(moved, " ")
	}
	return what
}

// longIDs are the random ids; four characters tell them apart on a screen.
var longIDs = regexp.MustCompile(`([0-9a-f]{4})[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// clip shortens a text to n characters.
func clip(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// Permitted says whether the line's exchange was permitted.
func (l Line) Permitted() bool { return l.Record.Outcome == consent.Permitted.String() }

// Size is how many records the ledger held when the feed was last shown some.
func (f *Feed) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Quiesce waits until no record waits for its place in the tree and the feed was shown all size records.
func (f *Feed) Quiesce(ctx context.Context, src ledger.Source, size func(context.Context) (int64, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		pending := false
		for _, err := range src.Pending(ctx) {
			if err != nil {
				return err
			}
			pending = true
			break
		}
		if !pending {
			placed, err := size(ctx)
			if err != nil {
				return err
			}
			if f.Size() >= placed {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sandbox: records wait for their places: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
