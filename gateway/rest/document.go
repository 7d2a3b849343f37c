package rest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"sotesilta/internal/fhir"
)

// Document is a fixed text on the public port that anybody may read, such as the API's description.
type Document struct {
	Path        string // such as /openapi.json
	ContentType string
	Text        []byte
}

// documentPolicy lets a page use its own styles, and load and send nothing.
const documentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// routeDocuments registers what Config.Documents makes of the CapabilityStatement.
func (s *server) routeDocuments(statement *fhir.Value) error {
	if s.Documents == nil {
		return nil
	}
	documents, err := s.Documents(statement, s.beside())
	if err != nil {
		return err
	}
	for _, d := range documents {
		made := newFixed(d.ContentType, d.Text, true)
		answer := func(c *gin.Context) {
			visitOf(c).route = d.Path
			c.Writer.Header().Set("Content-Security-Policy", documentPolicy)
			made.write(c.Writer, c.Request)
		}
		s.engine.GET(d.Path, answer)
		s.engine.HEAD(d.Path, answer)
	}
	return nil
}

// beside are the addresses that are not below the base.
func (s *server) beside() []Route {
	var out []Route
	for _, r := range s.engine.Routes() {
		if !s.below(r.Path) && r.Method != http.MethodHead {
			out = append(out, Route{r.Method, r.Path})
		}
	}
	return out
}

// fixed is an answer that tells of nobody and is the same for everybody: it has a tag to ask by whether it changed, and
// comes compressed to who takes that.
//
// No other answer is ever compressed, though clients of other servers may expect it. The length of a compressed text
// tells how alike its parts are: who can have a text of theirs stand beside a client's data (the sentence of an
// invitation, a message, a parameter that a link repeats) and watches the lengths on the line learns those data guess
// by guess (CRIME, BREACH), be it only whether a person is a client of social care, which law 2 keeps from all.
type fixed struct {
	contentType string
	text        []byte
	compressed  []byte // by gzip; nil: not worth it, or made for one request
	tag         string
	negotiated  bool // its form is chosen by Accept
}

// newFixed makes a fixed answer, compressed beforehand if it is kept.
func newFixed(contentType string, text []byte, keep bool) *fixed {
	sum := sha256.Sum256(text)
	f := &fixed{contentType: contentType, text: text, tag: `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	if keep {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is one of gzip's
		_, _ = w.Write(text)                                    // a buffer takes all
		_ = w.Close()
		f.compressed = bytes.Clone(out.Bytes())
	}
	return f
}

// write sends it, or 304 to who has it (RFC 9110 §§ 12.5.3, 13.1.2). The tag is weak, as it is that of both codings.
func (f *fixed) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache")
	if f.negotiated {
		h.Add("Vary", "Accept")
	}
	if f.compressed != nil {
		h.Add("Vary", "Accept-Encoding")
	}
	if names(r.Header["If-None-Match"], f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.text
	if f.compressed != nil && takesGzip(r.Header["Accept-Encoding"]) {
		body = f.compressed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the connection's failure is the caller's
	}
}

// takesGzip reads Accept-Encoding (RFC 9110 § 12.5.3): gzip is taken where it is named, or * is, with a weight above 0.
func takesGzip(headers []string) bool {
	named, other := -1.0, -1.0
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		coding, weight, weighed := strings.Cut(part, ";")
		q := 1.0
		if weighed {
			name, value, _ := strings.Cut(strings.ReplaceAll(weight, " ", ""), "=")
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil || !strings.EqualFold(name, "q") {
				continue
			}
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			named = q
		case "*":
			other = q
		}
	}
	if named < 0 {
		named = other
	}
	return named > 0
}
