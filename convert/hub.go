package convert

import (
	"os"
	"path/filepath"
	"strings"
)

// The cache that Hugging Face's libraries keep: models--OWNER--NAME/refs/main holds the revision R, snapshots/R the files, as
// symbolic links into blobs/.

const (
	hubPrefix    = "models--"
	hubSnapshots = "snapshots"
)

// fromHubCache gives the snapshot to read for the root of a model in the cache, and any other folder as it is.
func fromHubCache(folder string) (string, error) {
	snapshots := filepath.Join(folder, hubSnapshots)
	if _, err := os.Stat(snapshots); err != nil {
		return folder, nil
	}
	ref := filepath.Join(folder, "refs", "main")
	if raw, err := readSmall(ref); err == nil {
		revision := strings.TrimSpace(string(raw))
		if revision == "" || !filepath.IsLocal(revision) || filepath.Base(revision) != revision {
			return "", failure(ref, "does not name a revision", "name the folder below snapshots that holds config.json")
		}
		snapshot := filepath.Join(snapshots, revision)
		if _, err := os.Stat(snapshot); err != nil {
			return "", failure(snapshot, "is missing, but refs/main names it", "download the model again")
		}
		return snapshot, nil
	}
	entries, err := os.ReadDir(snapshots)
	if err != nil {
		return "", err
	}
	if len(entries) != 1 {
		return "", failure(snapshots, "holds several revisions or none, and refs/main does not say which", "name one of the folders in it")
	}
	return filepath.Join(snapshots, entries[0].Name()), nil
}

// nameOfFolder is the model's name by its folder's: in the cache, that of the model, not of the revision.
func nameOfFolder(folder string) string {
	if above := filepath.Dir(folder); filepath.Base(above) == hubSnapshots {
		if name, ok := strings.CutPrefix(filepath.Base(filepath.Dir(above)), hubPrefix); ok {
			parts := strings.Split(name, "--")
			return parts[len(parts)-1]
		}
	}
	return filepath.Base(folder)
}
