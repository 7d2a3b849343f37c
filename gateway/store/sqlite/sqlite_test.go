package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/gateway/store/storetest"
)

var engine = storetest.Engine{
	Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") },
	Open: func(ctx context.Context, place string) (store.Store, error) {
		return sqlite.Open(ctx, place, sqlite.Options{})
	},
}

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, engine)) }

func TestContract(t *testing.T) { storetest.Run(t, engine) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine) }
