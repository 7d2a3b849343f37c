package rest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/patch"
)

// visit is one request on its way through the face, and the writer of its answer.
type visit struct {
	http.ResponseWriter // the connection's
	server              *server
	r                   *http.Request
	ctx                 context.Context
	out                 http.ResponseWriter // where answers go: gin's writer once a route is found, before that the visit itself
	started             time.Time
	id                  string // X-Request-Id
	exchanges           int    // how many the visit has begun; see exchange
	status              int    // answered; 0 until then
	route               string // pattern of the route
	typ                 string // registered type, or ""
	interaction         exchange.Interaction
	caller              exchange.Caller
	target              target
	wants               wants
	entered             bool          // counted among the API client's requests under way
	unread              bool          // a body was refused before its end
	taken               int64         // bytes of bodies; see take
	answered            int           // bytes of the answers to a Bundle's entries so far
	effort              *patch.Effort // of the patches; nil: none yet
}

var (
	headerNoSniff = []string{"nosniff"}
	headerNoStore = []string{"no-store"}
)

// ServeHTTP is the front that every request passes before any route is looked up.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{ResponseWriter: w, server: s, r: r, ctx: r.Context(), started: time.Now(), id: newID()}
	v.out = v
	h := w.Header()
	h["X-Request-Id"] = []string{v.id}
	h["X-Content-Type-Options"] = headerNoSniff
	h["Cache-Control"] = headerNoStore
	defer v.finish()
	defer v.survive()
	if carriesIdentityCode(r) {
		v.unread = true
		v.fail(refuse(http.StatusBadRequest, "invalid", "",
			"A personal identity code must not stand in a URL, which is logged wherever it passes. Send it in a body: "+
				"POST Patient/_search with identifier as a form parameter, or POST Patient/$match."))
		return
	}
	if sent := r.Header.Get("X-Request-Id"); isCorrelation(sent) {
		h["X-Correlation-Id"] = []string{sent}
	}
	if v.origin() {
		return
	}
	if len(r.Header["Authorization"]) > 1 {
		v.unread = true
		v.fail(refuse(http.StatusBadRequest, "invalid", "http.Authorization",
			"The Authorization header is there more than once: whom the request speaks for must not depend on which of them is read."))
		return
	}
	if room := s.busy.Add(1); room > int64(s.Limits.Concurrent) && !s.health(r.URL.Path) {
		s.busy.Add(-1)
		v.fail(&refusal{status: http.StatusServiceUnavailable, retry: 1, issues: issue("throttled", "",
			"Too many requests are being answered. Try again in a moment.")})
		return
	}
	defer s.busy.Add(-1)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &arriving{r.Body, &s.busy}
	}
	v.r = s.withoutSlash(r)
	s.engine.ServeHTTP(v, v.r)
}

// isCorrelation says whether an X-Request-Id that a client sent is given back to it as X-Correlation-Id (FHIR R4 § 3.1.0.1.6),
// beside our own. Nothing else is done with it.
func isCorrelation(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 128 && !textCarriesIdentityCode(id)
}

// WriteHeader notes the status on its way out.
func (v *visit) WriteHeader(status int) {
	if v.status == 0 && status >= 200 {
		v.status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write notes an answer that began without a status.
func (v *visit) Write(p []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	return v.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// Flush sends what was written so far.
func (v *visit) Flush() { _ = http.NewResponseController(v.ResponseWriter).Flush() }

// survive turns a panic into a 500 and keeps the process serving. The value of a panic may hold anything, so only what
// the runtime itself says of it is logged.
func (v *visit) survive() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	what := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	v.server.Log.LogAttrs(v.ctx, slog.LevelError, "panic",
		slog.String("request", v.id), slog.String("what", what), slog.String("stack", string(debug.Stack())))
	if v.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	v.out = v
	v.fail(refuse(http.StatusInternalServerError, "exception", "",
		"The gateway failed to answer this request. It is logged under its X-Request-Id."))
}

// finish logs the answer and tells the metrics. Neither ever sees a path, a query or a body.
func (v *visit) finish() {
	v.server.taken.Add(-v.taken)
	if v.entered {
		v.server.clients.leave(v.caller.Actor.App)
	}
	if v.unread {
		v.linger()
	}
	took := time.Since(v.started)
	s := v.server
	if s.Log.Enabled(v.ctx, slog.LevelInfo) {
		s.Log.LogAttrs(v.ctx, slog.LevelInfo, "answered",
			slog.String("route", v.route), slog.String("method", v.method()), slog.String("type", v.typ),
			slog.String("interaction", string(v.interaction)), slog.Int("status", v.status), slog.Duration("took", took),
			slog.String("request", v.id), slog.String("app", v.caller.Actor.App))
	}
	if s.Observe != nil {
		s.Observe(Seen{
			Route: v.route, Type: v.typ, Interaction: string(v.interaction), Status: v.status,
			App: v.caller.Actor.App, Duration: took,
		})
	}
}

// method is the request's method if it is one of HTTP's own; any other text is the sender's and stays out of the log.
func (v *visit) method() string {
	if strings.Contains(" GET HEAD POST PUT PATCH DELETE OPTIONS ", " "+v.r.Method+" ") {
		return v.r.Method
	}
	return "other"
}

// How much of a refused body, and for how long, is still taken in, so that a client that sends first and reads later
// sees the answer instead of a reset connection (RFC 9112 § 9.6).
const (
	lingerBytes = 64 << 20
	lingerTime  = 5 * time.Second
)

func (v *visit) linger() {
	if v.r.Body == nil || v.r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(v.ResponseWriter)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, v.r.Body, lingerBytes)
}

// newID is a UUID of version 7 (RFC 9562 § 5.7): 74 random bits behind the milliseconds, so that the ledger's index of
// ids grows at its end and a recorded read touches one page less.
func newID() string {
	var b [16]byte
	rand.Read(b[6:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(b[:6], ms[2:])
	return uuid(b, 7)
}

// uuid writes 16 bytes as a UUID of a version (RFC 9562).
func uuid(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
