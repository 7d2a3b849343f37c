package exchange_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneDoor reads the imports of every package: there is no second door to the store, the law and the translator know
// nobody, and what all need knows nothing of ours (design § 3).
func TestOneDoor(t *testing.T) {
	const module = "sotesilta/"
	within := func(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
	root := filepath.Join("..", "..")
	read := map[string]int{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "testdata" || entry.Name() == "tmp") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		require.NoError(t, err)
		room := filepath.ToSlash(rel)
		test := strings.HasSuffix(path, "_test.go")
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			ours, is := strings.CutPrefix(imported, module)
			if !is {
				continue
			}
			read[room]++
			if within(ours, "gateway/store") && !test && !within(room, "test") {
				require.True(t, within(room, "gateway/store") || room == "gateway/exchange" || room == "gateway",
					"%s names the store: only the exchange, the store and main do", path)
			}
			if within(room, "consent") {
				require.False(t, within(ours, "gateway") || within(ours, "mappings"), "%s: the law imports %s", path, ours)
			}
			if within(room, "mappings") {
				require.False(t, within(ours, "gateway") || within(ours, "consent"), "%s: mappings import %s", path, ours)
			}
			if within(room, "internal") {
				require.True(t, within(ours, "internal"), "%s: internal imports %s", path, ours)
			}
			if within(room, "gateway/store") && !test {
				require.False(t, within(ours, "gateway/exchange"), "%s: the store imports the exchange", path)
			}
			if (within(room, "gateway/search") || within(room, "gateway/auth")) && !test {
				require.False(t, within(ours, "gateway/exchange") && within(room, "gateway/search"), "%s: search imports the exchange", path)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, read["gateway/exchange"], 20, "the imports were read")
	require.Greater(t, read["gateway/rest"], 5)
}
