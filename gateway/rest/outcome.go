package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// refusal is an error as HTTP says it.
type refusal struct {
	status    int
	issues    []fhir.Issue
	allow     string // 405
	challenge string // 401
	retry     int    // 429 and 503: seconds
	cause     error  // for the log only
}

func (r *refusal) Error() string {
	if len(r.issues) == 0 {
		return http.StatusText(r.status)
	}
	return r.issues[0].Diagnostics
}

func (r *refusal) Unwrap() error { return r.cause }

// refuse is a refusal of one issue. Code is of the value set issue-type; expression may be "".
func refuse(status int, code, expression, diagnostics string) *refusal {
	return &refusal{status: status, issues: issue(code, expression, diagnostics)}
}

func issue(code, expression, diagnostics string) []fhir.Issue {
	return []fhir.Issue{{Severity: "error", Code: code, Expression: expression, Diagnostics: diagnostics}}
}

// statuses is what each kind of refusal is in HTTP (FHIR R4 § 3.1.0.1.5 and the interactions' own sections).
var statuses = [...]int{
	exchange.Invalid:       http.StatusBadRequest,
	exchange.Unprocessable: http.StatusUnprocessableEntity,
	exchange.Absent:        http.StatusNotFound,
	exchange.Gone:          http.StatusGone,
	exchange.NotAllowed:    http.StatusMethodNotAllowed,
	exchange.Forbidden:     http.StatusForbidden,
	exchange.Stale:         http.StatusPreconditionFailed,
	exchange.Ambiguous:     http.StatusPreconditionFailed,
	exchange.Conflict:      http.StatusConflict,
	exchange.TooCostly:     http.StatusBadRequest,
	exchange.Unrecorded:    http.StatusServiceUnavailable,
	exchange.Busy:          http.StatusServiceUnavailable,
}

// notKnown is the one text for what is absent and what is denied, whatever text came with the refusal.
var notKnown = issue("not-found", "", "There is no such resource among those you may see.")

// refused says in HTTP what any error of an interaction means. Nothing but a refusal that was meant for the caller
// leaves its text: everything else is a 500, or a 503 when time ran out.
func refused(err error) *refusal {
	var (
		own    *refusal
		desk   *exchange.Error
		syntax *fhir.SyntaxError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &desk):
		return refusedByDesk(desk)
	case errors.As(err, &syntax):
		status := http.StatusBadRequest
		if errors.Is(err, fhir.ErrTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		return &refusal{status: status, issues: syntax.Issues()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &refusal{
			status: http.StatusServiceUnavailable, retry: 1, cause: err,
			issues: issue("timeout", "", "The request took too long and was given up. Try again, or ask for less."),
		}
	default:
		return &refusal{
			status: http.StatusInternalServerError, cause: err,
			issues: issue("exception", "", "The gateway failed to answer this request. It is logged under its X-Request-Id."),
		}
	}
}

func refusedByDesk(err *exchange.Error) *refusal {
	r := &refusal{status: http.StatusInternalServerError, issues: err.Issues, cause: err.Err}
	if int(err.Kind) < len(statuses) && statuses[err.Kind] != 0 {
		r.status = statuses[err.Kind]
	}
	switch {
	case err.Kind == exchange.Absent:
		r.issues = notKnown
	case len(r.issues) == 0:
		r.issues = issue("processing", "", http.StatusText(r.status))
	}
	if r.status == http.StatusServiceUnavailable {
		r.retry = 1
	}
	return r
}

// fail answers an error with an OperationOutcome.
func (v *visit) fail(err error) {
	r := refused(err)
	v.logCause(r)
	h := v.out.Header()
	switch r.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", r.challenge)
	case http.StatusMethodNotAllowed:
		if r.allow == "" {
			r.allow = v.allow(v.r.Method)
		}
		h.Set("Allow", r.allow)
	case http.StatusRequestEntityTooLarge:
		v.unread = true
		h.Set("Connection", "close")
	}
	if r.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retry))
	}
	v.write(answer{status: r.status, body: appendOutcome(nil, r.issues...)})
}

// logCause logs why a token or the gateway itself failed; the caller is not told.
func (v *visit) logCause(r *refusal) {
	if r.cause == nil {
		return
	}
	level, text := slog.LevelError, "failed"
	switch {
	case r.status == http.StatusUnauthorized:
		level, text = slog.LevelInfo, "unauthenticated"
	case r.status < http.StatusInternalServerError:
		return
	}
	v.server.Log.LogAttrs(v.ctx, level, text, slog.String("request", v.id),
		slog.String("interaction", string(v.interaction)), slog.String("cause", r.cause.Error()))
}

// appendOutcome appends an OperationOutcome (FHIR R4 § 2.40).
func appendOutcome(dst []byte, issues ...fhir.Issue) []byte {
	dst = append(dst, `{"resourceType":"OperationOutcome","issue":[`...)
	for i, is := range issues {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"severity":`...)
		dst = appendText(dst, is.Severity)
		dst = append(dst, `,"code":`...)
		dst = appendText(dst, is.Code)
		if is.Diagnostics != "" {
			dst = append(dst, `,"diagnostics":`...)
			dst = appendText(dst, is.Diagnostics)
		}
		if is.Expression != "" {
			dst = append(dst, `,"expression":[`...)
			dst = appendText(dst, is.Expression)
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	return append(dst, ']', '}')
}

// appendText appends s as a JSON string.
func appendText(dst []byte, s string) []byte { return fhir.NewString(s).AppendJSON(dst) }

// inEntry is a refusal as a transaction tells it: which entry it was, and where in it.
func (r *refusal) inEntry(entry int) *refusal {
	place := fmt.Sprintf("Bundle.entry[%d]", entry)
	next := *r
	next.issues = make([]fhir.Issue, len(r.issues))
	for i, is := range r.issues {
		switch root, rest, _ := strings.Cut(is.Expression, "."); {
		case root == "Bundle":
		case root == "http" || is.Expression == "":
			is.Expression = place
		case fhir.IsResource(root) && rest != "":
			is.Expression = place + ".resource." + rest
		default:
			is.Expression = place + ".resource"
		}
		is.Diagnostics = place + ": " + is.Diagnostics
		next.issues[i] = is
	}
	return &next
}
