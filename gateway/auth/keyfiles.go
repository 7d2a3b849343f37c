package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// TokenKeyFile is the gateway's own key within the keys folder; it signs access tokens.
const TokenKeyFile = "token.jwk"

// LoadOrCreateKey reads the key that signs access tokens, dir/token.jwk, or makes it (ES256) when there is none. The
// folder is made 0700 and the file 0600. A file that others may read and a folder that others may write are refused:
// whoever has the key can be anybody. Nodes that share the folder and start together end with the same key.
func LoadOrCreateKey(dir string) (*Key, error) {
	key, err := loadOrCreate(filepath.Join(dir, TokenKeyFile), newTokenKey)
	if err != nil {
		return nil, err
	}
	if key.public.alg != ES256 {
		return nil, fmt.Errorf("auth: %s is not a P-256 key", TokenKeyFile)
	}
	return key, nil
}

// LoadOrCreateClientKey reads a sandbox client's key, dir/clients/ID.jwk, or makes it (ES384) when there is none.
func LoadOrCreateClientKey(dir, clientID string) (*Key, error) {
	path, err := clientKeyPath(dir, clientID)
	if err != nil {
		return nil, err
	}
	return loadOrCreate(path, NewClientKey)
}

// ReadClientKey reads a client's key, dir/clients/ID.jwk. errors.Is(err, fs.ErrNotExist) when there is none.
func ReadClientKey(dir, clientID string) (*Key, error) {
	path, err := clientKeyPath(dir, clientID)
	if err != nil {
		return nil, err
	}
	return readKey(path)
}

// idForm is the form of client and user ids: safe in file names, logs and URLs.
var idForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

func clientKeyPath(dir, clientID string) (string, error) {
	if !idForm.MatchString(clientID) {
		return "", errors.New("auth: not a client id")
	}
	return filepath.Join(dir, "clients", clientID+".jwk"), nil
}

func loadOrCreate(path string, create func() (*Key, error)) (*Key, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = create(); err != nil {
		return nil, err
	}
	if err = writeKey(path, key); errors.Is(err, fs.ErrExist) {
		return readKey(path) // another node was first
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

func readKey(path string) (*Key, error) {
	name := filepath.Base(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("auth: key %s: %w", name, cause(err))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("auth: key %s is open to others (%04o); make it 0600", name, info.Mode().Perm())
	}
	if folder, err := os.Stat(filepath.Dir(path)); err != nil || folder.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("auth: the folder of key %s is open to others; make it 0700", name)
	}
	if info.Size() > maxKeySetSize {
		return nil, fmt.Errorf("auth: key %s is too big", name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: key %s: %w", name, cause(err))
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("auth: key %s: %w", name, err)
	}
	return key, nil
}

// writeKey makes the file appear whole or not at all: written aside, synced, then linked, which fails when it exists.
func writeKey(path string, key *Key) error {
	name := filepath.Base(path)
	data, err := key.MarshalJWK()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("auth: key %s: %w", name, cause(err))
	}
	file, err := os.CreateTemp(dir, "."+name+"-*") // 0600
	if err != nil {
		return fmt.Errorf("auth: key %s: %w", name, cause(err))
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(data, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path)
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("auth: key %s: %w", name, cause(err))
	}
	return nil
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// cause drops the path from an error of the file system: paths of the machine are nobody's business.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
