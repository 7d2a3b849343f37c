package rest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEverything(t *testing.T) {
	f := newFace(t)
	for _, body := range []string{`{"resourceType":"Patient","id":"aino"}`, `{"resourceType":"Task","id":"t1"}`, `{"resourceType":"Observation","id":"o1"}`} {
		f.desk.put(body)
	}
	next, seen := base+"/Patient/aino/$everything?_count=2", []string{}
	for next != "" {
		w := f.ask("GET", next, "")
		require.Equal(t, 200, w.Code, "%s", w.Body)
		doc := parsed(t, w)
		require.Equal(t, "searchset", doc.Text("type"))
		for _, e := range doc.Get("entry").Items() {
			seen = append(seen, e.Text("resource", "id"))
		}
		next = links(doc)["next"]
	}
	require.Equal(t, []string{"aino", "t1", "o1"}, seen)
	w := f.ask("POST", "/Patient/aino/$everything", `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Task"}]}`)
	require.Len(t, parsed(t, w).Get("entry").Items(), 1, "%s", w.Body)
	w = f.ask("GET", "/Patient/aino/$everything?_type=Task&_type=Observation", "")
	require.Len(t, parsed(t, w).Get("entry").Items(), 2, "_type may be repeated (0..* in R4): %s", w.Body)
	outcome(t, f.ask("GET", "/Patient/veikko/$everything", ""), 404, "not-found")
	for _, bad := range []string{"_type=Basic", "_at=2026", "start=soon", "start=2026&end=2025", "_count=0"} {
		require.Equal(t, 400, f.ask("GET", "/Patient/aino/$everything?"+bad, "").Code, bad)
	}
	outcome(t, f.ask("GET", "/Task/t1/$everything", ""), 404, "not-supported")
	outcome(t, f.ask("PUT", "/Patient/aino/$everything", ""), 405, "not-supported")
}

// start and end are days of care, both inside; they hold on every page. A plan's everything comes in pages too.
func TestEverythingOfATimeAndOfAPlan(t *testing.T) {
	f := newFace(t, func(c *Config) { c.Types = append(c.Types, Type{Name: "CarePlan", Interactions: ReadWrite}) })
	for _, body := range []string{`{"resourceType":"Patient","id":"aino"}`, `{"resourceType":"CarePlan","id":"c1"}`, `{"resourceType":"Observation","id":"o1"}`} {
		f.desk.put(body)
	}
	for _, of := range []string{"/Patient/aino", "/CarePlan/c1"} {
		next, seen := base+of+"/$everything?_count=2&start=2026-01&end=2026-02-03&_type=Patient,CarePlan,Observation&_elements=id", 0
		for next != "" {
			doc := parsed(t, f.ask("GET", next, ""))
			seen += len(doc.Get("entry").Items())
			require.Equal(t, "2026-01-01T00:00:00Z", f.desk.care.From.Format(time.RFC3339))
			require.Equal(t, "2026-02-04T00:00:00Z", f.desk.care.To.Format(time.RFC3339))
			next = links(doc)["next"]
			outcome(t, f.ask("GET", links(doc)["self"]+"&start=2020", ""), 400, "not-supported")
		}
		require.Equal(t, 3, seen)
		w := f.ask("POST", of+"/$everything", `{"resourceType":"Parameters","parameter":[{"name":"end","valueDate":"2026"}]}`)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.True(t, f.desk.care.From.IsZero())
		require.Equal(t, 2027, f.desk.care.To.Year())
	}
	outcome(t, f.ask("GET", "/CarePlan/absent/$everything", ""), 404, "not-found")
}

func TestAClientHasSoManyRequestsUnderWay(t *testing.T) {
	f := newFace(t, func(c *Config) { c.Limits.PerClient = 1 })
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	f.desk.mu.Lock() // the first waits in the desk
	first := make(chan int)
	go func() { first <- f.ask("GET", "/Patient/aino", "").Code }()
	require.Eventually(t, func() bool { return f.busy() == 1 }, 5*time.Second, time.Millisecond)
	w := f.ask("GET", "/Patient/aino", "")
	outcome(t, w, 429, "throttled")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	f.desk.mu.Unlock()
	require.Equal(t, 200, <-first)
	require.Equal(t, 200, f.ask("GET", "/Patient/aino", "").Code, "there is room again")
}

// busy is how many requests of API clients are under way.
func (f *face) busy() (n int) {
	s := f.Handler.(*server)
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	for _, of := range s.clients.busy {
		n += of
	}
	return n
}

func TestMetaOfAResource(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino","gender":"female"}`)
	doc := parsed(t, f.ask("GET", "/Patient/aino/$meta", ""))
	require.Equal(t, "Parameters", doc.Text("resourceType"))
	require.Equal(t, "1", doc.Text("parameter", "valueMeta", "versionId"))
	require.NotContains(t, string(doc.JSON()), "female")
	outcome(t, f.ask("GET", "/Patient/veikko/$meta", ""), 404, "not-found")
	require.JSONEq(t, string(doc.JSON()), f.ask("POST", "/Patient/aino/$meta", "").Body.String())
	require.JSONEq(t, string(doc.JSON()), f.ask("POST", "/Patient/aino/$meta", `{"resourceType":"Parameters"}`).Body.String())
	outcome(t, f.ask("POST", "/Patient/aino/$meta", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueString":"x"}]}`), 400, "not-supported")
	outcome(t, f.ask("PUT", "/Patient/aino/$meta", ""), 405, "not-supported")
	require.Equal(t, []string{"read Patient/aino", "read Patient/veikko", "read Patient/aino", "read Patient/aino"}, f.desk.calls)
}

// Profiles and tags are added and taken away as a new version; nothing else of meta is.
func TestMetaIsChanged(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino","meta":{"profile":["http://p/1"],"tag":[{"system":"http://t","code":"a"}]},"gender":"female"}`)
	change := func(op, meta string) string {
		w := f.ask("POST", "/Patient/aino/$meta-"+op, `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":`+meta+`}]}`)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		got := parsed(t, w).Get("parameter").Items()[0]
		require.Equal(t, "return", got.Text("name"))
		doc := parsed(t, f.ask("GET", "/Patient/aino", ""))
		require.Equal(t, "female", doc.Text("gender"))
		require.JSONEq(t, string(doc.Get("meta").JSON()), string(got.Get("valueMeta").JSON()))
		got.Get("valueMeta").Set("lastUpdated", nil)
		return string(got.Get("valueMeta").JSON())
	}
	require.JSONEq(t, `{"versionId":"2","profile":["http://p/1","http://p/2"],"tag":[{"system":"http://t","code":"a"},{"system":"http://t","code":"b"}]}`,
		change("add", `{"profile":["http://p/2","http://p/1"],"tag":[{"system":"http://t","code":"b"},{"system":"http://t","code":"a","display":"A"}]}`))
	require.JSONEq(t, `{"versionId":"3","profile":["http://p/2"],"tag":[{"system":"http://t","code":"b"}]}`,
		change("delete", `{"profile":["http://p/1"],"tag":[{"system":"http://t","code":"a"},{"system":"http://other","code":"b"}]}`))
	require.JSONEq(t, `{"versionId":"4"}`, change("delete", `{"profile":["http://p/2"],"tag":[{"system":"http://t","code":"b"}]}`))

	for _, bad := range []string{
		`{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"security":[{"system":"http://t","code":"b"}]}}]}`,
		`{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"versionId":"9"}}]}`, `{"resourceType":"Parameters"}`, `{"resourceType":"Patient"}`, "",
		`{"resourceType":"Parameters","parameter":[{"name":"meta","valueString":"x"}]}`,
	} {
		require.Equal(t, 400, f.ask("POST", "/Patient/aino/$meta-add", bad).Code, bad)
	}
	add := `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`
	outcome(t, f.ask("POST", "/Patient/veikko/$meta-add", add), 404, "not-found")
	f.desk.put(`{"resourceType":"Patient","id":"hidden"}`)
	f.desk.denied["Patient/hidden"] = true
	require.Equal(t, f.ask("POST", "/Patient/veikko/$meta-add", add).Body.String(), f.ask("POST", "/Patient/hidden/$meta-add", add).Body.String())
	outcome(t, f.ask("GET", "/Patient/aino/$meta-add", ""), 405, "not-supported")
	outcome(t, f.ask("POST", "/AuditEvent/1/$meta-add", add), 404, "not-supported")
	batch := f.ask("POST", "", bundleOf("batch", `{"request":{"method":"POST","url":"Patient/aino/$meta-add"},"resource":`+add+`}`))
	require.Equal(t, "5", parsed(t, batch).Get("entry").Items()[0].Text("resource", "parameter", "valueMeta", "versionId"), "%s", batch.Body)
	outcome(t, f.ask("POST", "", bundleOf("transaction", `{"request":{"method":"POST","url":"Patient/aino/$meta-add"},"resource":`+add+`}`)), 400, "not-supported")
}
