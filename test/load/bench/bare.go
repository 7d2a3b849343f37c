package main

import (
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

// bareWord makes the command the other side of the ratios: a gin handler that returns the bytes of a file.
const bareWord = "bare"

func serveBare(addr, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/fhir/:type/:id", func(c *gin.Context) { c.Data(http.StatusOK, "application/fhir+json", body) })
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return http.Serve(listener, engine)
}
