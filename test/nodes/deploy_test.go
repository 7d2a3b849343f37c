package nodes

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"sotesilta/gateway/store/pgtest"
	"sotesilta/test/gatewaytest"
)

// uid is the user of the image, who is nobody on this machine either.
const uid = 65532

// composed is what a compose file says, as far as it is carried out here.
type composed struct {
	Services map[string]struct {
		Image           string
		User            string
		Command         []string
		Environment     map[string]string
		DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck     struct{ Test []string }
		StopGracePeriod string `yaml:"stop_grace_period"`
		Volumes         []struct{ Type, Source, Target string }
	}
	Configs map[string]struct{ Content string }
}

// variable is a variable in a compose file, or a dollar that is none.
var variable = regexp.MustCompile(`\$\$|\$\{(\w+)(:[-?])?([^}]*)\}`)

// interpolate puts variables into a compose file's texts, as compose does.
func interpolate(t *testing.T, text string, given map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		part := variable.FindStringSubmatch(found)
		value, known := given[part[1]]
		switch {
		case found == "$$":
			return "$"
		case known:
			return value
		case part[2] == ":-":
			return part[3]
		}
		t.Errorf("compose would stop: %s is not given", part[1])
		return ""
	})
}

// file reads a file of deploy/.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(gatewaytest.ProjectRoot(), "deploy", name))
	require.NoError(t, err)
	return string(text)
}

// image is what the Containerfile says of the image at last: the words after an instruction.
func image(t *testing.T, instruction string) string {
	t.Helper()
	var said string
	for line := range strings.Lines(file(t, "Containerfile")) {
		if rest, is := strings.CutPrefix(line, instruction+" "); is {
			said = strings.TrimSpace(rest)
		}
	}
	require.NotEmpty(t, said, instruction)
	return said
}

// asOther makes a command another user's than root, if the test is root.
func asOther(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// theirs makes a folder whose owner is that other user.
func theirs(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(path, 0o700))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(path, uid, uid))
	}
}

// readable lets other users read a county, and pass the folders of the test.
func readable(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(path, 0o755)
		}
		return err
	}))
	for up := filepath.Dir(dir); up != filepath.Dir(up) && strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
		require.NoError(t, os.Chmod(up, 0o711))
	}
}

// TestTheComposeFileRunsAsWritten: the services' own command lines, settings, paths, user, order and health checks start a
// gateway of two nodes. What is changed are host names, ports and where folders lie on this machine.
func TestTheComposeFileRunsAsWritten(t *testing.T) {
	t.Parallel()
	const password = "p@ss/w%rd: an example"
	var compose composed
	require.NoError(t, yaml.Unmarshal([]byte(file(t, "compose.yaml")), &compose))
	given := map[string]string{"PGPASSWORD": password}
	c := newCounty(t)
	state := filepath.Join(t.TempDir(), "state")
	theirs(t, state)
	readable(t, c.dir)
	require.NoError(t, os.Chmod(filepath.Dir(state), 0o711))

	require.Equal(t, fmt.Sprintf("%d:%d", uid, uid), image(t, "USER"))
	entrypoint := image(t, "ENTRYPOINT")

	// The database: that the gateway asks for is that which the service makes.
	database := compose.Services["postgres"].Environment
	store, err := url.Parse(interpolate(t, compose.Services["node-1"].Environment["SOTESILTA_STORE"], given))
	require.NoError(t, err)
	_, within := store.User.Password()
	require.False(t, within, "a password in the URL could not hold every character")
	require.Equal(t, password, interpolate(t, compose.Services["node-1"].Environment["PGPASSWORD"], given))
	require.Equal(t, "${PGPASSWORD:?a password for the database}", database["POSTGRES_PASSWORD"])
	require.Equal(t, database["POSTGRES_USER"], store.User.Username())
	require.Equal(t, "/"+database["POSTGRES_DB"], store.Path)
	require.Equal(t, "postgres:5432", store.Host)
	require.Contains(t, compose.Services["postgres"].Healthcheck.Test, "--username="+database["POSTGRES_USER"])
	require.Contains(t, compose.Services["postgres"].Healthcheck.Test, "--dbname="+database["POSTGRES_DB"])

	// Redis, by the service's command line.
	_, err = exec.LookPath(compose.Services["redis"].Command[0])
	if err != nil {
		t.Skip("redis-server is not installed (make prepare)")
	}
	free, err := gatewaytest.NewEnvironment("", "")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.MLLP)
	require.NoError(t, err)
	redis := exec.Command(compose.Services["redis"].Command[0], append(compose.Services["redis"].Command[1:], "--port", port, "--bind", "127.0.0.1")...)
	redis.Dir = t.TempDir()
	require.NoError(t, redis.Start())
	t.Cleanup(func() { _ = redis.Process.Kill(); _ = redis.Wait() })

	pg := pgtest.Postgres(t)
	elsewhere := strings.NewReplacer("redis://redis:6379", "redis://127.0.0.1:"+port)
	started := map[string]*node{}
	for len(started) < 2 {
		before := len(started)
		for _, name := range []string{"node-2", "node-1"} {
			service := compose.Services[name]
			ready := true
			for other, depends := range service.DependsOn {
				require.Contains(t, compose.Services, other)
				if strings.HasPrefix(other, "node-") {
					require.Equal(t, "service_healthy", depends.Condition)
					ready = ready && started[other] != nil
				}
			}
			if started[name] != nil || !ready {
				continue
			}
			var paths []string
			for _, volume := range service.Volumes {
				switch volume.Type + " " + volume.Source {
				case "bind ../county":
					paths = append(paths, volume.Target+"/", c.dir+"/")
				case "volume keys":
					paths = append(paths, volume.Target+"/", state+"/")
				default:
					t.Fatalf("a volume that is not known here: %v", volume)
				}
			}
			here := strings.NewReplacer(paths...)
			settings := map[string]string{}
			for setting, text := range service.Environment {
				settings[setting] = elsewhere.Replace(here.Replace(interpolate(t, text, given)))
			}
			require.NotContains(t, strings.Join(slices.Collect(maps.Values(settings)), " "), "/county/", "every path is mounted")
			settings["SOTESILTA_STORE"] = pg
			n := startAs(t, settings, asOther, service.Command...).serving()
			started[name] = n

			// The health check, by its own words in the node's own environment.
			test := service.Healthcheck.Test
			require.Equal(t, `["`+test[1]+`"]`, entrypoint, "the health check is of the image's binary")
			require.Equal(t, "CMD", test[0])
			check := exec.Command(n.cmd.Path, test[2:]...)
			check.Env = n.cmd.Env
			asOther(check)
			out, err := check.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "ready\n", string(out))
		}
		require.Greater(t, len(started), before, "services wait for each other")
	}
	one, other := started["node-1"], started["node-2"]
	base := interpolate(t, compose.Services["node-1"].Environment["SOTESILTA_BASE_URL"], given)
	nurse := c.nurse(t, one, base)
	nurse.relate()
	booked := nurse.create(appointment)
	status, _ := c.nurse(t, other, base).try(t.Context(), "GET", "Appointment/"+booked.Text("id"), "")
	require.Equal(t, http.StatusOK, status, "what one node took in the other serves")

	// The front gives requests to both nodes, at the port that they listen on, and takes bodies as large as they do. It
	// starts while a node is away, finds it again under another address, and does not wait long for one that is gone.
	front := interpolate(t, compose.Configs["front"].Content, nil)
	for _, name := range []string{"node-1", "node-2"} {
		require.Contains(t, front, "server "+name+":8080 resolve ")
	}
	require.Contains(t, front, "proxy_connect_timeout 1s;")
	require.Contains(t, front, "client_max_body_size 6m;")
	require.Contains(t, front, "proxy_set_header Host $http_host;")

	patience, err := time.ParseDuration(compose.Services["node-1"].StopGracePeriod)
	require.NoError(t, err)
	stopWithin(t, patience, one, other)
}

// stopWithin asks nodes to end, and fails if one takes longer than it is given before it is killed.
func stopWithin(t *testing.T, patience time.Duration, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		ended := make(chan struct{})
		go func() { n.stop(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("it does not end in the time that it is given")
		}
	}
}

// TestTheImageHoldsNothingOfTheFolder: only what the binary is built of is sent to the builder; keys, county files and
// databases that lie in the project's folder stay where they are.
func TestTheImageHoldsNothingOfTheFolder(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(gatewaytest.ProjectRoot(), ".dockerignore"))
	require.NoError(t, err)
	var sent []string
	nothing := false
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "*":
			nothing = true
		default:
			require.True(t, nothing && strings.HasPrefix(line, "!"), line)
			sent = append(sent, line[1:])
		}
	}
	require.True(t, nothing)
	// The binary's own packages all lie in what is sent.
	list := exec.Command("go", "list", "-deps", "-f", "{{if and .Module .Module.Main}}{{.ImportPath}}{{end}}", "./gateway")
	list.Dir = gatewaytest.ProjectRoot()
	packages, err := list.Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(packages)) {
		_, room, _ := strings.Cut(path, "/")
		room, _, _ = strings.Cut(room, "/")
		require.Contains(t, sent, room, path)
	}
	for _, needed := range []string{"go.mod", "go.sum", "Makefile"} {
		require.Contains(t, sent, needed)
	}
	for _, entry := range sent {
		require.NotContains(t, []string{"county", "keys", "bin", "tmp", ".git", ".", "deploy"}, entry)
	}
}

// unit reads the settings of a systemd unit; the last of a name wins.
func unit(t *testing.T, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(file(t, name)) {
		if setting, value, is := strings.Cut(strings.TrimSpace(line), "="); is && !strings.HasPrefix(line, "#") {
			out[setting] = value
		}
	}
	return out
}

// TestTheUnitRunsAsWritten: the unit's command line starts a gateway for a user of its own who may write into the state
// directory alone, with settings and secrets where the unit looks for them, and ends in the time that it is given.
func TestTheUnitRunsAsWritten(t *testing.T) {
	t.Parallel()
	u := unit(t, "sotesilta.service")
	c := newCounty(t)
	root := t.TempDir()
	etc, state := filepath.Join(root, "etc"), filepath.Join(root, "state")
	theirs(t, state)
	require.Equal(t, "/etc/sotesilta", u["WorkingDirectory"])
	require.Equal(t, "yes", u["DynamicUser"])
	require.Equal(t, "sotesilta", u["StateDirectory"], "which is /var/lib/sotesilta")
	require.NoError(t, os.Rename(c.dir, etc))
	c.dir = etc
	// As deploy/README.md tells it, with what changes under /var/lib/sotesilta.
	example := file(t, "README.md")
	_, example, found := strings.Cut(example, "cat > serve.yaml <<'YAML'\n")
	require.True(t, found)
	example, _, found = strings.Cut(example, "YAML\n")
	require.True(t, found)
	require.Contains(t, example, "sqlite:gateway.db")
	require.Contains(t, example, "keys: keys")
	settings := strings.NewReplacer("sqlite:gateway.db", "sqlite:"+state+"/gateway.db", "keys: keys", "keys: "+state+"/keys").Replace(example)
	require.NoError(t, os.WriteFile(c.path("serve.yaml"), []byte(settings), 0o600))
	readable(t, etc)
	require.NoError(t, os.Chmod(root, 0o711))

	binary, args, _ := strings.Cut(u["ExecStart"], " ")
	require.Equal(t, "/usr/local/bin/sotesilta", binary)
	command := strings.Fields(strings.ReplaceAll(args, "/etc/sotesilta/", etc+"/"))
	as := func(cmd *exec.Cmd) {
		asOther(cmd)
		cmd.Dir = etc
	}
	startAs(t, nil, as, command...).serving().stop() // makes the keys
	n := startAs(t, nil, as, command...).serving()
	nurse := c.nurse(t, n, n.root)
	nurse.relate()
	nurse.create(appointment)

	patience, err := time.ParseDuration(u["TimeoutStopSec"])
	require.NoError(t, err)
	stopWithin(t, patience, n)
	for _, name := range []string{"keys", "gateway.db"} {
		_, err := os.Stat(filepath.Join(etc, name))
		require.ErrorIs(t, err, fs.ErrNotExist, "nothing is written where the settings are")
	}
	require.False(t, bytes.Contains([]byte(n.says.String()), []byte(`"level":"ERROR"`)), n.says.String())
}
