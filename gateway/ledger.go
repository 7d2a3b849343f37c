package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"sotesilta/consent/ledger"
)

// mountLedger serves the ledger's checkpoint and tiles (C2SP tlog-tiles), and proofs ready made for who keeps no tiles:
// /ledger/inclusion?leaf=N and /ledger/consistency?old=N under the newest checkpoint. They are hashes over salted
// commitments: they tell nothing of any record, so anybody may fetch them, and nobody needs to be trusted for them.
func mountLedger(r gin.IRouter, tree *ledger.Tree, src ledger.Source) {
	read := []string{http.MethodGet, http.MethodHead}
	r.Match(read, "/ledger/checkpoint", func(c *gin.Context) {
		checkpoint, err := ledger.Latest(c.Request.Context(), src)
		switch {
		case err != nil:
			c.String(http.StatusServiceUnavailable, "the ledger cannot be read\n")
		case checkpoint == nil:
			c.String(http.StatusNotFound, "no checkpoint yet\n")
		default:
			c.Header("Cache-Control", "no-cache")
			c.Data(http.StatusOK, "text/plain; charset=utf-8", checkpoint)
		}
	})
	r.Match(read, "/ledger/inclusion", publicProof(src, "leaf", tree.PublicInclusion))
	r.Match(read, "/ledger/consistency", publicProof(src, "old", tree.PublicConsistency))
	r.Match(read, "/ledger/tile/*path", func(c *gin.Context) {
		level, index, width, ok := tilePath(strings.TrimPrefix(c.Param("path"), "/"))
		if !ok {
			c.String(http.StatusBadRequest, "a tile is LEVEL/INDEX[.p/WIDTH] or entries/INDEX[.p/WIDTH] (C2SP tlog-tiles)\n")
			return
		}
		var data []byte
		var err error
		if level < 0 {
			data, err = tree.Bundle(c.Request.Context(), index, width)
		} else {
			data, err = tree.Tile(c.Request.Context(), level, index, width)
		}
		switch {
		case errors.Is(err, ledger.ErrOutside):
			c.String(http.StatusNotFound, "the tree does not reach there\n")
		case err != nil:
			c.String(http.StatusServiceUnavailable, "the ledger cannot be read\n")
		default:
			c.Header("Cache-Control", "public, max-age=31536000, immutable")
			c.Data(http.StatusOK, "application/octet-stream", data)
		}
	})
}

// publicProof answers a proof about a number under the newest checkpoint.
func publicProof(src ledger.Source, number string, prove func(context.Context, int64, []byte) (*ledger.PublicProof, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		n, err := strconv.ParseInt(c.Query(number), 10, 64)
		if err != nil || n < 0 || len(c.Request.URL.Query()) != 1 {
			c.String(http.StatusBadRequest, "the one parameter is "+number+", a number\n")
			return
		}
		checkpoint, err := ledger.Latest(c.Request.Context(), src)
		if err == nil && checkpoint == nil {
			c.String(http.StatusNotFound, "no checkpoint yet\n")
			return
		}
		var proof *ledger.PublicProof
		if err == nil {
			proof, err = prove(c.Request.Context(), n, checkpoint)
		}
		switch {
		case errors.Is(err, ledger.ErrOutside):
			c.String(http.StatusNotFound, "the tree does not reach there\n")
		case err != nil:
			c.String(http.StatusServiceUnavailable, "the ledger cannot be read\n")
		default:
			c.Header("Cache-Control", "no-cache")
			c.JSON(http.StatusOK, proof)
		}
	}
}

// tilePath reads L/NNN, L/xNNN/NNN and their .p/W forms; level is -1 for entries.
func tilePath(path string) (level int, index int64, width int, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || len(parts) > 10 {
		return 0, 0, 0, false
	}
	if parts[0] == "entries" {
		level = -1
	} else if n, err := strconv.ParseUint(parts[0], 10, 6); err == nil {
		level = int(n)
	} else {
		return 0, 0, 0, false
	}
	width = ledger.TileWidth
	parts = parts[1:]
	if n := len(parts); n >= 2 && strings.HasSuffix(parts[n-2], ".p") {
		w, err := strconv.ParseUint(parts[n-1], 10, 9)
		if err != nil || w == 0 || w >= ledger.TileWidth {
			return 0, 0, 0, false
		}
		width = int(w)
		parts = append(parts[:n-2:n-2], strings.TrimSuffix(parts[n-2], ".p"))
	}
	for i, part := range parts {
		if i < len(parts)-1 {
			if !strings.HasPrefix(part, "x") {
				return 0, 0, 0, false
			}
			part = part[1:]
		}
		n, err := strconv.ParseUint(part, 10, 10)
		if err != nil || len(part) != 3 || n > 999 || index > 1<<50/1000 {
			return 0, 0, 0, false
		}
		index = index*1000 + int64(n)
	}
	return level, index, width, true
}
