package cli

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// revision names the program so exactly that two of one name behave the same: by
// the commit of a clean build, else by the program file itself.
func revision(version string) (string, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		commit, clean := "", false
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.modified":
				clean = s.Value == "false"
			}
		}
		if commit != "" && clean {
			return commit, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program's file: %w", err)
	}
	defer f.Close() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read this program's file: %w", err)
	}
	return fmt.Sprintf("%s sha256:%x", version, sum.Sum(nil)[:12]), nil
}
