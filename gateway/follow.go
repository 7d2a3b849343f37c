package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// lookAgain is how often followed files are looked at.
const lookAgain = 2 * time.Second

// errAgain is wrapped by what load answers when it failed for another reason than the files, and is worth another try.
var errAgain = errors.New("to be tried again")

// follow calls load on SIGHUP and when one of files, or a file in one that is a folder, changed, until the context ends.
// Without files there is SIGHUP alone.
func follow(ctx context.Context, files func() []string, load func(context.Context) error) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ticks := time.NewTicker(lookAgain)
	defer ticks.Stop()
	followAt(ctx, files, hup, ticks.C, load)
}

// followAt loads at a signal, and at the second tick at which changed files look the same: an editor, or a copy, that is
// still writing has come to its end.
func followAt(ctx context.Context, files func() []string, signals <-chan os.Signal, ticks <-chan time.Time, load func(context.Context) error) {
	loaded := look(files())
	before := loaded
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			loaded = look(files()) // before it loads: what changes meanwhile is loaded next
			before = loaded
			_ = load(ctx) // load says aloud what was wrong
		case <-ticks:
			now := look(files())
			if now == before && now != loaded {
				loaded = now
				if errors.Is(load(ctx), errAgain) {
					loaded = ""
				}
			}
			before = now
		}
	}
}

// look is a text that changes when a file does.
func look(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintln(&b, path, "is not there")
			continue
		}
		entries := []fs.DirEntry{fs.FileInfoToDirEntry(info)}
		if info.IsDir() {
			if entries, err = os.ReadDir(path); err != nil {
				fmt.Fprintln(&b, path, "cannot be read")
				continue
			}
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil && !info.IsDir() {
				fmt.Fprintln(&b, path, entry.Name(), info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}
