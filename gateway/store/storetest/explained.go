package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/sqlstore"
)

// Explained is an engine whose readers have each query explained first: explain stands before it, such as EXPLAIN, and look
// is shown the query and the rows of its plan.
func Explained(t *testing.T, e sqlstore.Engine, explain string, look func(query string, plan sqlstore.Rows)) sqlstore.Engine {
	return explained{e, explainedReader{nil, t, explain, look}}
}

type explained struct {
	sqlstore.Engine
	with explainedReader
}

func (e explained) Read(ctx context.Context) (sqlstore.Reader, error) {
	r, err := e.Engine.Read(ctx)
	with := e.with
	with.Reader = r
	return with, err
}

type explainedReader struct {
	sqlstore.Reader
	t       *testing.T
	explain string
	look    func(query string, plan sqlstore.Rows)
}

func (r explainedReader) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	plan, err := r.Reader.Query(ctx, r.explain+" "+text, args...)
	require.NoError(r.t, err)
	r.look(text, plan)
	require.NoError(r.t, plan.Err())
	plan.Close()
	return r.Reader.Query(ctx, text, args...)
}
