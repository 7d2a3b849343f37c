package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// Bulk export (FHIR Bulk Data Access 2.0, Patient and Group level). A job is what was asked for, sealed in its address for
// the API client and user who asked: nothing of it is kept but that it was cancelled, so any node answers it, and its
// files are searched and decided page by page as they are downloaded.

// How long a job lives, how long a file may take and how many clients may be named.
const (
	exportLife    = time.Hour
	exportStream  = 10 * time.Minute
	exportClients = 50
)

// The addresses of an export below Patient or Group/[id].
const (
	export       = "export"
	exportStatus = "export-status"
	exportFile   = "export-file"
	jobParam     = "_job"
	ndjson       = "application/fhir+ndjson"
	exportBase   = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
)

// exports are the types that have $export, with what it is.
var exports = map[string]struct {
	definition string
	instance   bool
}{"Patient": {exportBase + "patient-export", false}, "Group": {exportBase + "group-export", true}}

// exporting are the methods and answers of the addresses of an export.
var exporting = map[string]methods{
	export:       {http.MethodGet: bulkKickOff, http.MethodPost: bulkKickOff},
	exportStatus: {http.MethodGet: bulkStatus, http.MethodDelete: bulkCancel},
	exportFile:   {http.MethodGet: bulkFile},
}

// The parts of an export; to the Desk all are exchange.Export.
const (
	bulkKickOff exchange.Interaction = "export"
	bulkStatus  exchange.Interaction = "export-status"
	bulkCancel  exchange.Interaction = "export-cancel"
	bulkFile    exchange.Interaction = "export-file"
)

// findExport is the target of an address of an export; false if it is none.
func (s *server) findExport(typ, id, key string) (target, bool) {
	of, has := exports[typ]
	m := exporting[key]
	if !has || m == nil || of.instance != (id != "") || s.types[typ] == nil || !s.types[typ].allows[exchange.Read] || id != "" && !fhir.ValidID(id) {
		return target{}, false
	}
	return target{methods: m, typ: typ, known: s.types[typ], id: id}, true
}

// job is what an address of an export carries, sealed.
type job struct {
	exchange.Bulk
	Request string    `json:"r"` // as it was asked
	Until   time.Time `json:"u"`
	Type    string    `json:"f,omitempty"` // of a file
}

// getExport begins an export: 202 and where to ask for its manifest.
func (v *visit) getExport(query params) (answer, error) {
	if !strings.Contains(strings.ToLower(strings.Join(v.r.Header["Prefer"], ",")), "respond-async") {
		return answer{}, refuse(http.StatusBadRequest, "required", "http.Prefer", "$export is asynchronous: send Prefer: respond-async.")
	}
	base := v.server.Base + v.exported()
	asked := v.started.UTC().Truncate(time.Second) // whole seconds: an address is as long whenever it was made
	j := job{Request: base + "$export", Bulk: exchange.Bulk{ID: v.id, Asked: asked}, Until: asked.Add(exportLife)}
	if v.target.id != "" {
		j.Group = v.target.id
	}
	if v.r.Method == http.MethodPost && v.r.ContentLength != 0 {
		in, err := v.document(v.server.Limits.Body)
		if err != nil {
			return answer{}, err
		}
		if query, err = bulkInputs(in, query); err != nil {
			return answer{}, err
		}
	} else if text := query.encode(); text != "" {
		j.Request += "?" + text
	}
	if err := v.understandExport(&j, query); err != nil {
		return answer{}, err
	}
	caller := v.exchange()
	if err := v.server.Desk.BeginBulk(v.ctx, caller, j.Bulk); err != nil {
		return answer{}, err
	}
	v.out.Header()["Content-Location"] = []string{base + "$" + exportStatus + "?" + jobParam + "=" + v.server.sealAs("export", caller, j)}
	return answer{status: http.StatusAccepted}, nil
}

// exported is the part of the addresses of an export between the base and the operation.
func (v *visit) exported() string {
	if v.target.id != "" {
		return "/" + v.target.typ + "/" + v.target.id + "/"
	}
	return "/" + v.target.typ + "/"
}

// bulkInputs are the parameters of an export as Parameters say them: the references of patient among them.
func bulkInputs(in *fhir.Value, query params) (params, error) {
	if fhir.ResourceType(in) != "Parameters" {
		return inputs(in, query)
	}
	simple := fhir.NewArray()
	for _, p := range in.Get("parameter").Items() {
		if reference := p.Text("valueReference", "reference"); p.Text("name") == "patient" && reference != "" {
			query = append(query, params{{Name: "patient", Value: reference}}...)
			continue
		}
		simple.Append(p)
	}
	return inputs(object("resourceType", "Parameters", "parameter", orNone(simple)), query)
}

// understandExport reads the parameters of an export; unknown ones are refused unless lenient.
func (v *visit) understandExport(j *job, query params) error {
	if format, ok := query.take("_outputFormat"); ok && !slices.Contains([]string{ndjson, "application/fhir ndjson", "application/ndjson", "ndjson"}, format) {
		return refuse(http.StatusBadRequest, "not-supported", "http._outputFormat", "_outputFormat is "+ndjson+".")
	}
	if text, ok := query.take("_since"); ok {
		from, _, ok := dateGiven(text)
		if !ok {
			return noMoment("_since")
		}
		j.Since = from
	}
	var rest params
	for _, pair := range query {
		switch pair.Name {
		case "_type":
			for typ := range strings.SplitSeq(pair.Value, ",") {
				if known := v.server.types[typ]; known == nil || !exchange.Exportable(typ) {
					return refuse(http.StatusBadRequest, "value", "http._type", "_type names types of data about persons that are served here, separated by commas.")
				}
				j.Types = append(j.Types, typ)
			}
		case "patient":
			ref := fhir.ParseReference(strings.TrimPrefix(pair.Value, v.server.Base+"/"))
			if v.r.Method != http.MethodPost || ref.Type != "Patient" || !ref.Local() {
				return refuse(http.StatusBadRequest, "value", "Parameters.parameter", "patient is a reference, Patient/id of this gateway, in the Parameters of a POST.")
			}
			if len(j.Clients) == exportClients {
				return refuse(http.StatusBadRequest, "too-costly", "Parameters.parameter", "An export names at most 50 clients: put them into a Group.")
			}
			j.Clients = append(j.Clients, ref.ID)
		default:
			rest = append(rest, pair)
		}
	}
	if err := v.none(rest); err != nil {
		return err
	}
	if len(j.Types) == 0 {
		for _, t := range v.server.Types {
			if exchange.Exportable(t.Name) && v.server.types[t.Name].allows[exchange.Read] && (v.caller.Allows == nil || v.caller.Allows(t.Name, exchange.Export)) {
				j.Types = append(j.Types, t.Name)
			}
		}
	}
	slices.Sort(j.Types)
	j.Types = slices.Compact(j.Types)
	return nil
}

// job is the job that the address carries. One of another caller, another address, that is over or was cancelled is absent.
func (v *visit) job(query params) (job, error) {
	var j job
	gone := &refusal{status: http.StatusNotFound, issues: notKnown}
	sealed, _ := query.take(jobParam)
	if err := v.none(query); err != nil {
		return j, err
	}
	if v.server.unsealAs("export", v.caller, sealed, &j) != nil || (j.Type != "") != (v.interaction == bulkFile) || j.Group != v.target.id || v.started.After(j.Until) {
		return j, gone
	}
	cancelled, err := v.server.Desk.Cancelled(v.ctx, j.Bulk)
	if err == nil && cancelled {
		err = gone
	}
	return j, err
}

// getExportStatus answers the manifest. Every type asked for has a file, whether anything is in it or not: what is there is
// decided when the file is downloaded.
func (v *visit) getExportStatus(query params) (answer, error) {
	j, err := v.job(query)
	if err != nil {
		return answer{}, err
	}
	output := fhir.NewArray()
	for _, typ := range j.Types {
		file := j
		file.Type = typ
		output.Append(object("type", typ, "url", v.server.Base+v.exported()+"$"+exportFile+"?"+jobParam+"="+v.server.sealAs("export", v.caller, file)))
	}
	v.out.Header()["Expires"] = []string{httpDate(j.Until)}
	v.wants.form = manifestForm
	return answer{status: http.StatusOK, body: object(
		"transactionTime", fhir.Instant(j.Asked), "request", j.Request, "requiresAccessToken", true, "output", output, "error", fhir.NewArray(),
	).JSON()}, nil
}

// deleteExport cancels an export.
func (v *visit) deleteExport(query params) (answer, error) {
	j, err := v.job(query)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusAccepted}, v.server.Desk.CancelBulk(v.ctx, v.exchange(), j.Bulk)
}

// getExportFile streams a file, a resource a line. Each page is decided and recorded before it is sent; an answer that
// cannot be ended is broken off, so that half a file does not look like a whole one.
func (v *visit) getExportFile(query params) (answer, error) {
	j, err := v.job(query)
	if err != nil {
		return answer{}, err
	}
	if !v.server.streams.enter(v.caller.Actor.App, 1) {
		return answer{}, &refusal{status: http.StatusTooManyRequests, retry: 1, issues: issue("throttled", "", "One file of an export at a time is given to an API client.")}
	}
	defer v.server.streams.leave(v.caller.Actor.App)
	control := http.NewResponseController(v.out)
	begun := false
	for cursor := ""; ; {
		ctx, cancel := context.WithTimeout(v.r.Context(), v.server.Limits.Timeout)
		page, err := v.server.Desk.Bulk(ctx, v.exchange(), j.Bulk, j.Type, cursor)
		cancel()
		switch {
		case err == nil && time.Since(v.started) < exportStream:
		case begun:
			panic(http.ErrAbortHandler)
		default:
			return answer{}, err
		}
		if !begun {
			begun = true
			v.out.Header()["Content-Type"] = []string{ndjson}
			v.out.WriteHeader(http.StatusOK)
		}
		_ = control.SetWriteDeadline(time.Now().Add(v.server.Limits.Timeout)) // a slow reader is waited for that long a page
		for i := range page.Matches {
			if _, err := v.out.Write(append(page.Matches[i].Body[:len(page.Matches[i].Body):len(page.Matches[i].Body)], '\n')); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		if cursor = page.Next; cursor == "" {
			return answer{sent: true}, nil
		}
	}
}

// manifestForm is plain JSON: a manifest is no resource.
var manifestForm = func() *codec {
	c := *codecs[0]
	c.contentType = []string{"application/json"}
	return &c
}()
