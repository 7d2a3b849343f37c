package rest

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// Where the health of the process is told.
const (
	healthz = "/healthz" // the process is alive
	readyz  = "/readyz"  // exchanges can be recorded and served
)

// ErrLoading is what Config.Ready answers while the first data are still put in place: not ready, and nothing is wrong.
var ErrLoading = errors.New("loading")

// health says whether a path is answered even when there is no room for more.
func (s *server) health(path string) bool { return path == healthz || path == readyz }

func (s *server) answerHealthz(c *gin.Context) {
	visitOf(c).route = healthz
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte("alive\n"))
}

// answerReadyz is 200 once the store and the ledger can serve, and names what is lost but can be done without.
func (s *server) answerReadyz(c *gin.Context) {
	visitOf(c).route = readyz
	var lost []string
	if s.Ready != nil {
		var err error
		if lost, err = s.Ready(c.Request.Context()); err != nil {
			level := slog.LevelError
			if errors.Is(err, ErrLoading) {
				level = slog.LevelInfo // what every start passes through
			}
			s.Log.Log(c.Request.Context(), level, "not ready", "cause", err)
			c.Header("Retry-After", "1")
			c.Data(http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("not ready\n"))
			return
		}
	}
	text := "ready\n"
	if len(lost) > 0 {
		text = "ready, without " + strings.Join(lost, ", ") + "\n"
	}
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(text))
}
