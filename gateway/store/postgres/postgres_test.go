package postgres_test

import (
	"context"
	"os"
	"testing"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/gateway/store/postgres"
	"sotesilta/gateway/store/storetest"
)

var engine = storetest.Engine{
	Fresh: pgtest.Postgres,
	Open: func(ctx context.Context, place string) (store.Store, error) {
		return postgres.Open(ctx, place, postgres.Options{})
	},
}

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, engine)) }

func TestContract(t *testing.T) { storetest.Run(t, engine) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine) }
