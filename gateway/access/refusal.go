package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// refusal is an answer that is no decision.
type refusal struct {
	status int
	errors []mistake // at least one
}

// mistake is one thing that is wrong with a request.
type mistake struct {
	At      string `json:"at"` // JSON Pointer into the request
	Message string `json:"message"`
}

func (r *refusal) Error() string { return r.errors[0].Message }

func refuse(status int, at, text string) *refusal {
	return &refusal{status, []mistake{{at, text}}}
}

func bad(at, text string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, at, fmt.Sprintf(text, args...))
}

// busy is a 429.
type busy struct {
	seconds int
	text    string
}

func (b *busy) Error() string { return b.text }

// failure is every answer that is none, in plain JSON.
type failure struct {
	Error  string    `json:"error"`
	At     *string   `json:"at,omitzero"`      // of the first; nil where the request is not to blame
	Errors []mistake `json:"errors,omitempty"` // all of them, where there are several
}

func (a *api) fail(c *gin.Context, err error) {
	status, out := http.StatusInternalServerError, failure{Error: "The gateway failed to answer this request."}
	var own *refusal
	var desk *exchange.Error
	var slow *busy
	switch {
	case errors.As(err, &own):
		status, out.Error = own.status, own.Error()
		if first := own.errors[0].At; status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || first != "" {
			out.At = &first
		}
		if len(own.errors) > 1 {
			out.Errors = own.errors
		}
	case errors.As(err, &slow):
		c.Header("Retry-After", strconv.Itoa(slow.seconds))
		status, out.Error = http.StatusTooManyRequests, slow.Error()
	case errors.As(err, &desk) && (desk.Kind == exchange.Unrecorded || desk.Kind == exchange.Busy):
		c.Header("Retry-After", "1")
		status, out.Error = http.StatusServiceUnavailable, desk.Error()
		a.Log.ErrorContext(c.Request.Context(), "evaluation not recorded", "cause", desk.Err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status, out.Error = http.StatusServiceUnavailable, "The request took too long."
	default:
		a.Log.ErrorContext(c.Request.Context(), "evaluation failed", "cause", err)
	}
	write(c, status, out)
}

// statuses are those that refusals of the Desk have at the FHIR base.
var statuses = map[exchange.ErrorKind]int{
	exchange.Absent: http.StatusNotFound, exchange.Forbidden: http.StatusForbidden, exchange.Invalid: http.StatusBadRequest,
	exchange.Unprocessable: http.StatusUnprocessableEntity, exchange.TooCostly: http.StatusBadRequest,
}

// refusedAs tells a refusal of the Desk. places are the resources of the request by type, as JSON Pointers: where an
// expression such as Consent.status lies in it.
func refusedAs(err error, places map[string]string) error {
	var desk *exchange.Error
	if !errors.As(err, &desk) {
		return err
	}
	status, known := statuses[desk.Kind]
	if !known || len(desk.Issues) == 0 {
		return err
	}
	out := &refusal{status: status}
	for _, issue := range desk.Issues {
		out.errors = append(out.errors, toldIssue(issue, places))
	}
	return out
}

// toldIssue is an issue as a mistake: its place as a pointer, and its words with the element they are about.
func toldIssue(issue fhir.Issue, places map[string]string) mistake {
	typ, rest, _ := strings.Cut(issue.Expression, ".")
	base, here := places[typ]
	if !here {
		return mistake{"", issue.Diagnostics}
	}
	return mistake{base + pointer(rest), issue.Expression + ": " + issue.Diagnostics}
}

// pointer is a simple FHIRPath such as provision.actor[0].role as a JSON Pointer, /provision/actor/0/role.
func pointer(path string) string {
	if path == "" {
		return ""
	}
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// placeIn is where a body that lies at a place is not what was wanted.
func placeIn(at string, err error) string {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &semantic):
		return at + string(semantic.JSONPointer)
	case errors.As(err, &syntax):
		return at + string(syntax.JSONPointer)
	}
	return at
}
