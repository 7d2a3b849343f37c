package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
)

// keys are the gateway's own keys: token.jwk signs access tokens, ledger.key checkpoints, data.key seals at rest.
type keys struct {
	token  *auth.Key
	ledger *ledger.Key
	data   []byte
}

const dataKeyFile = "data.key"

// keyFiles are the files of a folder of keys.
var keyFiles = []string{auth.TokenKeyFile, "ledger.key", "ledger.pub", dataKeyFile}

// haveKeys says whether a folder holds the key that signs the ledger.
func haveKeys(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "ledger.key"))
	return err == nil
}

// openKeys reads the keys of a folder, and makes those that are missing where create allows it.
func openKeys(dir string, create bool) (keys, error) {
	var k keys
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return k, err
		}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, fmt.Errorf("the folder of keys %s is not there (serve --init-keys makes it, for a new gateway)", dir)
	case err != nil:
		return k, fmt.Errorf("the folder of keys: %w", err)
	case !info.IsDir() || info.Mode().Perm()&0o077 != 0:
		return k, fmt.Errorf("the folder of keys %s must be a folder of mode 0700: others may read it now", dir)
	}
	if !create {
		for _, name := range keyFiles {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				return k, fmt.Errorf("%s is missing in the folder of keys %s (serve --init-keys makes the keys of a new gateway)", name, dir)
			}
		}
	}
	if k.token, err = auth.LoadOrCreateKey(dir); err != nil {
		return k, err
	}
	if k.ledger, err = ledgerKey(dir); err != nil {
		return k, err
	}
	k.data, err = dataKey(filepath.Join(dir, dataKeyFile))
	return k, err
}

func ledgerKey(dir string) (*ledger.Key, error) {
	key, err := ledger.LoadKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = ledger.NewKey(ledger.Origin); err != nil {
		return nil, err
	}
	if err := key.Save(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return ledger.LoadKey(dir)
}

// dataKey reads 32 bytes in base64, and makes them when the file is missing.
func dataKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		if _, err := file.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n"); err != nil {
			file.Close()
			return nil, err
		}
		return secret, errors.Join(file.Sync(), file.Close())
	}
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("%s: not 32 bytes in base64", path)
	}
	return secret, nil
}
