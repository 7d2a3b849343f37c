package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// settings are what sandbox and serve share: the variables of the contract.
type settings struct {
	Addr      string   `env:"SOTESILTA_ADDR" help:"Address of FHIR, tokens and ledger." default:":8080"`
	AdminAddr string   `env:"SOTESILTA_ADMIN_ADDR" help:"Address of metrics and profiling; never public." default:"127.0.0.1:9090"`
	MLLPAddr  string   `env:"SOTESILTA_MLLP_ADDR" help:"Address of HL7 v2 over MLLP; off: none." default:":2575"`
	Store     string   `env:"SOTESILTA_STORE" help:"sqlite:PATH or a postgres:// URL. serve needs it; otherwise the sandbox's own file."`
	RedisURL  string   `env:"SOTESILTA_REDIS_URL" help:"redis:// URL of what nodes share but may lose; empty: none."`
	Keys      string   `env:"SOTESILTA_KEYS" help:"Folder of keys, mode 0700. serve needs it; otherwise keys beside the SQLite file, or the sandbox's own folder."`
	Origins   []string `env:"SOTESILTA_ORIGINS" help:"Origins whose web pages may call the FHIR base, such as https://app.example; none by default."`
	Policies  string   `env:"SOTESILTA_POLICIES" help:"Folder of policy files that take the place of the built-in ones of the same name (consent/bases/README.md); loaded anew when they change, and on SIGHUP."`
	BaseURL   string   `env:"SOTESILTA_BASE_URL" help:"Public root of the gateway without a final slash; by default from the address."`
}

// defaultAddr is where the gateway listens unless told.
const defaultAddr = ":8080"

// variables are the environment variables that anything of ours reads. A variable that begins with SOTESILTA_ and is
// none of them is a mistake that could leave something unprotected, so it stops the start.
var variables = []string{
	"SOTESILTA_ADDR", "SOTESILTA_ADMIN_ADDR", "SOTESILTA_MLLP_ADDR", "SOTESILTA_STORE", "SOTESILTA_REDIS_URL", "SOTESILTA_KEYS",
	"SOTESILTA_BASE_URL", "SOTESILTA_CONFIG", "SOTESILTA_CLIENTS", "SOTESILTA_JOINT_SERVICES", "SOTESILTA_PUBLISH",
	"SOTESILTA_MLLP_SOURCE", "SOTESILTA_RATE", "SOTESILTA_PUBLIC_CONTROLLERS", "SOTESILTA_SWITCHES",
	"SOTESILTA_ORIGINS", "SOTESILTA_POLICIES", "SOTESILTA_KEY_HOSTS", "SOTESILTA_RETENTION",
	"SOTESILTA_MLLP_PEERS", "SOTESILTA_MLLP_SENDERS", "SOTESILTA_MLLP_RECEIVERS",
}

// unknownVariables names the variables that look like ours and are not.
func unknownVariables(environ []string) error {
	var unknown []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "SOTESILTA_") && !slices.Contains(variables, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("unknown variables: %s", strings.Join(unknown, ", "))
}

// root is the public root of the gateway, such as http://localhost:8080.
func (s settings) root() (string, error) {
	if s.BaseURL != "" {
		u, err := url.Parse(s.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.HasSuffix(s.BaseURL, "/") {
			return "", fmt.Errorf("SOTESILTA_BASE_URL: not an http(s) address without a final slash")
		}
		return s.BaseURL, nil
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return "", fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// loopbackHost says whether a host is this machine's own.
func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// loopbackTwins are the same root under the other names of this machine, which clients may use as audience.
func loopbackTwins(root string) []string {
	u, err := url.Parse(root)
	if err != nil {
		return nil
	}
	names := []string{"localhost", "127.0.0.1"}
	if !slices.Contains(names, u.Hostname()) {
		return nil
	}
	var twins []string
	for _, name := range names {
		if name != u.Hostname() {
			twins = append(twins, u.Scheme+"://"+net.JoinHostPort(name, u.Port()))
		}
	}
	return twins
}

// sandboxFolder is the sandbox's own folder when no store is set: named after its port, so that the token command
// finds its keys.
func sandboxFolder(addr string) (string, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	return filepath.Join(os.TempDir(), "sotesilta-sandbox-"+port), nil
}

// keysFolder is where the keys are: as set, otherwise beside the SQLite file, otherwise in a folder of the sandbox's own,
// one for each PostgreSQL database. serve does not rest on a default: it wants the folder named.
func (s settings) keysFolder() (string, error) {
	if s.Keys != "" {
		return s.Keys, nil
	}
	if path, isFile := strings.CutPrefix(s.Store, "sqlite:"); isFile {
		return filepath.Join(filepath.Dir(path), "keys"), nil
	}
	if s.Store != "" {
		sum := sha256.Sum256([]byte(s.Store))
		return filepath.Join(os.TempDir(), "sotesilta-keys-"+hex.EncodeToString(sum[:6])), nil
	}
	folder, err := sandboxFolder(s.Addr)
	return filepath.Join(folder, "keys"), err
}

// keptFolder is where the newest checkpoint of the store's ledger is kept outside the store: in the folder of keys, and
// there by the name of the file, because SQLite files of one folder share their keys.
func (s settings) keptFolder(keys string) string {
	if path, isFile := strings.CutPrefix(s.Store, "sqlite:"); isFile {
		return filepath.Join(keys, filepath.Base(path)+".ledger")
	}
	return keys
}
