package rest

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

// As many tags as a body can bring are added to as many, and taken away, in the time that their number takes: compared with
// each other they would hold a processor for hours, whatever the request's deadline.
func TestManyTagsAreLookedUp(t *testing.T) {
	const many = 150_000
	tags := func(from int) *fhir.Value {
		list := fhir.NewArray()
		for i := range many {
			list.Append(object("system", "https://vendor.example/tags", "code", strconv.Itoa(from+i)))
		}
		return object("tag", list)
	}
	began := time.Now()
	added := changedMeta(tags(0), tags(many/2), false)
	require.Len(t, added.Get("tag").Items(), many+many/2)
	require.Equal(t, strconv.Itoa(many+many/2-1), added.Get("tag").Items()[many+many/2-1].Text("code"))
	require.Len(t, changedMeta(added, tags(many/2), true).Get("tag").Items(), many/2)
	require.Nil(t, changedMeta(added, added, true).Get("tag"))
	require.Less(t, time.Since(began), 10*time.Second)

	twice := object("tag", fhir.NewArray(object("code", "a"), object("code", "a"), object("system", "a", "code", "a")))
	require.Len(t, changedMeta(nil, twice, false).Get("tag").Items(), 2)
}

func TestTagsAreAddedToTheVersionThatIfMatchNames(t *testing.T) {
	const tag = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"seen"}]}}]}`
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	for _, kind := range []string{"$meta-add", "$meta-delete"} {
		outcome(t, f.ask("POST", "/Task/t1/"+kind, tag, "If-Match", `W/"7"`), 412, "conflict")
		outcome(t, f.ask("POST", "/Task/t1/"+kind, tag, "If-Match", ""), 400, "value")
		w := f.ask("POST", "", bundleOf("batch", `{"resource":`+tag+`,"request":{"method":"POST","url":"Task/t1/`+kind+`","ifMatch":"W/\"7\""}}`))
		require.Equal(t, "412 Precondition Failed", parsed(t, w).Get("entry").Items()[0].Text("response", "status"), "%s", w.Body)
	}
	require.Equal(t, 200, f.ask("POST", "/Task/t1/$meta-add", tag, "If-Match", `W/"1"`).Code)
}
