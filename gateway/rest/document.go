package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

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
	documents, err := s.Documents(statement)
	if err != nil {
		return err
	}
	for _, d := range documents {
		sum := sha256.Sum256(d.Text)
		tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		answer := func(c *gin.Context) {
			visitOf(c).route = d.Path
			h := c.Writer.Header()
			h.Set("ETag", tag)
			h.Set("Cache-Control", "no-cache")
			h.Set("Content-Security-Policy", documentPolicy)
			if c.GetHeader("If-None-Match") == tag {
				c.Status(http.StatusNotModified)
				return
			}
			c.Data(http.StatusOK, d.ContentType, d.Text)
		}
		s.engine.GET(d.Path, answer)
		s.engine.HEAD(d.Path, answer)
	}
	return nil
}
